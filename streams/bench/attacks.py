"""Attacks on the reputation, simulated: what they gain against ICN's rules, a plain average, and plain Beta reputation.

The rules are the core's own functions, run hour by hour as s3 runs them; only the world is made up. 40 nodes, 60 epochs, 10 reports each
an epoch; what a report claims is judged in 10 of them. Damage: the attackers' false reports as a share of all accepted weight (a report
weighs its node's effective score at that time), epochs 5 to 60. Everything random comes from the seed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from streams.bench.schemes import Corroboration, Hour, Icn, Outcome, PlainAverage, PlainBeta, Scheme
from streams.domain.reputation import Rules

NODES, EPOCHS, REPORTS, MEASURED_FROM = 40, 60, 10, 5
HONEST_TRUTH = 0.8
CLAIM = 0.8  # an honest node claims what is true


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
