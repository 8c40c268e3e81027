"""What the stages did, minute by minute, from `batches`, `phoenix.rounds` and `windows`: they pay nothing for it, and the log has one
record a kind and minute.

A minute is counted when it is over, by the broker's clock; counted again after a crash it has the same name and the same number.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException

from streams.audit.files import write_whole
from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
from streams.audit.record.schedule import MS, Schedule
from streams.broker.topics import fold
from streams.clock import Clock
from streams.codec import Undecodable, decoder
from streams.errors import IcnError
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.tally")

MINUTE_MS = 60_000
SETTLES_MS = 3_000  # the broker's clock and ours differ, and an append takes its time
LOOK_EVERY_S = 1.0

# stage -> outcome of its batches -> what that is in the audit log
TYPES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "s1_intake": {
        "admitted": ("artifact_received", "backpressure_accept"),
        "rejected": ("artifact_received", "artifact_rejected"),
        "rejected:quota_exceeded": ("backpressure_reject",),
        "rejected:intake_full": ("backpressure_reject",),
    },
    "s2_dedup": dict.fromkeys(("unique", "upgraded", "duplicate"), ("artifact_deduped",)),
    "s4_priority": {"scored": ("artifact_prioritized",)},
}


def _of_batch(batch: Mapping[str, Any]) -> Counter[str]:
    found = Counter[str]()
    for outcome, types in TYPES.get(batch["stage"], {}).items():
        for type_ in types:
            found[type_] += batch["counts"].get(outcome, 0)
    return found


def _of_round(round_: Mapping[str, Any]) -> Counter[str]:
    return Counter(artifact_fed=round_["fed"], phoenix_feed_skipped=round_["told"])


def _of_window(window: Mapping[str, Any]) -> Counter[str]:
    return Counter(pattern_detected=sum(change["kind"] == "born" for change in window["changes"]))


# alias of a topic -> its schema, and what an event of it counts
TOLD_BY: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Counter[str]]]] = {
    "batches": ("batch", _of_batch),
    "phoenix.rounds": ("round", _of_round),
    "windows": ("window", _of_window),
}


class Tally:
    """`step` counts what is over. file: where it says how far it came. Minutes before the schedule's t0 are none of it."""

    def __init__(
        self, topology: Topology, settings: Settings, audit: AuditLog, schedule: Schedule, file: Path, clock: Clock
    ) -> None:
        self.settings, self.audit, self.schedule, self.file, self.clock = settings, audit, schedule, file, clock
        self.topics = {alias: topology.topic(alias).name for alias in TOLD_BY}
        self.next_ms = self._kept()
        now = clock.now()
        self._steady_ns = now.wall_ns - now.boot_ns  # the broker's clock does not follow where ours is set
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="audit-tally")

    def _kept(self) -> int:
        try:
            kept = int(json.loads(self.file.read_text()))
        except (OSError, ValueError, TypeError):
            kept = 0
        return max(kept, self.schedule.t0_ms)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """The schedule has ended: the minute that isn't over is counted as far as it went; nobody counts it again."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(15)
        try:
            self.step(is_last=True)
        except (IcnError, KafkaException, OSError) as error:
            log.warning("what the stages did in the last minute isn't counted: %s", error)

    def _run(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            try:
                self.step()
            except (IcnError, KafkaException, OSError) as error:  # the broker is away: these minutes are counted later
                log.warning("what the stages did isn't counted yet: %s", error)
                self._closing.wait(10)

    def step(self, is_last: bool = False) -> None:
        """Write the counts of each minute that is over; the last time, of all there is."""
        now_ms = (self._steady_ns + self.clock.now().boot_ns) // MS
        end_ms = now_ms if is_last else (now_ms - SETTLES_MS) // MINUTE_MS * MINUTE_MS
        if end_ms <= self.next_ms:
            return
        found = {alias: self._counted(alias, end_ms) for alias in TOLD_BY}
        for minute_ms in sorted({minute_ms for counts in found.values() for minute_ms in counts}):
            for alias, counts in found.items():
                self._write(alias, minute_ms, counts.get(minute_ms, Counter()))
        self.next_ms = end_ms
        write_whole(self.file, json.dumps(end_ms).encode())

    def _counted(self, alias: str, end_ms: int) -> dict[int, Counter[str]]:
        """Minute -> what its events count."""
        schema, count = TOLD_BY[alias]
        decode, found = decoder(schema), defaultdict[int, Counter[str]](Counter)
        for message in fold(self.settings, self.topics[alias], since_ms=self.next_ms):
            at_ms = message.timestamp()[1]
            if at_ms >= end_ms:
                break
            with contextlib.suppress(Undecodable):  # replay tells of it
                found[at_ms // MINUTE_MS * MINUTE_MS] += count(decode(message.value() or b""))
        return found

    def _write(self, alias: str, minute_ms: int, counts: Counter[str]) -> None:
        # of the minute in which the schedule began only what came after; of one behind its end, all is its last tick's
        tick = max(0, self.schedule.slot_at(minute_ms))
        if self.schedule.slots is not None:
            tick = min(tick, self.schedule.slots - 1)
        for type_, number in sorted(counts.items()):
            if number:
                self.audit.write(Event(type_, tick, f"{self.topics[alias]}@{minute_ms}", 1, artifact_count=number))
