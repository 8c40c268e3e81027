"""Do a node's claimed confidences fit what came true? A betting test that may be looked at after every outcome. Pure.

Null hypothesis: an artifact claimed with confidence p comes true with probability p or more. Against it stand two alternatives, truth
0.5·p and 0.78·p, and every epoch in which the node may have turned. Each (alternative, first epoch) is a bet of its own that starts with
its weight and is multiplied by the likelihood ratio of every outcome from then on; E is the sum of all. Under the null E is a
non-negative supermartingale that starts at 1, so by Ville's inequality it *ever* reaches 1/level with probability at most `level`.

All bets on one alternative that have begun are multiplied by the same ratio, so their sum is one number, and a new epoch adds its weight
to it (Shiryaev and Roberts do the same): nothing has to be dropped, the state is two numbers and a count. Only products and sums: the
same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class BettingTest:
    """From topology's protocol.reputation.inflation."""

    level: float  # (0..1): at most so many honest nodes are ever called inflated
    truths: tuple[float, float]  # the alternatives: truth as a share of the claim (0..1)
    from_start: float  # weight of "from the first epoch on" [0..1]; the rest is divided among later ones
    claim_max: float  # higher claims are taken for this: nobody is lost over one failure of a claim of 1.0
    # by so much the judges of one principal may multiply E if their votes weigh less than 1; below 1/level: it takes two to demote
    alone_max: float

    @classmethod
    def of(cls, section: Mapping[str, Any]) -> BettingTest:
        """From the YAML section."""
        low, high = section["truths"]
        return cls(section["level"], (low, high), section["from_start"], section["claim_max"], section["alone_max"])


class Bets(NamedTuple):
    """What a node's bets have come to."""

    epochs: int  # that had an outcome
    capital: tuple[float, float]  # of each alternative: Σ weight · likelihood ratio over all first epochs so far


def no_bets(test: BettingTest) -> Bets:
    """Of a node without an outcome: E is 1."""
    return Bets(0, (test.from_start, test.from_start))


def begin_epoch(test: BettingTest, bets: Bets) -> Bets:
    """The first outcome of an epoch is about to come: the bets that begin here."""
    epochs = bets.epochs + 1
    weight = (1 - test.from_start) / (epochs * (epochs + 1))
    return Bets(epochs, (bets.capital[0] + weight, bets.capital[1] + weight))


def settle(test: BettingTest, bets: Bets, claimed: float, came_true: bool, weight: float = 1.0) -> Bets:
    """After one outcome. claimed, weight: [0..1]. So much of the capital is at stake; its expectation under the null stays at most 1."""
    return settle_for(test, bets, Voice(), claimed, came_true, weight, False)[0]


class Voice(NamedTuple):
    """What one judge's principal has made of a node's bets: the most by which it has multiplied each alternative's capital over any run of
    epochs up to now. Above 1: it speaks against the node."""

    low: float = 1.0
    high: float = 1.0


def settle_for(
    test: BettingTest, bets: Bets, voice: Voice, claimed: float, came_true: bool, weight: float, bounded: bool
) -> tuple[Bets, Voice]:
    """The same for a judge, whose word may be bounded: it stakes no more on a failure than keeps its principal within `alone_max`.

    A success counts in full, so the stakes on failures are the smaller ones, and E stays a supermartingale.
    """
    p = min(claimed, test.claim_max)
    made = []
    for capital, most, truth in zip(bets.capital, voice, test.truths, strict=True):
        gain = (truth if came_true else (1 - truth * p) / (1 - p)) - 1
        most = max(1.0, most)  # a run of epochs may begin here
        stake = min(weight, (test.alone_max / most - 1) / gain) if bounded and gain > 0 else weight
        factor = 1 + max(0.0, stake) * gain
        made.append((capital * factor, most * factor))
    (low, low_most), (high, high_most) = made
    return Bets(bets.epochs, (low, high)), Voice(low_most, high_most)


def e_value(test: BettingTest, bets: Bets) -> float:
    """E: how much a gambler against the node's honesty would have made of 1. What is bet on epochs to come is still untouched."""
    return (bets.capital[0] + bets.capital[1]) / 2 + (1 - test.from_start) / (bets.epochs + 1)


def is_inflated(test: BettingTest, bets: Bets) -> bool:
    """Whether E has reached 1/level."""
    return e_value(test, bets) >= 1 / test.level
