"""The heart of a stage's process: which partitions it owns, and what happens to a batch. No Faust, no asyncio.

`acquire` runs alone; `process` for one partition at a time, for two partitions at once; `abandon` at any time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.broker.admin import CHANGELOG_CONFIG, Existing
from streams.broker.topics import fold, watermarks
from streams.codec import Undecodable, decoder
from streams.errors import Fatal
from streams.runtime.checkpoint import Checkpoint, Passed
from streams.runtime.hanging import end_hanging
from streams.runtime.stage import Batch, Record, Stage
from streams.runtime.store import Store, open_store, restore
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.stage")

HORIZONS_KEPT = 2
SWEPT_AT_ONCE = 2_000
SETTLE_S, HANGS_AFTER_S = 30, 5

Source = tuple[str, int]  # (topic alias, partition)


@dataclass(frozen=True)
class Fetched:
    """What one fetch of one partition gave. `after`: the offset delivered before it; `epoch`: the assignment it belongs to."""

    source: str
    partition: int
    after: int
    epoch: int
    records: list[Record]


@dataclass
class Owned:
    """A partition while it is ours."""

    store: Store
    checkpoint: Checkpoint
    event_ms: int = 0  # the latest event time decided on
    swept_ms: int = 0  # the event time up to which all rows were looked through
    passed: dict[str, Passed] = field(
        default_factory=dict
    )  # source -> records since its last checkpoint that came to nothing

    def seen(self, source: str) -> int:
        """The last offset that was decided."""
        passed = self.passed.get(source)
        return passed.last_offset if passed else self.store.marker.applied.get(source, -1)


class Runner:
    """Owns stores and producers of the assigned partitions; turns fetched records into committed checkpoints."""

    def __init__(
        self, stage: Stage, topology: Topology, settings: Settings, folder: Path, rule: bytes, changelog: Existing
    ) -> None:
        self.stage, self.topology, self.settings, self.folder, self.rule, self.changelog = (
            stage,
            topology,
            settings,
            folder,
            rule,
            changelog,
        )
        self.owned: dict[int, Owned] = {}
        self.positions: dict[Source, int] = {}
        self.first_until: dict[Source, int] = {}
        self.epoch = 0
        self.busy_since: float | None = None
        self.restored_rows = 0
        self._abandoned = threading.Event()

    # -- assignment -------------------------------------------------------

    def abandon(self) -> None:
        """Give up an acquire that is under way: its assignment is over."""
        self._abandoned.set()

    def acquire(self, partitions: Iterable[int]) -> bool:
        """Own exactly these partitions: fence, restore, find where to read on. False if abandoned on the way.

        A partition that stays ours is fenced and caught up like a new one: between two assignments somebody else may have had it.
        """
        self._abandoned.clear()
        self.release()
        self.positions, self.first_until = {}, {}
        started = time.monotonic()
        reader = Consumer(self.settings.librdkafka_reader())
        try:
            for partition in sorted(partitions):
                if self._abandoned.is_set() or not self._acquire_one(partition, reader):
                    self.release()
                    return False
            self._refuse_lost_tables()
        finally:
            reader.close()
        if self.owned:
            log.info(
                "%s: owns partitions %s, restored %d rows in %.1f s",
                self.stage.agent.name,
                sorted(self.owned),
                self.restored_rows,
                time.monotonic() - started,
            )
        return True

    def _acquire_one(self, partition: int, reader: Consumer) -> bool:
        agent = self.stage.agent
        checkpoint = Checkpoint(self.stage, partition, self.topology, self.settings, self.changelog.id, self.rule)
        checkpoint.fence()
        stale_after_ms = int(CHANGELOG_CONFIG["delete.retention.ms"]) // 2
        store = open_store(self.folder / agent.name / str(partition), self.changelog.id, stale_after_ms)
        self.owned[partition] = Owned(store, checkpoint)
        self._require_settled(partition, reader)
        rows = restore(store, reader, agent.changelog, self.changelog.id, partition, self._abandoned.is_set)
        if rows is None:
            return False
        self.restored_rows += rows
        if store.marker.sequence >= 0 and store.marker.layout != self.stage.layout:
            raise Fatal(
                f"{agent.changelog}/{partition}: the rows are of another release ({store.marker.layout or 'the first'}), this one keeps "
                f"{self.stage.layout}. Stop the workers; icn rebuild {agent.name} --execute folds them again from the topics"
            )
        self._find_positions(partition, store.marker.applied, reader)
        return True

    def _require_settled(self, partition: int, reader: Consumer) -> None:
        """Behind the fence every transaction on the changelog is ours and over. One that isn't hangs: it would be committed by the end of
        our next one, so what it decided would be decided twice. It is ended as it was ended elsewhere.
        """
        topic, tp = self.stage.agent.changelog, TopicPartition(self.stage.agent.changelog, partition)
        deadline = time.monotonic() + SETTLE_S
        admin = AdminClient(self.settings.librdkafka())
        while True:
            asked = admin.list_offsets(
                {tp: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=10
            )
            written = next(iter(asked.values())).result().offset
            _, settled = watermarks(reader, topic, partition)
            if settled >= written:
                return
            waited = SETTLE_S - (deadline - time.monotonic())
            if waited > HANGS_AFTER_S and end_hanging(
                self.owned[partition].checkpoint, self.settings, settled, written
            ):
                continue
            if waited > SETTLE_S:
                raise Fatal(
                    f"{topic}/{partition}: offsets {settled}..{written - 1} are of a transaction that the broker neither committed nor "
                    "aborted. kafka-transactions.sh find-hanging, then abort, ends it"
                )
            time.sleep(0.2 if waited < HANGS_AFTER_S else 1)

    def _refuse_lost_tables(self) -> None:
        """Tables that are empty though batches were decided: to begin afresh would decide everything twice."""
        empty = {partition for partition, owned in self.owned.items() if owned.store.marker.sequence < 0}
        if not empty:
            return
        decode, name = decoder("batch"), self.topology.topic("batches").name
        for message in fold(self.settings, name):
            try:
                event = decode(message.value() or b"")
            except Undecodable:  # not ours; icn replay says where it is
                continue
            if event["stage"] == self.stage.agent.name and event["partition"] in empty:
                raise Fatal(
                    f"{self.stage.agent.changelog}/{event['partition']} has no marker, but {name}/{message.partition()}/{message.offset()} "
                    f"is a batch of this stage. Was a rebuild interrupted? icn rebuild {self.stage.agent.name} --execute"
                )

    def _find_positions(self, partition: int, applied: Mapping[str, int], reader: Consumer) -> None:
        for alias in self.stage.agent.reads:
            low, high = watermarks(reader, self.topology.topics[alias].name, partition)
            position = max(applied.get(alias, -1) + 1, low)
            if alias in applied and low > applied[alias] + 1:
                log.error(
                    "%s: %s/%d: offsets %d..%d were removed by retention before this stage read them",
                    self.stage.agent.name,
                    alias,
                    partition,
                    applied[alias] + 1,
                    low - 1,
                )
            if position > high:
                raise Fatal(
                    f"{alias}/{partition} ends at {high}, but this stage has read it to {position}: the topic was cut or re-created. "
                    "icn rebuild starts afresh"
                )
            self.positions[alias, partition] = position
            if alias in self.stage.agent.first:
                self.first_until[alias, partition] = high

    def release(self) -> None:
        """Own nothing."""
        for owned in self.owned.values():
            owned.store.close()
        self.owned = {}

    # -- work -------------------------------------------------------------

    def process(self, fetched: Fetched) -> int:
        """Decide and commit what was fetched; returns the number of records decided. Raises Fatal.

        A fetch of an assignment that is over is dropped: its partition is read again from the marker. Records that come to nothing are
        worth no transaction of their own: they go with the source's next checkpoint, or are read again.
        """
        owned = self.owned.get(fetched.partition)
        if owned is None or fetched.epoch != self.epoch:
            return 0
        seen, passed = owned.seen(fetched.source), owned.passed.get(fetched.source)
        expected = max(seen, self.positions[fetched.source, fetched.partition] - 1)
        if fetched.after > expected:
            raise Fatal(
                f"{fetched.source}/{fetched.partition}: records after {expected} were skipped, got those after {fetched.after}"
            )
        records = [record for record in fetched.records if record.offset > seen]
        if not records:
            return 0
        batch = Batch(fetched.source, fetched.partition, records)
        decided = self.stage.decide(owned.store, batch)
        redelivered = len(fetched.records) - len(records)
        if decided.is_nothing:
            owned.passed[fetched.source] = Passed.after(passed, records, redelivered)
            return len(records)
        owned.checkpoint.commit(owned.store, batch, Passed.after(passed, records, redelivered), decided)
        owned.passed.pop(fetched.source, None)
        owned.event_ms = max(
            owned.event_ms,
            decided.event_ms if self.topology.simulated else min(decided.event_ms, time.time_ns() // 1_000_000),
        )
        return len(records)

    def sweep(self, partition: int, epoch: int) -> int:
        """Look at the next rows of an owned partition and delete the old ones; returns how many. Raises Fatal.

        No decision reads a row whose horizon is over. It is kept for one more: retention, too, is one horizon, so no input that could
        still come is from before that, however late it is.
        """
        owned = self.owned.get(partition)
        if owned is None or epoch != self.epoch or owned.event_ms <= owned.swept_ms:
            return 0
        before_ms = owned.event_ms - HORIZONS_KEPT * self.topology.horizon_ms
        keys, all_seen = owned.store.old_keys(self.stage.tables, before_ms, SWEPT_AT_ONCE)
        if all_seen:
            owned.swept_ms = owned.event_ms
        if keys:
            owned.checkpoint.forget(owned.store, keys)
        return len(keys)
