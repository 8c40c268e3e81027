"""Ways to weigh nodes by what came true of their reports: ICN's, a plain average, plain Beta reputation. All learn from the same hours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from streams.domain import reputation as rep
from streams.domain.epochs import end_epoch
from streams.domain.judge import Judge, new_judge, vote, vote_weight
from streams.domain.newcomers import newcomer, room, share_left
from streams.domain.reputation import Heard, Reputation, Rules

HOUR_MS = rep.HOUR_MS


@dataclass(frozen=True)
class Outcome:
    """One judged report."""

    node: str
    claimed: float
    came_true: bool
    judge: str


@dataclass(frozen=True)
class Corroboration:
    """A report that another node brought as well, of its own accord or to help."""

    node: str
    claimed: float
    by: str


@dataclass
class Hour:
    """What one epoch brings."""

    joined: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    true: dict[str, int] = field(default_factory=dict)  # reports by node
    false: dict[str, int] = field(default_factory=dict)
    claims: dict[str, float] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)
    corroborations: list[Corroboration] = field(default_factory=list)


class Scheme(Protocol):
    """A way to weigh nodes."""

    def weight(self, node: str) -> float:
        """Of its reports, now [0..1]."""

    def learn(self, number: int, hour: Hour) -> None:
        """From an epoch."""


class Icn:
    """streams.domain.reputation, as s3 applies it. Every node has a principal of its own: the worst case."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.fleet: dict[str, Reputation] = {}
        self.judges: dict[str, Judge] = {}
        self.demoted: dict[str, int] = {}  # node -> epoch

    def weight(self, node: str) -> float:
        return rep.effective(self.rules, self.fleet[node])

    def join(self, names: Iterable[str]) -> None:
        """One after the other, as control says."""
        for name in names:
            share = share_left(room(self.rules, self.fleet), self.rules.initial)
            self.fleet[name] = newcomer(self.rules, name, 1, self.rules.initial, share)

    def learn(self, number: int, hour: Hour) -> None:
        now = number * HOUR_MS
        for name, claim in hour.claims.items():
            sent = hour.true.get(name, 0) + hour.false.get(name, 0)
            self.fleet[name] = rep.receive(self.fleet[name], 0, sent, 0, round(sent * claim * 1e6), now + 1)
        for outcome in hour.outcomes:
            self._vote(outcome, now)
        for found in hour.corroborations:
            other = self.fleet[found.by]
            if not other.probation_left:
                apart = rep.independence(other, self.fleet[found.node].principal)
                weight = self.rules.corroboration_weight * rep.effective(self.rules, other) * apart
                self.fleet[found.by] = rep.repeat(other, self.fleet[found.node].principal)
                self._observe(found.node, Heard(rep.CORROBORATION, 0, True, weight, found.claimed), number)
        self.fleet = {
            name: ended.node for name, ended in end_epoch(self.rules, self.fleet, (number + 1) * HOUR_MS).items()
        }

    def _vote(self, outcome: Outcome, now: int) -> None:
        judge = self.judges.get(outcome.judge) or new_judge(outcome.judge, 1, 1.0)
        self.judges[outcome.judge], within = vote(self.rules, judge, now)
        as_node = self.fleet.get(outcome.judge)
        if not within or outcome.judge == outcome.node or (as_node is not None and as_node.probation_left):
            return
        of_node = None if as_node is None else rep.effective(self.rules, as_node)
        weight = vote_weight(self.judges[outcome.judge], of_node)
        number = now // HOUR_MS
        heard = Heard(rep.VERDICT, 0, outcome.came_true, weight, outcome.claimed, outcome.judge, weight < 1)
        self._observe(outcome.node, heard, number)

    def _observe(self, name: str, heard: Heard, number: int) -> None:
        node = rep.observe(self.rules, self.fleet[name], heard)
        if rep.is_to_be_demoted(self.rules, node):
            node = rep.demote(self.rules, node)
            self.demoted.setdefault(name, number)
        self.fleet[name] = node


class PlainAverage:
    """Successes over outcomes, everybody's word alike."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[int, int]] = {}

    def weight(self, node: str) -> float:
        came_true, all_ = self.seen.get(node, (0, 0))
        return came_true / all_ if all_ else 0.5

    def learn(self, number: int, hour: Hour) -> None:
        for node, came_true in _plain(hour):
            true, all_ = self.seen.get(node, (0, 0))
            self.seen[node] = (true + came_true, all_ + 1)


class PlainBeta:
    """Jøsang and Ismail's Beta reputation: (r + 1) / (r + s + 2), evidence forgotten by 0.9 an epoch."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, float]] = {}

    def weight(self, node: str) -> float:
        true, false = self.seen.get(node, (0.0, 0.0))
        return (true + 1) / (true + false + 2)

    def learn(self, number: int, hour: Hour) -> None:
        self.seen = {node: (0.9 * true, 0.9 * false) for node, (true, false) in self.seen.items()}
        for node, came_true in _plain(hour):
            true, false = self.seen.get(node, (0.0, 0.0))
            self.seen[node] = (true + came_true, false + (not came_true))


def _plain(hour: Hour) -> list[tuple[str, bool]]:
    """What a scheme without judges' weights and principals hears: a corroboration is a success."""
    return [(o.node, o.came_true) for o in hour.outcomes] + [(c.node, True) for c in hour.corroborations]
