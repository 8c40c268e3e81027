"""A trainer: reads what is fed, and says what it found out.

with Phoenix(group="classifier", judge="trainer-1") as feed:
    for scenario in feed:
        learn(scenario.input, scenario.expected)
        scenario.confirm(weight=0.8, reason="fits what is known")
        scenario.acknowledge()

At least once: what was not acknowledged comes again when the next process of the group starts, with the same `scenario_id`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.codec import Undecodable, decoder
from streams.errors import BrokerError, IcnError
from streams.registry_client import adopt_ids
from streams.sdk.judge import Judge
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

log = logging.getLogger("icn.sdk")

POLL_S = 0.2
LEARNS_MAX_MS = 86_400_000  # between two scenarios: librdkafka's most


@dataclass(frozen=True)
class Scenario:
    """What there is to learn from. event: all of it, as schemas/scenario.avsc has it."""

    scenario_id: str
    content_type: str
    domain: str
    difficulty: float  # [0..10]
    objectives: tuple[str, ...]
    input: str  # at most 2,000 characters
    expected: dict[str, Any]
    context: dict[str, str]
    tlp: str
    tags: tuple[str, ...]
    novelty: float  # [0..1]
    event: dict[str, Any] = field(repr=False)
    _feed: Phoenix = field(repr=False, compare=False)
    _at: tuple[int, int, int] = field(repr=False, compare=False)  # which assignment, partition, offset

    def acknowledge(self) -> None:
        """Done with it: it doesn't come again, once all before it are acknowledged too. A second time does nothing. Raises BrokerError."""
        self._feed._acknowledge(self._at)

    def confirm(self, weight: float = 1.0, reason: str | None = None) -> str:
        """It is true: a verdict on its node; its verdict_id. weight: how sure [0..1]. Raises IcnError, BrokerError."""
        return self._feed._answer(self.event, "confirmed", weight, reason)

    def refute(self, weight: float = 1.0, reason: str | None = None) -> str:
        """It is false."""
        return self._feed._answer(self.event, "refuted", weight, reason)

    def unclear(self, reason: str | None = None) -> str:
        """There is no telling: on record, counts nothing."""
        return self._feed._answer(self.event, "unclear", 1.0, reason)


class Phoenix:
    """The feed, as one group of trainers reads it: of several processes of a group one has it. judge: who its verdicts are of, registered
    (icn judge register); None: it gives none. idle_s: end when nothing came for so long; None: wait for ever. Raises IcnError: no
    broker, no token."""

    def __init__(
        self,
        broker: str | None = None,
        group: str = "trainer",
        *,
        judge: str | None = None,
        token: str | None = None,
        idle_s: float | None = None,
        state: str | Path | None = None,
        topology: Topology | None = None,
    ) -> None:
        self.topology, self.idle_s = topology or load(), idle_s
        self.settings: Settings = read_settings(
            self.topology, brokers=broker, state=None if state is None else str(state)
        )
        self.settings.require_brokers()
        adopt_ids(self.topology, self.settings)
        self.group = f"{self.topology.deployment}-trainer-{group}"
        self._judge = None
        if judge is not None:
            self._judge = Judge(judge, broker=broker, token=token, state=state, topology=self.topology)
        self._topic, self._decode = self.topology.topic("phoenix.feed").name, decoder("scenario")
        self._assignment = 0
        self._open: dict[int, dict[int, bool]] = {}  # partition -> offsets handed out, ascending -> acknowledged
        self._consumer = Consumer(
            self.settings.librdkafka_reader(
                **{
                    "client.id": f"icn-trainer-{group}",
                    "group.id": self.group,
                    "auto.offset.reset": "earliest",
                    "enable.auto.commit": False,
                    "session.timeout.ms": self.settings.session_timeout_ms,
                    "heartbeat.interval.ms": self.settings.session_timeout_ms // 3,
                    "max.poll.interval.ms": LEARNS_MAX_MS,
                    "enable.partition.eof": False,
                }
            )
        )
        self._consumer.subscribe([self._topic], on_assign=self._new_assignment, on_revoke=self._new_assignment)

    def _new_assignment(self, *_: Any) -> None:
        self._assignment += 1  # what was handed out before is another process's now, or comes again
        self._open.clear()

    def __iter__(self) -> Iterator[Scenario]:
        last_s = time.monotonic()
        while self.idle_s is None or time.monotonic() - last_s < self.idle_s:
            message = self._consumer.poll(POLL_S)
            if message is None or message.error() is not None:
                continue  # librdkafka goes on by itself once the broker is back
            try:
                event = self._decode(message.value() or b"")
            except Undecodable as error:
                log.warning("%s/%d/%d is no scenario: %s", self._topic, message.partition(), message.offset(), error)
                continue
            yield self._scenario(event, message.partition(), message.offset())
            last_s = time.monotonic()

    def _scenario(self, event: dict[str, Any], partition: int, offset: int) -> Scenario:
        self._open.setdefault(partition, {})[offset] = False
        plain = (
            "scenario_id",
            "content_type",
            "domain",
            "difficulty",
            "input",
            "expected",
            "context",
            "tlp",
            "novelty",
        )
        return Scenario(
            **{name: event[name] for name in plain},
            objectives=tuple(event["objectives"]),
            tags=tuple(event["tags"]),
            event=event,
            _feed=self,
            _at=(self._assignment, partition, offset),
        )

    def _acknowledge(self, at: tuple[int, int, int]) -> None:
        assignment, partition, offset = at
        handed_out = self._open.get(partition, {})
        if assignment != self._assignment or offset not in handed_out:
            return
        handed_out[offset] = True
        done = None
        while handed_out and handed_out[first := next(iter(handed_out))]:
            del handed_out[first]
            done = first
        if done is not None:
            try:
                self._consumer.commit(offsets=[TopicPartition(self._topic, partition, done + 1)], asynchronous=False)
            except KafkaException as error:
                raise BrokerError(
                    f"not acknowledged: {error.args[0].str()}",
                    "it will come again; is the broker running? icn broker status",
                ) from error

    def _answer(self, event: dict[str, Any], outcome: str, weight: float, reason: str | None) -> str:
        if self._judge is None:
            raise IcnError(
                "this trainer gives no verdicts", 'say who it is: Phoenix(..., judge="NAME"), icn judge register NAME'
            )
        return self._judge.answer(event, outcome, weight, reason)

    def close(self) -> None:
        """Leave the group. What is not acknowledged comes again."""
        self._consumer.close()

    def __enter__(self) -> Phoenix:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
