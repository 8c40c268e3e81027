"""The rounds of the feed on the topics, each with what it wrote: how they are written, and read again by s6_phoenix, which goes on from
them, and by replay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from confluent_kafka import Consumer

from streams.agents.feeding import STAGE, Folder, Made
from streams.agents.receipts import cloud_event
from streams.broker.topics import ends, events
from streams.codec import encoder
from streams.runtime.stage import Message
from streams.settings import Settings
from streams.topology import Topology

NOVELTY_OFFSETS = 3  # of phoenix.feed for each scenario remembered: a transaction's marker takes one too, perhaps after every scenario

Event = tuple[dict[str, Any], Any]  # and its record


class Step(NamedTuple):
    """A round that was made, with what it wrote. place: its record."""

    round: dict[str, Any]
    place: Any
    scenarios: list[Event]
    refusals: list[Event]

    def may_follow(self, folder: Folder, slot_ms: int, ends: Mapping[str, int]) -> bool:
        """Whether it is the deployment's own, and after the round of that minute; another one was put there by somebody."""
        read = self.round["read"]
        is_after = self.round["slot_ms"] > slot_ms and all(read.get(key, 0) <= end for key, end in ends.items())
        return is_after and folder.is_own(self.round)

    def take(self, folder: Folder) -> None:
        """As it was decided then, by whatever rules."""
        folder.tidy(self.round["slot_ms"])
        for event in _once(self.scenarios):
            folder.take_fed(event)
        for event, _ in self.refusals:
            folder.take_refused(event)


class Rounds(NamedTuple):
    """before: what was fed before the first of them, oldest first. rest: scenarios and refusals after it of no round."""

    steps: list[Step]
    before: list[Event]
    rest: list[Event]

    def take_before(self, folder: Folder) -> None:
        for event in _once(self.before):
            folder.take_fed(event)


def _once(scenarios: Iterable[Event]) -> Iterable[dict[str, Any]]:
    """Without copies."""
    found: dict[tuple[int, bytes], dict[str, Any]] = {}
    for event, _ in scenarios:
        found.setdefault((event["slot_ms"], event["dedup_hash"]), event)
    return found.values()


def read_rounds(topology: Topology, settings: Settings, novelty: int, since_ms: int) -> Rounds:
    """Those written since then. novelty: so many scenarios before them are read at least. Raises BrokerError."""
    rounds = list(events(settings, topology.topic("phoenix.rounds").name, "round", since_ms=since_ms))
    scenarios, refusals = defaultdict[int, list[Event]](list), defaultdict[int, list[Event]](list)
    start = _start(topology, settings, novelty, since_ms)
    for event in events(settings, topology.topic("phoenix.feed").name, "scenario", start=start):
        scenarios[event[0]["slot_ms"]].append(event)
    for event in events(settings, topology.topic("phoenix.refused").name, "refusal", since_ms=since_ms):
        refusals[event[0]["slot_ms"]].append(event)
    first_ms = rounds[0][0]["slot_ms"] if rounds else 1 << 62
    steps = [
        Step(event, place, scenarios.pop(event["slot_ms"], []), refusals.pop(event["slot_ms"], []))
        for event, place in rounds
    ]
    before = [event for slot_ms in sorted(scenarios) if slot_ms < first_ms for event in scenarios.pop(slot_ms)]
    meanwhile = {event["slot_ms"] for event, _ in _since(topology, settings, rounds)}  # rounds that came while we read
    rest = [
        event
        for of in (scenarios, refusals)
        for slot_ms, some in of.items()
        if slot_ms >= first_ms and slot_ms not in meanwhile
        for event in some
    ]
    return Rounds(steps, before, rest)


def _since(topology: Topology, settings: Settings, rounds: list[Event]) -> Iterable[Event]:
    name, partition = topology.topic("phoenix.rounds").name, 0
    start = {partition: rounds[-1][1].offset() + 1 if rounds else 0}
    return events(settings, name, "round", start=start)


def _start(topology: Topology, settings: Settings, novelty: int, since_ms: int) -> dict[int, int]:
    """Where to begin with phoenix.feed."""
    name = topology.topic("phoenix.feed").name
    consumer = Consumer(settings.librdkafka_reader())
    try:
        found = ends(consumer, name)
    finally:
        consumer.close()
    first = next((message.offset() for _, message in events(settings, name, "scenario", since_ms=since_ms)), None)
    return {
        partition: max(low, (end if first is None else first) - NOVELTY_OFFSETS * novelty)
        for partition, (low, end) in found.items()
    }


class Records:
    """Events of a round -> records, in the order in which they are written."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.encode = {name: encoder(name) for name in ("scenario", "refusal", "round")}

    def of(self, made: Made) -> list[tuple[str, Message]]:
        found: list[tuple[str, Message]] = []
        for event in made.scenarios:
            identity = f"{STAGE}:{event['slot_ms']}:{event['dedup_hash'].hex()}:{event['rule'].hex()}"
            headers = cloud_event("icn.scenario", f"/{self.topology.deployment}/{STAGE}", identity)
            value = self.encode["scenario"](event)
            found.append(("phoenix.feed", {"key": event["scenario_id"].encode(), "value": value, "headers": headers}))
        for event in made.refusals:
            value = self.encode["refusal"](event)
            found.append(("phoenix.refused", {"key": event["artifact_id"].encode(), "value": value}))
        found.append(("phoenix.rounds", {"key": STAGE.encode(), "value": self.encode["round"](made.round)}))
        return found
