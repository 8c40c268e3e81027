"""A trainer: reads what is fed, and says what it found out.

with Phoenix(group="classifier", judge="trainer-1") as feed:
    for scenario in feed:
        learn(scenario.input, scenario.expected)
        scenario.confirm(weight=0.8, reason="fits what is known")
        scenario.acknowledge()

At least once: what was not acknowledged comes again when the next process of the group starts, with the same `scenario_id`.
"""

from __future__ import annotations

import itertools
import logging
import re
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
REACH_S = 5
SILENT_S = 5
_GROUP = re.compile(r"[A-Za-z0-9._-]{1,100}")
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
    (icn judge register); None: it gives none. idle_s: end when nothing came for so long since it has its part; None: wait for ever.
    Raises IcnError: no broker that answers within 5 s, no token, no such group."""

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
        if not _GROUP.fullmatch(group):
            raise IcnError(
                f"group {group!r}: 1 to 100 letters, digits, dots, dashes or underscores",
                'for example group="classifier"',
            )
        self.group = f"{self.topology.deployment}-trainer-{group}"
        self._judge = None
        if judge is not None:
            self._judge = Judge(judge, broker=broker, token=token, state=state, topology=self.topology)
        self._topic, self._decode = self.topology.topic("phoenix.feed").name, decoder("scenario")
        self._assignment, self._waits_s = 0, 0.0  # how many so far; since when nothing came
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
        self._reach()
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked)

    def _reach(self) -> None:
        """Whoever waits for ever for a broker that isn't there waits for nothing."""
        try:
            about = self._consumer.list_topics(self._topic, timeout=REACH_S).topics[self._topic]
        except KafkaException as error:
            self._consumer.close()
            raise BrokerError(
                f"{self.settings.brokers}: {error.args[0].str()}", "is the broker running? icn broker status"
            ) from error
        if about.error is not None:
            self._consumer.close()
            raise IcnError(f'topic "{self._topic}": {about.error.str()}', "icn topics apply makes what is missing")

    def _assigned(self, *_: Any) -> None:
        self._forget()
        self._waits_s = time.monotonic()

    def _revoked(self, *_: Any) -> None:
        self._forget()

    def _forget(self) -> None:
        self._assignment += 1  # what was handed out before is another process's now, or comes again
        self._open.clear()

    def __iter__(self) -> Iterator[Scenario]:
        """Raises IcnError once it is closed."""
        self._waits_s, told_s = time.monotonic(), time.monotonic()
        while self.idle_s is None or time.monotonic() - self._waits_s < self._patience_s(self.idle_s):
            try:
                message = self._consumer.poll(POLL_S)
            except RuntimeError as error:
                raise IcnError("this feed is closed", "make a new Phoenix(...)") from error
            if message is None or message.error() is not None:  # librdkafka goes on by itself once the broker is back
                if not self._assignment and time.monotonic() - told_s > SILENT_S:
                    told_s = time.monotonic()
                    log.warning(
                        "group %s has nothing for this process: another one of it reads, or was killed and times out",
                        self.group,
                    )
                continue
            try:
                event = self._decode(message.value() or b"")
            except Undecodable as error:
                log.warning("%s/%d/%d is no scenario: %s", self._topic, message.partition(), message.offset(), error)
                continue
            yield self._scenario(event, message.partition(), message.offset())
            self._waits_s = time.monotonic()

    def _patience_s(self, idle_s: float) -> float:
        """Before it has its part it waits until an earlier process of the group, which was killed, has timed out."""
        return idle_s if self._assignment else idle_s + 2 * self.settings.session_timeout_ms / 1000

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
        done = list(itertools.takewhile(handed_out.__getitem__, handed_out))
        if done:
            try:
                self._consumer.commit(
                    offsets=[TopicPartition(self._topic, partition, done[-1] + 1)], asynchronous=False
                )
            except KafkaException as error:
                raise BrokerError(
                    f"not acknowledged: {error.args[0].str()}",
                    "acknowledge it again, or it comes again; is the broker running? icn broker status",
                ) from error
            for one in done:
                del handed_out[one]

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
