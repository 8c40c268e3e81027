"""The ticks: writes each minute's and hour's slot to every partition of `control`, so that replays see time pass, and takes the coordinator
through its cycle, a tick of the schedule after another.

A process of its own beside the stages. Slots on `control` are idempotent: two emitters write the same ticks, and readers know them by slot;
of two coordinators the newer one fences the older one off.
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

from streams.agents.coordinator import Coordinator, rules_of
from streams.agents.promise import NAME, Promise
from streams.audit.record.schedule import MS
from streams.broker.topics import watermarks
from streams.codec import Undecodable, decoder, encoder
from streams.domain.ticks import MINUTE_MS, due
from streams.errors import EXIT_FATAL, BrokerError, Fatal
from streams.registry_client import adopt_ids
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

log = logging.getLogger("icn.ticks")

LOOK_BACK = 200  # records of control read at the start to find the last tick
POLL_S = 0.05
EMIT_EVERY_S = 0.5
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


class Emitter:
    """Time, as events."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topic, self.encode = topology.topic("control"), encoder("control")
        self.producer = Producer(settings.librdkafka_producer(**{"client.id": "icn-ticks"}))
        self.slot = last_slot(topology, settings)
        self.next_s = 0.0

    def emit(self) -> None:
        """What is due; a slot that is over is emitted late, so that replays see time pass."""
        if time.monotonic() < self.next_s:
            return
        self.next_s = time.monotonic() + EMIT_EVERY_S
        for slot_ms, cadence_ms in due(self.slot, time.time_ns() // MS):
            self.write(slot_ms, cadence_ms)
            self.slot = slot_ms
        self.producer.poll(0)

    def write(self, slot_ms: int, cadence_ms: int) -> None:
        value = self.encode({**TICK, "slot_ms": slot_ms, "cadence_ms": cadence_ms})
        for partition in range(self.topic.partitions):
            self.producer.produce(self.topic.name, value, b"", partition=partition)


def write_slot(topology: Topology, settings: Settings, slot_ms: int) -> None:
    """One minute's, where nobody emits them."""
    emitter = Emitter(topology, settings)
    emitter.write(slot_ms, MINUTE_MS)
    emitter.producer.flush(10)


class Cycle:
    """One tick after another. A slot that begins while the last one is still at it is missed, not squeezed in afterwards."""

    def __init__(self, coordinator: Coordinator, promise: Promise) -> None:
        self.coordinator, self.promise, self.schedule = coordinator, promise, promise.schedule
        self.now_ms = promise.kept.steady.now_ms
        self.began_ns = 0
        self.set_by_ms = 0.0  # as it was last told

    def resume(self) -> None:
        """A tick that an earlier process had begun is gone on with; one that is over never ended."""
        slot, now_ms = self.coordinator.slot, self.now_ms()
        if slot is None:
            return
        self.promise.still_open(
            self.coordinator.core, slot
        )  # if it is over, this is no more than a start: they have failed
        if slot == self.schedule.slot_at(now_ms) and now_ms < self._over_ms(slot):
            self.began_ns = time.monotonic_ns()
        else:
            self.coordinator.slot = None

    def step(self, poll_s: float = POLL_S) -> None:
        """What is to be done now; else wait a little for what comes in."""
        coordinator, schedule = self.coordinator, self.schedule
        now_ms = self.now_ms()
        slot = schedule.slot_at(now_ms)
        open_ = coordinator.slot
        if open_ is not None:
            if coordinator.core.is_all_back or now_ms >= self._over_ms(open_):
                self._end(open_)
                return
        elif not self._is_over(slot) and self._begins_ms(slot) > coordinator.core.slot_ms:
            self._begin(slot)
            return
        if coordinator.poll(poll_s):
            coordinator.hear()

    def _is_over(self, slot: int) -> bool:
        return self.schedule.slots is not None and slot >= self.schedule.slots

    def _begins_ms(self, slot: int) -> int:
        return self.schedule.t0_ms + slot * self.schedule.cadence_ms

    def _over_ms(self, slot: int) -> int:
        return self._begins_ms(slot) + self.schedule.overlong_ms

    def _begin(self, slot: int) -> None:
        self.began_ns = time.monotonic_ns()
        set_by_ms = self.promise.kept.steady.was_set_by_ms()
        if abs(set_by_ms - self.set_by_ms) > self.schedule.tolerance_ms:
            self.set_by_ms = set_by_ms
            log.warning(
                "the clock was set by %+.1f s; the schedule goes on by the boot clock until it is ended",
                set_by_ms / 1000,
            )
        self.promise.began(slot)
        with self._told(slot):
            self.coordinator.begin(slot, self._begins_ms(slot))

    def _end(self, slot: int) -> None:
        with self._told(slot):
            made = self.coordinator.end()
            self.promise.ended(slot, time.monotonic_ns() - self.began_ns, made.tick["success"])

    def _told(self, slot: int) -> _Failing:
        return _Failing(self.promise, slot, self.began_ns)


class _Failing:
    """A step that fails ends the process; first the log is told which tick it was."""

    def __init__(self, promise: Promise, slot: int, began_ns: int) -> None:
        self.promise, self.slot, self.began_ns = promise, slot, began_ns

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (Fatal, BrokerError)):
            self.promise.ended(self.slot, time.monotonic_ns() - self.began_ns, False, str(error))


def run() -> int:
    """Until SIGTERM. Exit codes: 0 stopped, 1 no broker (try again), 70 fatal (restart me)."""
    hold_on_to_lifeline()
    setup_logging()
    topology = load()
    settings = read_settings(topology)
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        adopt_ids(topology, settings)
        emitter = Emitter(topology, settings)
        promise = Promise(topology, settings, rules_of(topology).cadence_ms)
        coordinator = Coordinator(topology, settings, NAME, promise)
        coordinator.restore()
        log.info("ticks: %s; %d steps taken again", promise.schedule.text(), coordinator.restored)
        cycle = Cycle(coordinator, promise)
        cycle.resume()
        while not stop.is_set():
            emitter.emit()
            cycle.step()
        emitter.producer.flush(10)
    except BrokerError as error:  # it may come back: the supervisor tries again
        log.warning("ticks: %s", error)
        return 1
    except Fatal as error:
        log.error("ticks: %s", error)
        return EXIT_FATAL
    promise.close()
    coordinator.close()
    return 0


if __name__ == "__main__":
    sys.exit(run())
