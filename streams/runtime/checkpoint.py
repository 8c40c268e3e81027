"""One Kafka transaction per batch: outputs, changelog rows, marker and batch event become visible together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, Producer
from rocksdict import WriteBatch

from streams.codec import encoder
from streams.errors import Fatal
from streams.runtime.stage import Batch, Decided, Record, Stage
from streams.runtime.store import MARKER, Marker, Store, new_batch
from streams.settings import Settings
from streams.topology import Topology

TRANSACTION_TIMEOUT_MS = 15_000
FENCE_TIMEOUT_S = 60


class Passed(NamedTuple):
    """Records of one source that were decided since its last checkpoint."""

    first_offset: int
    last_offset: int
    records: int
    redelivered: int

    @classmethod
    def after(cls, before: Passed | None, records: Sequence[Record], redelivered: int) -> Passed:
        """These records come behind those."""
        first, _, number, again = before or cls(records[0].offset, 0, 0, 0)
        return cls(first, records[-1].offset, number + len(records), again + redelivered)


class Checkpoint:
    """The producer of one (stage, partition). Its transactional id is fixed, so a newer owner fences an older one."""

    def __init__(
        self, stage: Stage, partition: int, topology: Topology, settings: Settings, topic_id: str, rule: bytes
    ) -> None:
        self.stage, self.partition, self.topic_id, self.rule = stage, partition, topic_id, rule
        self.topics = topology.topics
        self.batches = topology.topic("batches").name
        self.encode_batch = encoder("batch")
        self.producer = Producer(
            settings.librdkafka_producer(
                **{
                    "transactional.id": f"{stage.agent.group}-{partition}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                    "linger.ms": 20,
                }
            )
        )

    @property
    def name(self) -> str:
        """The transactional id."""
        return f"{self.stage.agent.group}-{self.partition}"

    def fence(self) -> None:
        """End whatever an older owner left open; from now on it can commit nothing. Raises Fatal."""
        try:
            self.producer.init_transactions(FENCE_TIMEOUT_S)
        except KafkaException as error:
            raise Fatal(f"can't take over {self.stage.agent.group}-{self.partition}: {error.args[0].str()}") from error

    def commit(self, store: Store, batch: Batch, passed: Passed, decided: Decided) -> None:
        """Make a decided batch a fact, on the broker first, then here. Raises Fatal: whether it was committed is then
        found out by the next owner, who reads the marker behind a fence.
        """
        local, rows = _changes(decided)
        applied = {**store.marker.applied, batch.source: passed.last_offset}
        marker = Marker(applied, store.marker.sequence + 1, self.stage.layout)
        event = self._event(batch.source, passed, decided, marker)
        what = f"batch {batch.source} {passed.first_offset}..{passed.last_offset}"
        store.write(local, marker, self.topic_id, self._transact(what, decided.outputs, rows, marker, event))

    def forget(self, store: Store, keys: list[bytes]) -> None:
        """Delete rows, here and in the changelog. Raises Fatal. No batch: nothing was decided, and no decision will ask for them."""
        local = new_batch()
        for key in keys:
            local.delete(key)
        tombstones = [{"key": key, "value": None} for key in keys]
        store.write(
            local,
            store.marker,
            self.topic_id,
            self._transact(f"{len(keys)} deletions", {}, tombstones, store.marker, None),
        )

    def commit_nothing(self, marker: Marker) -> None:
        """A transaction that only says again what was said last. Raises Fatal."""
        self._transact("the end of a hanging one", {}, [], marker, None)

    def abort_nothing(self) -> None:
        """A transaction that touches every partition this stage writes to, and is aborted. Raises Fatal."""
        agent = self.stage.agent
        written = [*agent.writes, *(f"{alias}.dlq" for alias in agent.reads if self.topics[alias].dlq), "batches"]
        places = [(agent.changelog, self.partition)] + [
            (self.topics[alias].name, n) for alias in written for n in range(self.topics[alias].partitions)
        ]
        try:
            self.producer.begin_transaction()
            for topic, partition in places:
                self.producer.produce(topic, b"", b"", partition=partition)
            self.producer.flush(FENCE_TIMEOUT_S)
            self.producer.abort_transaction(FENCE_TIMEOUT_S)
        except (KafkaException, BufferError) as error:
            raise Fatal(f"{self.name}: a hanging transaction could not be aborted: {error}") from error

    def _transact(
        self,
        what: str,
        outputs: Mapping[str, list[dict[str, Any]]],
        rows: list[dict[str, Any]],
        marker: Marker,
        event: dict[str, Any] | None,
    ) -> int:
        """All of it, or nothing; the changelog's offset behind it."""
        written: list[int] = []
        changelog = self.stage.agent.changelog

        def marker_delivered(error: Any, message: Any) -> None:
            if error is None:
                written.append(message.offset())

        try:
            self.producer.begin_transaction()
            for alias, messages in outputs.items():
                self._send(alias, messages)
            self._produce_batch(changelog, rows, self.partition)
            self.producer.produce(
                changelog, marker.pack(), MARKER, partition=self.partition, on_delivery=marker_delivered
            )
            if event is not None:
                self.producer.produce(
                    self.batches, self.encode_batch(event), self.stage.agent.name.encode(), partition=0
                )
            self.producer.commit_transaction()
            self.producer.poll(0)
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else "the output queue is full"
            raise Fatal(f"{self.stage.agent.group}-{self.partition}: {what} not committed: {reason}") from error
        if not written:
            raise Fatal(f"{changelog}/{self.partition}: the marker's offset was not reported")
        return written[0] + 1

    def _send(self, alias: str, messages: list[dict[str, Any]]) -> None:
        topic = self.topics[alias]
        if not topic.headers:
            self._produce_batch(topic.name, messages)
            return
        for message in messages:  # librdkafka's batch call takes no headers
            self.producer.produce(topic.name, **message)

    def _produce_batch(self, topic: str, messages: list[dict[str, Any]], partition: int = -1) -> None:
        if messages and self.producer.produce_batch(topic, messages, partition) != len(messages):
            refused = next(m["_error"] for m in messages if "_error" in m)
            raise KafkaException(refused)

    def _event(self, source: str, passed: Passed, decided: Decided, marker: Marker) -> dict[str, Any]:
        return {
            "stage": self.stage.agent.name,
            "partition": self.partition,
            "sequence": marker.sequence,
            "topic": source,
            **passed._asdict(),
            "applied": marker.applied,
            "counts": decided.counts,
            "rule": self.rule,
        }


def _changes(decided: Decided) -> tuple[WriteBatch, list[dict[str, Any]]]:
    """The changed rows twice over: for the store, and for the changelog."""
    local, messages = new_batch(), []
    put = local.put
    for table, rows in decided.rows.items():
        prefix, pack = table.prefix, table.pack
        for key, row in rows.items():
            name = prefix + key
            value = None
            if row is None:
                local.delete(name)
            else:
                value = pack(row)
                put(name, value)
            messages.append({"key": name, "value": value})
    return local, messages
