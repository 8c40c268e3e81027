"""A node: submits artifacts and learns what became of each.

Two threads: the sender (outbox -> Kafka) and the receipts reader (Kafka -> futures). An artifact is in the outbox, fsynced, before it is
sent, and leaves it with its receipt. What finds no receipt is sent again, same id and bytes: intake knows it and sends the receipt again.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.broker.topics import watermarks
from streams.codec import Undecodable, decoder, encoder
from streams.domain.artifact import Limits
from streams.domain.identity import MAC_HEADER, sign
from streams.errors import ArtifactError, BrokerError, ContractError, IcnError, OutboxError, UndecidedError
from streams.registry_client import adopt_ids
from streams.sdk.artifacts import make_artifact
from streams.sdk.decision import Decision, Submission
from streams.sdk.outbox import Entry, Outbox
from streams.sdk.partition import partition_of
from streams.sdk.trace import headers_of
from streams.settings import Settings, read_settings
from streams.topology import MESSAGE_MAX_BYTES, Topology, load
from streams.units import size_bytes

log = logging.getLogger("icn.sdk")

BATCH = 1000  # artifacts per fsync of the outbox
PENDING_MAX = 20_000  # submit() waits while more are without a decision
RESEND_AFTER_S = 30.0  # without any receipt; doubles each time, up to
RESEND_AFTER_MAX_S = 600.0
RESENT_GRACE_S = 10.0  # "admitted before": how long to wait for the word of s2, which may have come long ago
UNHEARD_AFTER = 3  # sends without a receipt until the author is warned
RECORD_OVERHEAD = 1024  # key and headers


class Node:
    """One collecting node. Use as a context manager: leaving it waits for all decisions (see `flush`).

    node_id: as registered. token: 64 hex, as `icn node register` printed it; default: from the state folder. broker: host:port,….
    on_quota: "resolve" gives the caller a rejected Decision with retry_after_ms; "wait" keeps the artifact and tries again then.
    Raises IcnError (no token, no broker, outbox in use).
    """

    def __init__(
        self,
        node_id: str,
        *,
        broker: str | None = None,
        token: str | None = None,
        state: str | Path | None = None,
        topology: Topology | None = None,
        on_quota: str = "resolve",
        resend_after_s: float = RESEND_AFTER_S,
    ) -> None:
        self.node_id = node_id
        self.topology = topology or load()
        self.settings: Settings = read_settings(
            self.topology, brokers=broker, state=None if state is None else str(state)
        )
        self.settings.require_brokers()
        adopt_ids(self.topology, self.settings)
        self.on_quota, self.resend_after_s = on_quota, resend_after_s
        protocol = self.topology.protocol
        self._limits = Limits(
            size_bytes(protocol["content_max"]), protocol["metadata_max"], size_bytes(protocol["metadata_bytes_max"])
        )
        self._token = _token(self.settings, node_id, token)
        self._key = node_id.encode()
        self._encode, self._decode = encoder("artifact"), decoder("receipt")
        self._raw, self._receipts = self.topology.topic("artifacts.raw").name, self.topology.topic("receipts").name
        self._outbox = Outbox(self.settings.state / "outbox", node_id)
        try:
            self._open()
        except BaseException:
            self._outbox.close()
            raise

    def _open(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[str, Submission] = {}
        self._room = threading.Semaphore(PENDING_MAX)
        self._inbox: queue.Queue[Submission] = queue.Queue()
        self._finished: queue.Queue[str] = queue.Queue()
        self._closing = threading.Event()
        self._failure: BaseException | None = None
        self.quota_left: int | None = None
        self.status = "normal"
        self._producer = Producer(
            self.settings.librdkafka_producer(
                **{
                    "client.id": f"icn-node-{self.node_id}",
                    "delivery.timeout.ms": 120_000,
                    "message.max.bytes": MESSAGE_MAX_BYTES,
                }
            )
        )
        self._consumer = Consumer(
            self.settings.librdkafka_reader(**{"client.id": f"icn-node-{self.node_id}", "enable.partition.eof": False})
        )
        partition, end = self._find_receipts()
        left_over = self._outbox.entries()
        start = min((entry.receipts_from for entry in left_over), default=end)
        self._position = end
        self._consumer.assign([TopicPartition(self._receipts, partition, start)])
        self.recovered = [self._submission(entry.artifact_id, entry.record) for entry in left_over]
        for submission in self.recovered:
            submission.stored.set()
            self._pending[submission.artifact_id] = submission
            self._room.acquire(blocking=False)
        self._threads = [
            threading.Thread(target=self._guard, args=(work,), daemon=True, name=f"icn-{self.node_id}-{work.__name__}")
            for work in (self._send, self._listen)
        ]
        for thread in self._threads:
            thread.start()

    def _find_receipts(self) -> tuple[int, int]:
        """(the partition that has our receipts, its end)."""
        try:
            about = self._consumer.list_topics(self._receipts, timeout=15).topics[self._receipts]
            if about.error is not None:
                raise ContractError(
                    f'topic "{self._receipts}" is missing on {self.settings.brokers}', "icn topics apply, or icn up"
                )
            partition = partition_of(self._key, len(about.partitions))
            return partition, watermarks(self._consumer, self._receipts, partition, 15)[1]
        except KafkaException as error:
            raise BrokerError(
                f"{self.settings.brokers}: {error.args[0].str()}", "is the broker running? icn broker status"
            ) from error

    # -- for the author ---------------------------------------------------

    def submit(self, content: str, **fields: Any) -> Submission:
        """Send one artifact; returns at once with a future. Fields and defaults: SPEC §2, streams/sdk/artifacts.py.

        Raises ArtifactError for what the network would reject: field, value, range.
        """
        return self._submit(
            make_artifact(self.node_id, {"content": content, **fields}, self._limits, self.topology.simulated)
        )

    def submit_many(self, artifacts: Iterable[Mapping[str, Any]]) -> list[Submission]:
        """The same for many. All are checked before the first is sent."""
        made = [make_artifact(self.node_id, fields, self._limits, self.topology.simulated) for fields in artifacts]
        return [self._submit(artifact) for artifact in made]

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait until everything has its decision; returns how many have not after `timeout_s` (they stay in the outbox)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._pending and (deadline is None or time.monotonic() < deadline):
            self._raise_failure()
            time.sleep(0.01)
        return len(self._pending)

    def close(self, timeout_s: float | None = 30) -> int:
        """Flush, stop; returns how many are left in the outbox, to be sent by the next Node of this id."""
        if self._closing.is_set():
            return 0
        try:
            self.flush(timeout_s)
        finally:
            with self._lock:
                self._closing.set()  # behind this, submit() refuses
            for thread in self._threads:
                thread.join()
            self._store(self._take_all())
            self._remove_finished()
            left = self._outbox.count()
            self._give_up()
            self._producer.flush(5)
            self._consumer.close()
            self._outbox.close()
        return left

    def _give_up(self) -> None:
        with self._lock:
            pending, self._pending = list(self._pending.values()), {}
        for submission in pending:
            if not submission.done():
                submission.set_exception(
                    UndecidedError(
                        f"artifact {submission.artifact_id}: the node was closed before its decision",
                        "it is in the outbox; the next Node of this id sends it (Node.recovered)",
                    )
                )

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(30 if error is None else 1)

    # -- sending ----------------------------------------------------------

    def _submit(self, artifact: dict[str, Any]) -> Submission:
        self._raise_failure()
        record = self._encode(artifact)
        if len(record) + len(self._key) + RECORD_OVERHEAD > MESSAGE_MAX_BYTES:
            raise ArtifactError(
                f"the artifact is {len(record)} bytes on the wire; at most {MESSAGE_MAX_BYTES - RECORD_OVERHEAD - len(self._key)}",
                "send less metadata or a shorter source",
            )
        submission = self._submission(artifact["artifact_id"], record)
        with self._lock:
            if (earlier := self._pending.get(submission.artifact_id)) is not None:
                if earlier.record == record:
                    return earlier
                raise IcnError(
                    f"artifact_id {submission.artifact_id} is under way with other content",
                    "a new artifact needs a new id",
                )
        while not self._room.acquire(timeout=1):
            self._raise_failure()
        with self._lock:  # close() takes it, too: what is in the inbox by then is stored
            if self._closing.is_set():
                raise IcnError(f'node "{self.node_id}" is closed', "submit inside `with Node(…)`")
            self._pending[submission.artifact_id] = submission
            self._inbox.put(submission)
        return submission

    def _guard(self, work: Any) -> None:
        try:
            work()
        except BaseException as error:
            self._failure = error
            log.error("node %s: %s", self.node_id, error)
            with self._lock:
                pending, self._pending = list(self._pending.values()), {}
            for submission in pending:
                if not submission.done():
                    submission.set_exception(error)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        for submission in self.recovered:
            self._produce(submission)
        look_at = time.monotonic()
        while not self._closing.is_set():
            for submission in self._store(self._take()):
                self._produce(submission)
            self._producer.poll(0)
            self._remove_finished()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + 0.5
                self._send_again()

    def _store(self, batch: list[Submission]) -> list[Submission]:
        """Those that are in the outbox now. The others fail, each with the reason; what was stored before goes on."""
        if not batch:
            return []
        try:
            self._outbox.add(Entry(s.artifact_id, s.record, self._position) for s in batch)
        except OutboxError as error:
            for submission in batch:
                self._fail(submission, error)
            return []
        for submission in batch:
            submission.stored.set()
        return batch

    def _fail(self, submission: Submission, error: Exception) -> None:
        with self._lock:
            if self._pending.pop(submission.artifact_id, None) is None:
                return
        self._room.release()
        if not submission.done():
            submission.set_exception(error)

    def _take_all(self) -> list[Submission]:
        batch: list[Submission] = []
        while some := self._take():
            batch += some
        return batch

    def _take(self) -> list[Submission]:
        try:
            batch = [self._inbox.get(timeout=0.02)]
        except queue.Empty:
            return []
        while len(batch) < BATCH:
            try:
                batch.append(self._inbox.get_nowait())
            except queue.Empty:
                break
        return batch

    def _submission(self, artifact_id: str, record: bytes) -> Submission:
        # in a simulated deployment time is compressed: the node's claim is the record's time
        return Submission(
            artifact_id, record, decoder("artifact")(record)["collected_at"] if self.topology.simulated else 0
        )

    def _produce(self, submission: Submission) -> None:
        submission.attempts += 1
        pause = min(self.resend_after_s * 2 ** (submission.attempts - 1), RESEND_AFTER_MAX_S)
        submission.due = time.monotonic() + pause
        headers = headers_of(self.topology.deployment, self.node_id, submission.artifact_id)
        headers.append((MAC_HEADER, sign(self._token, self._key, submission.record)))
        while True:
            try:
                self._producer.produce(
                    self._raw,
                    submission.record,
                    self._key,
                    headers=headers,
                    timestamp=submission.at_ms,
                    on_delivery=self._delivered(submission),
                )
                return
            except BufferError:
                if self._closing.is_set():
                    return  # it is in the outbox
                self._producer.poll(0.1)

    def _delivered(self, submission: Submission) -> Any:
        def report(error: Any, message: Any) -> None:
            submission.reported += 1
            if error is not None:  # it may have been written all the same: the id makes sending it again harmless
                submission.due = time.monotonic() + 1
            else:
                submission.last_offset = max(submission.last_offset, message.offset())
            self._settle(submission)

        return report

    def _send_again(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [s for s in self._pending.values() if s.attempts and s.due <= now]
        for submission in late:
            if submission.admitted:
                # intake has it from an earlier life and its decision was told then, before our outbox knew of it
                self._resolve(submission, Decision(submission.artifact_id, "resent", quota_left=submission.quota_left))
            else:
                self._produce(submission)
                self._warn_unheard(submission)

    def _warn_unheard(self, submission: Submission) -> None:
        """Nobody tells a sender that its signature is wrong: its name might be forged."""
        if submission.attempts == UNHEARD_AFTER and self.status != "unheard":
            self.status = "unheard"
            log.warning(
                "node %s: sent %d times, no receipt. Is an intake running (icn status), and is this token in force (icn node list)?",
                self.node_id,
                submission.attempts,
            )

    def _remove_finished(self) -> None:
        finished = []
        while True:
            try:
                finished.append(self._finished.get_nowait())
            except queue.Empty:
                break
        if finished:
            try:
                self._outbox.remove(finished)
            except OutboxError as error:  # sent again in the next life: harmless
                log.warning("node %s: %s", self.node_id, error)

    # -- receipts ---------------------------------------------------------

    def _listen(self) -> None:
        while not self._closing.is_set():
            for message in self._consumer.consume(500, 0.01):
                if message.error() is not None:
                    continue  # librdkafka goes on by itself once the broker is back
                self._position = max(self._position, message.offset() + 1)
                if message.key() != self._key:
                    continue
                try:
                    receipt = self._decode(message.value() or b"")
                except Undecodable as error:
                    log.warning(
                        "%s/%d/%d is no receipt: %s", self._receipts, message.partition(), message.offset(), error
                    )
                    continue
                if receipt["stage"] in self.topology.agents:
                    self._read(receipt)

    def _read(self, receipt: dict[str, Any]) -> None:
        if receipt["stage"] == "s1_intake":
            self.quota_left, self.status = receipt["quota_left"], receipt["status"]
        for told in receipt["outcomes"]:
            submission = self._pending.get(told["artifact_id"])
            if submission is None:
                continue
            outcome = told["outcome"]
            if outcome == "admitted":
                submission.admitted, submission.due, submission.quota_left = True, float("inf"), receipt["quota_left"]
            elif outcome == "resent":
                if not submission.admitted:
                    submission.admitted, submission.due, submission.quota_left = (
                        True,
                        time.monotonic() + RESENT_GRACE_S,
                        receipt["quota_left"],
                    )
            elif told["reason"] == "quota_exceeded" and self.on_quota == "wait":
                submission.due = time.monotonic() + (receipt["retry_after_ms"] or 1000) / 1000 + 0.5
            elif told["reason"] == "quota_exceeded":
                submission.refused = (told["offset"], self._decision(submission, receipt, told))
                self._settle(submission)
            else:
                self._resolve(submission, self._decision(submission, receipt, told))

    def _decision(self, submission: Submission, receipt: dict[str, Any], told: dict[str, Any]) -> Decision:
        return Decision(
            submission.artifact_id,
            told["outcome"],
            told["reason"],
            told["detail"],
            told["canonical_id"],
            told["version"],
            receipt["retry_after_ms"] if told["reason"] == "quota_exceeded" else None,
            submission.quota_left if receipt["quota_left"] is None else receipt["quota_left"],
            tuple(receipt["suggestions"]),
        )

    def _settle(self, submission: Submission) -> None:
        """A refusal for want of quota holds only if it is about the last copy: a later one may fall in the next hour, and be admitted."""
        refused = submission.refused
        if (
            refused is not None
            and submission.reported == submission.attempts
            and refused[0] >= submission.last_offset
            and not submission.admitted
        ):
            self._resolve(submission, refused[1])

    def _resolve(self, submission: Submission, decision: Decision) -> None:
        with self._lock:
            if self._pending.pop(submission.artifact_id, None) is None:
                return
        self._finished.put(submission.artifact_id)
        self._room.release()
        if not submission.done():  # the author may have cancelled it
            submission.set_result(decision)


def _token(settings: Settings, node_id: str, given: str | None) -> bytes:
    if given is not None:
        try:
            return bytes.fromhex(given)
        except ValueError as error:
            raise IcnError("the token is not hex", "icn node register prints 64 hex digits") from error
    path = settings.state / "nodes" / f"{node_id}.json"
    try:
        return bytes.fromhex(json.loads(path.read_text())["token"])
    except FileNotFoundError as error:
        raise IcnError(
            f'no token for node "{node_id}": {path} is missing',
            f"icn node register {node_id} --principal NAME, or give token=",
        ) from error
    except (ValueError, KeyError) as error:
        raise IcnError(
            f"{path} is damaged: {error}", f"icn node register {node_id} --rotate --principal NAME"
        ) from error
