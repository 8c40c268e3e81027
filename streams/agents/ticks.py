"""The tick emitter: writes each minute's and hour's slot to every partition of `control`, so that replays see time pass.

A process of its own beside the stages. Slots are idempotent: two emitters write the same ticks, and readers know them by slot.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from streams.audit.record.events import Event
from streams.audit.record.process import try_process_log
from streams.audit.record.schedule import MS, KeptSchedule, Schedule
from streams.audit.record.tally import Tally
from streams.broker.topics import watermarks
from streams.codec import Undecodable, decoder, encoder
from streams.domain.ticks import MINUTE_MS, due
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

log = logging.getLogger("icn.ticks")

LOOK_BACK = 200  # records of control read at the start to find the last tick
TICK: dict[str, Any] = {
    "kind": "tick",
    "node_id": None,
    "principal": None,
    "generation": 0,
    "capabilities": [],
    "capacity": 0,
}


def last_slot(topology: Topology, settings: Settings) -> int | None:
    """The newest minute on partition 0 of control, None if there is none among the last records."""
    decode = decoder("control")
    consumer = Consumer(settings.librdkafka_reader())
    try:
        at = TopicPartition(topology.topic("control").name, 0)
        low, high = watermarks(consumer, at.topic, 0)
        if high == low:
            return None
        at.offset = max(low, high - LOOK_BACK)
        consumer.assign([at])
        newest = None
        while True:
            for message in consumer.consume(LOOK_BACK, 0.1):
                if message.error() is not None:
                    return newest
                try:
                    event = decode(message.value())
                except Undecodable:
                    continue
                if event["kind"] == "tick":
                    newest = max(newest or 0, event["slot_ms"])
    finally:
        consumer.close()


SCHEDULE_AHEAD_MS = MINUTE_MS  # at least: so that a checkpoint covers what was promised before it begins
TOLERANCE_MS = 2_000


class Promise:
    """The ticks in the audit log: promised in the manifest, then told one by one. audit None: the log could not be opened."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        folder, now_ms = settings.state / "audit", time.time_ns() // MS
        self.kept = KeptSchedule(folder / "ticks.schedule")
        t0_ms = ((now_ms + SCHEDULE_AHEAD_MS) // MINUTE_MS + 1) * MINUTE_MS
        self.schedule = self.kept.resume_or_begin(Schedule("ticks", t0_ms, MINUTE_MS, None, TOLERANCE_MS))
        self.audit = try_process_log(topology, settings, "ticks", schedule=self.schedule.json())
        self.tally: Tally | None = None
        if self.audit is not None:
            self.tally = Tally(topology, settings, self.audit, self.schedule, folder / "ticks.tally", self.audit.clock)
            self.tally.start()

    def began(self, slot_ms: int) -> None:
        if self.audit is not None and (tick := self.schedule.slot_at(slot_ms)) >= 0:
            self.audit.write(Event("tick_started", tick))

    def ended(self, slot_ms: int, took_ns: int, error: str | None) -> None:
        if self.audit is not None and (tick := self.schedule.slot_at(slot_ms)) >= 0:
            kind = "tick_completed" if error is None else "tick_failed"
            self.audit.write(Event(kind, tick, success=error is None, duration_ns=took_ns, error=error))

    def close(self) -> None:
        if self.tally is not None:
            self.tally.stop()
        if self.audit is not None:
            self.audit.close()
            self.kept.end()


def run() -> int:
    """Emit until SIGTERM."""
    hold_on_to_lifeline()
    setup_logging()
    topology = load()
    settings = read_settings(topology)
    topic = topology.topic("control")
    encode = encoder("control")
    producer = Producer(settings.librdkafka_producer(**{"client.id": "icn-ticks"}))
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    slot = last_slot(topology, settings)
    log.info("ticks: last slot %s", slot)
    promise = Promise(topology, settings)
    while not stop.is_set():
        now_ms = time.time_ns() // MS
        for slot_ms, cadence_ms in due(slot, now_ms):
            # a slot that is over is emitted late, so that replays see time pass; in the audit log it was missed
            told = cadence_ms == MINUTE_MS and slot_ms + MINUTE_MS > now_ms
            began_ns = time.monotonic_ns()
            if told:
                promise.began(slot_ms)
            for partition in range(topic.partitions):
                producer.produce(
                    topic.name, encode({**TICK, "slot_ms": slot_ms, "cadence_ms": cadence_ms}), b"", partition=partition
                )
            slot = slot_ms
            if told:
                left = producer.flush(10)
                error = "the broker does not answer" if left else None
                promise.ended(slot_ms, time.monotonic_ns() - began_ns, error)
        producer.flush(10)
        stop.wait(0.5)
    promise.close()
    return 0


if __name__ == "__main__":
    sys.exit(run())
