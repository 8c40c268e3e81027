"""What two policies would have fed, had each decided on the same topics. In memory; nothing is written."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from streams.agents.feeding import Folder
from streams.agents.inbox import Letter
from streams.agents.shelf import Shelf
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.domain.diversity import effective_numbers
from streams.domain.priority import Score, Weights, published, score
from streams.errors import NotFoundError
from streams.policy import merged
from streams.runtime.reread import as_record
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms

HOUR_MS = 3_600_000


class Told(NamedTuple):
    """A record, and when it happened in event time."""

    at_ms: int
    order: int  # artifacts, then what is thought of nodes, then scores
    letter: Letter


@dataclass
class Outcome:
    """What one policy would have done. fed: scenarios, each with `worth`: its score by the weights in force. reasons: dedup_hash -> why it
    was refused last."""

    name: str
    fed: list[dict[str, Any]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    reasons: dict[bytes, str] = field(default_factory=dict)
    rounds: int = 0
    waiting: int = 0

    def summary(self) -> dict[str, Any]:
        """{policy, fed, mean_score, mean_worth, waiting, refusals, diversity: effective numbers}."""
        return {
            "policy": self.name,
            "rounds": self.rounds,
            "fed": len(self.fed),
            "mean_score": _mean([one["score"] for one in self.fed]),
            "mean_worth": _mean([one["worth"] for one in self.fed]),
            "waiting": self.waiting,
            "refusals": dict(self.refusals.most_common()),
            "diversity": effective_numbers(self.fed),
        }


def compare(
    topology: Topology,
    settings: Settings,
    policies: Mapping[str, Mapping[str, Any]],
    from_ms: int | None = None,
    to_ms: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """policies: name -> what it sets anew. Of artifacts that came in [from, to) of event time each policy feeds, minute by minute, what it
    would, from nothing fed before. Raises NotFoundError where no artifact came, BrokerError."""
    told = sorted(_read(topology, settings, from_ms, to_ms, progress), key=lambda one: (one.at_ms, one.order))
    if not any(one.letter.source == "artifacts.decided" for one in told):
        raise NotFoundError(
            "no artifact came in that time", "icn cat artifacts.decided shows what there is; --from and --to"
        )
    found = []
    for name, policy in policies.items():
        ruled = replace(topology, protocol=merged(topology.protocol, policy))
        with tempfile.TemporaryDirectory() as folder:
            shelf = Shelf(Path(folder))
            try:
                found.append(_Play(ruled, topology, name, shelf).run(told, progress))
            finally:
                shelf.close()
    return found


class _Play:
    """One policy, over all that happened."""

    def __init__(self, ruled: Topology, topology: Topology, name: str, shelf: Shelf) -> None:
        self.folder = Folder(ruled, bytes(32), bytes(8), shelf)
        self.weights, self.in_force = weights_of(ruled), weights_of(topology)
        self.outcome = Outcome(name)
        self.decode, self.encode = decoder("priority"), encoder("priority")

    def run(self, told: Sequence[Told], progress: Callable[[str], None]) -> Outcome:
        every_ms = self.folder.feed.rules.every_ms
        slot_ms = -(-told[0].at_ms // every_ms) * every_ms
        last_ms = -(-told[-1].at_ms // every_ms) * every_ms + HOUR_MS  # what waits then has its turn
        at, rounds = 0, (last_ms - slot_ms) // every_ms + 1
        while slot_ms <= last_ms:
            until = at
            while until < len(told) and told[until].at_ms <= slot_ms:
                until += 1
            self.folder.fold(self._rescored(one.letter) for one in told[at:until])
            at = until
            self._round(slot_ms)
            if self.outcome.rounds % 60 == 0:
                progress(f"{self.outcome.name}: {self.outcome.rounds} of {rounds} rounds")
            slot_ms += every_ms
        self.outcome.waiting = self.folder.feed.wait(last_ms)
        return self.outcome

    def _round(self, slot_ms: int) -> None:
        made = self.folder.round(slot_ms, {})
        self.outcome.rounds += 1
        for one in made.scenarios:
            one["worth"] = _score(self.in_force, one, slot_ms).score
            self.outcome.fed.append(one)
        for refusal in made.refusals:
            self.outcome.refusals[refusal["reason"]] += 1
            self.outcome.reasons[refusal["dedup_hash"]] = refusal["reason"]

    def _rescored(self, letter: Letter) -> Letter:
        """A score as this policy's weights make it of the same artifact."""
        if letter.source != "priorities":
            return letter
        try:
            event = self.decode(letter.record.value or b"")
        except Undecodable:
            return letter
        made = _score(self.weights, event, event["raw_ms"])
        return letter._replace(record=letter.record._replace(value=self.encode(event | made._asdict())))


def differences(one: Outcome, other: Outcome) -> Iterator[dict[str, Any]]:
    """What only one of them fed, the worthiest first: {artifact_id, fed_by, slot_ms, worth, domain, node_id, content_type, input,
    elsewhere: why the other refused it last; turn: its turn never came}."""
    fed = {outcome.name: {scenario["dedup_hash"] for scenario in outcome.fed} for outcome in (one, other)}
    alone = [
        (scenario, mine, yours)
        for mine, yours in ((one, other), (other, one))
        for scenario in mine.fed
        if scenario["dedup_hash"] not in fed[yours.name]
    ]
    for scenario, mine, yours in sorted(alone, key=lambda each: -each[0]["worth"]):
        copied = ("artifact_id", "slot_ms", "worth", "domain", "node_id", "content_type", "input")
        yield {
            "fed_by": mine.name,
            "elsewhere": yours.reasons.get(scenario["dedup_hash"], "turn"),
            **{name: scenario[name] for name in copied},
        }


def _score(weights: Weights, of: Mapping[str, Any], at_ms: int) -> Score:
    """Of a scenario or a priority event."""
    return score(
        weights,
        of["threat_level"],
        of["opportunity_value"],
        of["confidence"],
        of["effective_reputation"],
        of["first_seen_ms"],
        at_ms,
    )


def weights_of(topology: Topology) -> Weights:
    given = topology.protocol["priority"]
    return Weights.of(given, duration_ms(given["half_life"]))


def _read(
    topology: Topology, settings: Settings, from_ms: int | None, to_ms: int | None, progress: Callable[[str], None]
) -> Iterator[Told]:
    """Artifacts and their scores by when they came, revisions by when they were made; in the order of each topic."""
    for order, (alias, schema) in enumerate(
        (("artifacts.decided", "decided"), ("reputation.log", "reputation"), ("priorities", "priority"))
    ):
        decode, name = decoder(schema), topology.topic(alias).name
        progress(f"reading {name} …")
        for message in fold(settings, name):
            try:
                event = decode(message.value() or b"")
            except Undecodable:
                continue
            if schema == "reputation":  # what was thought of a node before matters
                at_ms = max(event["at_ms"], from_ms or 0)
            else:
                at_ms = event.get("facts", event)["raw_ms"]
            if (from_ms is not None and at_ms < from_ms) or (to_ms is not None and at_ms >= to_ms):
                continue
            yield Told(at_ms, order, Letter(alias, message.partition(), as_record(message)))


def _mean(values: Sequence[float]) -> float | None:
    return published(sum(values) / len(values)) if values else None
