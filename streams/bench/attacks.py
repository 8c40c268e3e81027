"""Attacks on the reputation, simulated: what they gain against ICN's rules, a plain average, and plain Beta reputation.

The rules are the core's own functions, run hour by hour as s3 runs them; only the world is made up. 40 nodes, 60 epochs, 10 reports each
an epoch; what a report claims is judged in 10 of them. Damage: the attackers' false reports as a share of all accepted weight (a report
weighs its node's effective score at that time), epochs 5 to 60. Everything random comes from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from streams.domain import reputation as rep
from streams.domain.epochs import end_epoch
from streams.domain.judge import Judge, new_judge, vote, vote_weight
from streams.domain.newcomers import newcomer, room, share_left
from streams.domain.reputation import Heard, Reputation, Rules

NODES, EPOCHS, REPORTS, MEASURED_FROM = 40, 60, 10, 5
HONEST_TRUTH = 0.8
CLAIM = 0.8  # an honest node claims what is true
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
                weight = self.rules.corroboration_weight * rep.effective(self.rules, other)
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


class World:
    """Nodes that report, hour by hour."""

    def __init__(self, seed: int, attackers: int) -> None:
        self.rng = random.Random(seed)
        self.honest = [f"honest-{n:02}" for n in range(NODES - attackers)]
        self.attackers = [f"attacker-{n:02}" for n in range(attackers)]

    def report(self, hour: Hour, node: str, truth: float, claim: float, reports: int = REPORTS) -> None:
        """Reports of one node, each judged by an analyst who tells the truth. Each node has its own, so that none votes too much."""
        hits = [self.rng.random() < truth for _ in range(reports)]
        hour.true[node] = hour.true.get(node, 0) + sum(hits)
        hour.false[node] = hour.false.get(node, 0) + reports - sum(hits)
        hour.claims[node] = claim
        hour.outcomes += [Outcome(node, claim, hit, f"analyst of {node}") for hit in hits]

    def honest_hour(self) -> Hour:
        """The others, as always. One honest report in five is corroborated by another honest node if it is true."""
        hour = Hour()
        for node in self.honest:
            self.report(hour, node, HONEST_TRUTH, CLAIM)
            for _ in range(sum(self.rng.random() < 0.2 for _ in range(hour.true[node]))):
                other = self.rng.choice(self.honest)
                if other != node:
                    hour.corroborations.append(Corroboration(node, CLAIM, other))
        return hour


Attack = Callable[[World, int, Hour], None]


def self_promotion(world: World, number: int, hour: Hour) -> None:
    """Claims 0.95, half of it is true."""
    for node in world.attackers:
        world.report(hour, node, 0.5, 0.95)


def on_off(world: World, number: int, hour: Hour) -> None:
    """Five epochs honest, five at 0.4."""
    for node in world.attackers:
        world.report(hour, node, HONEST_TRUTH if number // 5 % 2 == 0 else 0.4, CLAIM)


def whitewashing(world: World, number: int, hour: Hour) -> None:
    """0.4 under a claim of 0.8; every five epochs all of them leave and come again under new names, of new principals."""
    if number and number % 5 == 0:
        hour.left += world.attackers
        world.attackers = [f"attacker-{number:02}-{n:02}" for n in range(len(world.attackers))]
        hour.joined += world.attackers
    for node in world.attackers:
        world.report(hour, node, 0.4, CLAIM)


def sybil(world: World, number: int, hour: Hour) -> None:
    """Every ten epochs 100 new names; each sends what is usual, 0.3 of it true, and leaves."""
    if number % 10 == 0:
        hour.left += [name for name in world.attackers if number]
        world.attackers = [f"sybil-{number:02}-{n:03}" for n in range(100)]
        hour.joined += world.attackers
    for node in world.attackers:
        world.report(hour, node, 0.3, CLAIM)


def bad_mouthing(world: World, number: int, hour: Hour) -> None:
    """Attackers report like honest nodes do at 0.5, and each refutes 20 reports of honest nodes an epoch."""
    for node in world.attackers:
        world.report(hour, node, 0.5, CLAIM)
        for _ in range(20):
            hour.outcomes.append(Outcome(world.rng.choice(world.honest), CLAIM, False, node))


def ballot_stuffing(world: World, number: int, hour: Hour) -> None:
    """0.4 true; each confirms 200 reports of its friends an epoch."""
    for node in world.attackers:
        world.report(hour, node, 0.4, CLAIM)
        for _ in range(200):
            hour.outcomes.append(Outcome(world.rng.choice(world.attackers), CLAIM, True, node))


def collusion(world: World, number: int, hour: Hour) -> None:
    """0.4 true; each false report is corroborated by one of the others, and each confirms 20 of their reports."""
    for node in world.attackers:
        world.report(hour, node, 0.4, CLAIM)
        friends = [other for other in world.attackers if other != node]
        for _ in range(hour.false[node]):
            hour.corroborations.append(Corroboration(node, CLAIM, world.rng.choice(friends)))
        for _ in range(20):
            hour.outcomes.append(Outcome(world.rng.choice(friends), CLAIM, True, node))


@dataclass(frozen=True)
class Row:
    """A line of the attack table."""

    attack: str
    what: str
    attackers: int
    damage: dict[str, float]  # scheme -> share of false attackers' reports in all accepted weight [0..1]
    by_epoch: dict[str, list[float]]


ATTACKS: dict[str, tuple[Attack, int]] = {
    "self-promotion": (self_promotion, 10),
    "on-off": (on_off, 10),
    "whitewashing": (whitewashing, 10),
    "sybil": (sybil, 10),
    "bad-mouthing": (bad_mouthing, 10),
    "ballot-stuffing": (ballot_stuffing, 10),
    "collusion-10": (collusion, 4),
    "collusion-20": (collusion, 8),
    "collusion-30": (collusion, 12),
}


def simulate(name: str, rules: Rules, seed: int = 1) -> Row:
    """One attack against three schemes, which see the same world."""
    attack, attackers = ATTACKS[name]
    icn = Icn(rules)
    everyone: dict[str, Scheme] = {"ICN": icn, "plain average": PlainAverage(), "plain Beta": PlainBeta()}
    world = World(seed, attackers)
    false_weight = dict.fromkeys(everyone, 0.0)
    all_weight = dict.fromkeys(everyone, 0.0)
    by_epoch: dict[str, list[float]] = {scheme: [] for scheme in everyone}
    for number in range(EPOCHS):
        hour = world.honest_hour()
        attack(world, number, hour)
        if number == 0:
            hour.joined = [*world.honest, *world.attackers]
        for left in hour.left:
            icn.fleet.pop(left, None)
        icn.join(hour.joined)
        for scheme, weigh in everyone.items():
            weights = {node: weigh.weight(node) for node in hour.claims}
            false = sum(weights[node] * hour.false[node] for node in weights if node not in world.honest)
            total = sum(weights[node] * (hour.true[node] + hour.false[node]) for node in weights)
            by_epoch[scheme].append(false / total if total else 0.0)
            if number >= MEASURED_FROM:
                false_weight[scheme] += false
                all_weight[scheme] += total
        for weigh in everyone.values():
            weigh.learn(number, hour)
    damage = {scheme: false_weight[scheme] / all_weight[scheme] for scheme in everyone}
    return Row(name, (attack.__doc__ or "").strip(), attackers, damage, by_epoch)
