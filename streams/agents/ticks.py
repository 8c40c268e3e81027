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
    audit = try_process_log(topology, settings, "ticks")
    while not stop.is_set():
        for slot_ms, cadence_ms in due(slot, time.time_ns() // 1_000_000):
            began_ns = time.monotonic_ns()
            for partition in range(topic.partitions):
                producer.produce(
                    topic.name, encode({**TICK, "slot_ms": slot_ms, "cadence_ms": cadence_ms}), b"", partition=partition
                )
            slot = slot_ms
            if audit is not None and cadence_ms == MINUTE_MS:
                tick = slot_ms // MINUTE_MS
                audit.write(Event("tick_started", tick, "control"))
                left = producer.flush(10)
                took_ns = time.monotonic_ns() - began_ns
                kind, error = ("tick_failed", "the broker does not answer") if left else ("tick_completed", None)
                audit.write(Event(kind, tick, "control", 1, not left, took_ns, error=error))
        producer.flush(10)
        stop.wait(0.5)
    if audit is not None:
        audit.close()
    return 0


if __name__ == "__main__":
    sys.exit(run())
