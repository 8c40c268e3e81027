"""Nodes nobody knows yet: where they start, and the tenth of the fleet's weight that all of them have together. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from streams.domain.calibration import no_bets
from streams.domain.priority import published
from streams.domain.reputation import Epoch, Reputation, Rules, effective


def newcomer(rules: Rules, principal: str, generation: int, score: float, share: float = 1.0) -> Reputation:
    """A node nobody knows yet. `score`: see `first_score`; `share`: `share_left`."""
    return Reputation(
        principal, generation, 0, score, 0.0, 0.0, 0, rules.probation, False, no_bets(rules.test), False, {}, 0, (), 0.0, 0.0,
        0, 0, False, 0, share, Epoch(),
    )  # fmt: skip


def worst_of(fleet: Mapping[str, Reputation]) -> dict[str, float]:
    """principal -> score of its worst node. A new id doesn't shed an old one: it starts no higher."""
    worst: dict[str, float] = {}
    for node in fleet.values():
        worst[node.principal] = min(node.score, worst.get(node.principal, node.score))
    return worst


SHARE_MIN = 1e-6


class Room(NamedTuple):
    """For the nodes on probation: weight is effective score × artifacts [millionths: integers add up alike in any order]."""

    allowed: int | None  # together; None: nobody is established yet, so nobody is a burden
    usual: float  # artifacts of an established node
    taken: int


def room(rules: Rules, fleet: Mapping[str, Reputation]) -> Room:
    """How much of `newcomers_share` of the fleet's weight is taken."""
    established = [node for node in fleet.values() if not node.probation_left]
    weight = sum(_weight(rules, node, 0.0) for node in established)
    if weight <= 0:
        return Room(None, 0.0, 0)
    usual = math.fsum(node.claims for node in established) / len(established)
    taken = sum(_weight(rules, node, usual) for node in fleet.values() if node.probation_left)
    return Room(int(weight * rules.newcomers_share / (1 - rules.newcomers_share)), usual, taken)


def newcomers_share(rules: Rules, fleet: Mapping[str, Reputation]) -> float:
    """The factor that keeps all nodes on probation together at `newcomers_share` of the fleet's weight; 1 where they are within it anyway,
    and where nobody is established yet."""
    allowed, _, taken = room(rules, {name: node._replace(share=1.0) for name, node in fleet.items()})
    return 1.0 if allowed is None or taken <= allowed else published(max(SHARE_MIN, allowed / taken))


def share_left(here: Room, score: float) -> float:
    """The factor of one more newcomer until the epoch ends: what the others have left over [1e-6..1]."""
    wanted = 1e6 * score * here.usual
    if here.allowed is None or not wanted:
        return 1.0
    return published(min(1.0, max(SHARE_MIN, (here.allowed - here.taken) / wanted)))


def join(rules: Rules, here: Room, node: Reputation) -> Room:
    """The room behind one more newcomer."""
    return here._replace(taken=here.taken + _weight(rules, node, here.usual))


def _weight(rules: Rules, node: Reputation, usual: float) -> int:
    """Of one node. One that has sent little so far may send what is usual: the cap is for the hour to come."""
    return round(1e6 * effective(rules, node) * max(node.claims, usual))
