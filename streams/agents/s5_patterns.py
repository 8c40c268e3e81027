"""Depth 5. artifacts.decided, a window at a time -> patterns, windows. No stage of Faust's: it looks at many texts at once.

A process of its own, woken by the ticks on `control`. Of several workers' the group's one member is at work, and a newer one fences it off.
It keeps nothing: a window's event says which offsets were read, and its patterns are found again from them and from the window before.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.agents.windows import (
    Rules,
    before_of,
    compute,
    pattern_records,
    read_ranges,
    window_event,
)
from streams.agents.windows_written import newest_window
from streams.codec import Undecodable, decoder, encoder
from streams.errors import EXIT_FATAL, BrokerError, Fatal
from streams.registry_client import adopt_ids
from streams.runtime.rules import rule_version
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

if TYPE_CHECKING:
    from streams.domain.window import Window

log = logging.getLogger("icn.patterns")

STAGE = "s5_patterns"
POLL_S = 0.5
CHUNK = 1_000
ROUNDS_MAX = 1_000  # of reading on: a flood on control must not keep a stop from being heard
COMPUTE_MAX_S = 900
TRANSACTION_TIMEOUT_MS = 60_000
FENCE_TIMEOUT_S = 60


class Patterns:
    """Writes a window's patterns, all of them or none. Raises Fatal, BrokerError."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.rules, self.rule = Rules.of(topology), rule_version(topology)
        self.encode_pattern, self.encode_window = encoder("pattern"), encoder("window")
        self.producer: Producer | None = None
        self.slot_ms: int | None = None  # of the newest window
        self.patterns: list[dict[str, Any]] = []

    def take_over(self) -> None:
        """Fence off whoever was before, and go on from what it has written."""
        self.producer = Producer(
            self.settings.librdkafka_producer(
                **{
                    "client.id": "icn-patterns",
                    "transactional.id": f"{self.topology.deployment}-{STAGE}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                }
            )
        )
        try:
            self.producer.init_transactions(FENCE_TIMEOUT_S)
        except KafkaException as error:
            raise Fatal(f"can't take over {STAGE}: {error.args[0].str()}") from error
        window, self.patterns = newest_window(self.topology, self.settings)
        self.slot_ms = window["slot_ms"] if window else None

    def is_due(self, slot_ms: int) -> bool:
        return slot_ms % self.rules.every_ms == 0 and (self.slot_ms is None or slot_ms > self.slot_ms)

    def make(self, slot_ms: int) -> Window:
        """The window that ends there."""
        ranges = read_ranges(self.topology, self.settings, slot_ms)
        window, of = compute(self.topology, self.settings, ranges, slot_ms, before_of(self.patterns))
        patterns = pattern_records(self.topology, STAGE, window, self.rule, self.encode_pattern)
        values = [pattern["value"] for pattern in patterns]
        event = window_event(self.topology, window, of, ranges, slot_ms, self.slot_ms, self.rule, values)
        self._commit(event, patterns)
        self.slot_ms, self.patterns = slot_ms, window.patterns
        return window

    def _commit(self, window: dict[str, Any], patterns: list[dict[str, Any]]) -> None:
        """patterns: records."""
        assert self.producer is not None
        topics = {alias: self.topology.topic(alias).name for alias in ("patterns", "windows")}
        try:
            self.producer.begin_transaction()
            for pattern in patterns:
                self.producer.produce(topics["patterns"], **pattern)
            self.producer.produce(topics["windows"], self.encode_window(window), STAGE.encode())
            self.producer.commit_transaction()
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else "the output queue is full"
            raise Fatal(f"{STAGE}: window {window['slot_ms']} not committed: {reason}") from error


class Watch:
    """Waits for ticks as the one member of its group that has control's partition; of several that are due, the newest is told."""

    def __init__(self, topology: Topology, settings: Settings, on_assigned: Callable[[], None]) -> None:
        self.decode, self.on_assigned = decoder("control"), on_assigned
        self.ahead_max_ms = Rules.of(topology).every_ms
        self.consumer = Consumer(
            settings.librdkafka_reader(
                **{
                    "client.id": "icn-patterns",
                    "group.id": topology.windows[STAGE].group,
                    "auto.offset.reset": "earliest",
                    "max.poll.interval.ms": COMPUTE_MAX_S * 1000,
                    "enable.auto.commit": False,
                }
            )
        )
        self.is_mine = False
        name = topology.topic("control").name
        self.consumer.subscribe([name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.is_mine = any(at.partition == 0 for at in partitions)  # ticks are on every partition
        if self.is_mine:
            self.on_assigned()

    def _revoked(self, *_: Any) -> None:
        self.is_mine = False

    def due(self, is_due: Callable[[int], bool], timeout_s: float) -> int | None:
        """The newest slot that is due, once everything that is there is read."""
        found: int | None = None
        for _ in range(ROUNDS_MAX):
            messages = self.consumer.consume(CHUNK, timeout_s if found is None else 0.1)
            if not messages:
                break
            for message in messages:
                if message.error() is not None or message.partition() != 0:
                    continue
                try:
                    event = self.decode(message.value() or b"")
                except Undecodable:
                    continue
                # one that is ahead of the broker's own time would make all later ones look old
                ahead_ms = event["slot_ms"] - message.timestamp()[1]
                if event["kind"] == "tick" and ahead_ms <= self.ahead_max_ms and is_due(event["slot_ms"]):
                    found = max(found or 0, event["slot_ms"])
        # asked again: a rebalance on the way may have made this process know of a newer one
        return found if self.is_mine and found is not None and is_due(found) else None

    def commit(self) -> None:
        """For the lag figure: what is due is known from the newest window."""
        try:
            self.consumer.commit(asynchronous=True)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                log.info("offsets not committed: %s", error.args[0].str())


def run() -> int:
    """Until SIGTERM. Exit codes: 0 stopped, 1 no broker (try again), 70 fatal (restart me)."""
    hold_on_to_lifeline()
    setup_logging()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        topology = load()
        settings = read_settings(topology)
        adopt_ids(topology, settings)
        patterns = Patterns(topology, settings)
        watch = Watch(topology, settings, patterns.take_over)
        while not stop.is_set():
            slot_ms = watch.due(patterns.is_due, POLL_S)
            if slot_ms is not None:
                began = time.monotonic()
                window = patterns.make(slot_ms)
                took_s = time.monotonic() - began
                log.info("%d patterns in %d texts, found in %.1f s", len(window.patterns), len(window.texts), took_s)
            watch.commit()
        watch.consumer.close()
    except BrokerError as error:  # it may come back: the supervisor tries again
        log.warning("patterns: %s", error)
        return 1
    except Fatal as error:
        log.error("patterns: %s", error)
        return EXIT_FATAL
    return 0


if __name__ == "__main__":
    sys.exit(run())
