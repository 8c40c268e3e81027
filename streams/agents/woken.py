"""What the processes that ticks wake have in common: they wait for their turn, fence off whoever was before, and write all of a turn or
nothing. No stages of Faust's: they look at many records at once."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.codec import Undecodable, decoder
from streams.errors import EXIT_FATAL, BrokerError, Fatal
from streams.registry_client import adopt_ids
from streams.runtime.stage import Message
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

POLL_S = 0.5
CHUNK = 1_000
ROUNDS_MAX = 1_000  # of reading on: a flood on control must not keep a stop from being heard
TURN_MAX_S = 900
TRANSACTION_TIMEOUT_MS = 60_000
FENCE_TIMEOUT_S = 60


class Woken(Protocol):
    """every_ms: between two turns, at the least."""

    every_ms: int

    def take_over(self) -> None:
        """This process is the one at work from now on. Raises Fatal, BrokerError."""

    def is_due(self, slot_ms: int) -> bool: ...

    def turn(self, slots_ms: list[int]) -> str | None:
        """These are due, ascending, at least one. Returns a line for the log. Raises Fatal, BrokerError."""


class Writer:
    """A turn's records, in one transaction. Another one of the same stage is fenced off when this one is made. Raises Fatal."""

    def __init__(self, topology: Topology, settings: Settings, stage: str) -> None:
        self.topology, self.stage = topology, stage
        self.producer = Producer(
            settings.librdkafka_producer(
                **{
                    "client.id": f"icn-{stage}",
                    "transactional.id": f"{topology.deployment}-{stage}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                }
            )
        )
        try:
            self.producer.init_transactions(FENCE_TIMEOUT_S)
        except KafkaException as error:
            raise Fatal(f"can't take over {stage}: {error.args[0].str()}") from error

    def commit(self, slot_ms: int, messages: Iterable[tuple[str, Message]]) -> None:
        """(topic's alias, message), in order."""
        try:
            self.producer.begin_transaction()
            for alias, message in messages:
                self.producer.produce(self.topology.topic(alias).name, **message)
            self.producer.commit_transaction()
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else "the output queue is full"
            raise Fatal(f"{self.stage}: slot {slot_ms} not committed: {reason}") from error


class Ticks:
    """Waits for ticks as the one member of its group that has control's partition 0; they are on every partition."""

    def __init__(self, topology: Topology, settings: Settings, stage: str, woken: Woken) -> None:
        self.decode, self.woken, self.is_mine = decoder("control"), woken, False
        self.consumer = Consumer(
            settings.librdkafka_reader(
                **{
                    "client.id": f"icn-{stage}",
                    "group.id": topology.windows[stage].group,
                    "auto.offset.reset": "earliest",
                    # by its default the next process waits 45 s for one that was killed
                    "session.timeout.ms": settings.session_timeout_ms,
                    "heartbeat.interval.ms": settings.session_timeout_ms // 3,
                    "max.poll.interval.ms": TURN_MAX_S * 1000,
                    "enable.auto.commit": False,
                }
            )
        )
        name = topology.topic("control").name
        self.consumer.subscribe([name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.is_mine = any(at.partition == 0 for at in partitions)
        if self.is_mine:
            self.woken.take_over()

    def _revoked(self, *_: Any) -> None:
        self.is_mine = False

    def due(self, timeout_s: float) -> list[int]:
        """The slots that are due, ascending, once everything that is there is read."""
        found: set[int] = set()
        for _ in range(ROUNDS_MAX):
            messages = self.consumer.consume(CHUNK, 0.1 if found else timeout_s)
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
                if event["kind"] == "tick" and ahead_ms <= self.woken.every_ms:
                    found.add(event["slot_ms"])
        # asked here: a rebalance on the way may have made this process know of newer ones
        return sorted(filter(self.woken.is_due, found)) if self.is_mine else []

    def commit(self) -> None:
        """For the lag figure: what is due is known from what was written."""
        try:
            self.consumer.commit(asynchronous=True)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                logging.getLogger("icn.woken").info("offsets not committed: %s", error.args[0].str())


def run(stage: str, make: Callable[[Topology, Settings], Woken]) -> int:
    """Until SIGTERM. Exit codes: 0 stopped, 1 no broker (try again), 70 fatal (restart me)."""
    hold_on_to_lifeline()
    setup_logging()
    log = logging.getLogger(f"icn.{stage}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        topology = load()
        settings = read_settings(topology)
        adopt_ids(topology, settings)
        woken = make(topology, settings)
        ticks = Ticks(topology, settings, stage, woken)
        while not stop.is_set():
            if slots_ms := ticks.due(POLL_S):
                began = time.monotonic()
                if said := woken.turn(slots_ms):
                    log.info("%s, in %.1f s", said, time.monotonic() - began)
            ticks.commit()
        ticks.consumer.close()
    except BrokerError as error:  # it may come back: the supervisor tries again
        log.warning("%s: %s", stage, error)
        return 1
    except Fatal as error:
        log.error("%s: %s", stage, error)
        return EXIT_FATAL
    return 0
