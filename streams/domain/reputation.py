"""How far is a node to be believed? One node's state, what an outcome does to it, and what the end of an epoch does to the fleet. Pure.

Slow channel: outcomes add up over an epoch (an hour of broker time) and move the published score a little. Beneath it Beta(α, β) with
forgetting gives the uncertainty. Fast channel: domain/calibration.py; it drops a node to the floor at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.domain.calibration import Bets, BettingTest, begin_epoch, is_inflated, no_bets, settle
from streams.domain.priority import published

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
EPOCHS_LOOKED_AT, EPOCHS_AGREEING = 3, 2  # a rise is applied when two of the last three epochs with outcomes rise

# kinds of outcomes; `True`: it is an artifact's truth, so the node's claim is tested against it
RECEIPTS, COLLECTION, CORROBORATION, VERDICT = "receipts", "collection", "corroboration", "verdict"


@dataclass(frozen=True)
class Rules:
    """From topology's protocol.reputation, where each is explained."""

    initial: float
    floor: float
    ceiling: float
    success: float
    failure: float
    step_max: float
    prior: tuple[float, float]
    forgetting: float
    acceptance_min: float
    corroboration_weight: float
    probation: int
    newcomers_share: float
    test: BettingTest
    anomaly_z: float
    anomaly_nodes_min: int
    anomaly_claims_min: int
    anomaly_spread_min: float
    votes_per_hour: int
    votes_per_day: int
    clean_hours: int
    idle_after_ms: int
    idle_factor: float
    quota_outcomes_min: int
    quota_factor: float
    quota_min: int

    @classmethod
    def of(cls, section: Mapping[str, Any], idle_after_ms: int) -> Rules:
        """From the YAML section."""
        epoch, anomaly, votes, idle, quota = (section[key] for key in ("epoch", "anomaly", "votes", "idle", "quota"))
        alpha, beta = section["prior"]
        return cls(
            section["initial"],
            section["floor"],
            section["ceiling"],
            epoch["success"],
            epoch["failure"],
            epoch["step_max"],
            (alpha, beta),
            section["forgetting"],
            section["acceptance_min"],
            section["corroboration_weight"],
            section["probation"],
            section["newcomers_share"],
            BettingTest.of(section["inflation"]),
            anomaly["z"],
            anomaly["nodes_min"],
            anomaly["claims_min"],
            anomaly["spread_min"],
            votes["per_hour"],
            votes["per_day"],
            votes["clean_hours"],
            idle_after_ms,
            idle["per_day"],
            quota["outcomes_min"],
            quota["factor"],
            quota["min"],
        )


class Tally(NamedTuple):
    """The evidence of one kind in one epoch: which records, and what they said."""

    first_offset: int
    last_offset: int
    records: int  # of this node in that range that counted
    successes: float  # weighted
    failures: float


class Epoch(NamedTuple):
    """What has come in since the last epoch ended."""

    evidence: Mapping[str, Tally] = {}  # by kind
    accepted: int = 0  # artifacts: admitted, and refused for another reason than the quota
    refused: int = 0
    claimed: int = 0  # sum of what the accepted artifacts claim [millionths]
    ignored: Mapping[str, int] = {}  # votes on this node's artifacts that count nothing: reason -> how many
    voted: int = 0  # votes that this node gave
    brigaded: bool = False  # and they were too many


class Reputation(NamedTuple):
    """One node. What others see of it: `effective`, `quota`, `grade`, `uncertainty`."""

    principal: str
    generation: int  # of its token
    revision: int  # of the last published change, from 1
    score: float  # published [floor..ceiling]
    successes: float  # Beta's evidence, weighted and forgotten by and by
    failures: float
    outcomes: int  # ever; an hour's receipts are one, and so are an hour's collections
    probation_left: float  # weight of outcomes that must still come; 0: established
    demoted: bool  # called inflated, and its probation not over
    bets: Bets
    betting: bool  # the bets of this epoch have begun
    tested: int  # outcomes that claims were tested against, ever
    rises: tuple[bool, ...]  # of the last epochs with outcomes, oldest first
    claims: float  # artifacts and the sum of their claims, forgotten like outcomes [1]
    claimed: float
    active_ms: int  # broker time of the last admitted artifact; 0: none
    idle_days: int
    anomalous: bool
    clean_hours_left: int  # until suspicion lapses; 0: not suspicious
    share: float  # (0..1]: what is left of a newcomer's weight, so that all newcomers together stay small
    epoch: Epoch


def newcomer(rules: Rules, principal: str, generation: int, score: float, share: float = 1.0) -> Reputation:
    """A node nobody knows yet. `score`: see `first_score`; `share`: `share_left`."""
    return Reputation(
        principal, generation, 0, score, 0.0, 0.0, 0, rules.probation, False, no_bets(rules.test), False, 0, (), 0.0, 0.0,
        0, 0, False, 0, share, Epoch(),
    )  # fmt: skip


def receive(node: Reputation, offset: int, accepted: int, refused: int, claimed: int, at_ms: int) -> Reputation:
    """One of the node's receipts. What they come to is told when the epoch ends."""
    epoch = node.epoch
    first, _, records, successes, failures = epoch.evidence.get(RECEIPTS) or Tally(offset, offset, 0, 0.0, 0.0)
    tally = Tally(first, offset, records + 1, successes, failures)
    return node._replace(
        active_ms=max(node.active_ms, at_ms) if accepted else node.active_ms,
        epoch=epoch._replace(
            evidence={**epoch.evidence, RECEIPTS: tally},
            accepted=epoch.accepted + accepted,
            refused=epoch.refused + refused,
            claimed=epoch.claimed + claimed,
        ),
    )


def worst_of(fleet: Mapping[str, Reputation]) -> dict[str, float]:
    """principal -> score of its worst node. A new id doesn't shed an old one: it starts no higher."""
    worst: dict[str, float] = {}
    for node in fleet.values():
        worst[node.principal] = min(node.score, worst.get(node.principal, node.score))
    return worst


# -- what others see ------------------------------------------------------


def effective(rules: Rules, node: Reputation) -> float:
    """What priorities are multiplied by: the score, less for what is doubtful about the node [0..0.9]."""
    doubt = (0.5 if node.anomalous else 1.0) * (0.5 if node.clean_hours_left else 1.0)
    return published(node.score * doubt * node.share * rules.idle_factor**node.idle_days)


def quota(rules: Rules, node: Reputation, node_limit: int) -> int:
    """Artifacts an hour: the deployment's limit until success is measured, then in proportion to it. 0: no limit."""
    evidence = node.successes + node.failures
    if not node_limit or node.outcomes < rules.quota_outcomes_min or evidence <= 0:
        return node_limit
    most = rules.quota_factor * node_limit
    return max(rules.quota_min, min(int(most), int(most * node.successes / evidence)))


def mean(rules: Rules, node: Reputation) -> float:
    """Of Beta(α, β): the expected share of successes."""
    alpha, beta = rules.prior[0] + node.successes, rules.prior[1] + node.failures
    return published(alpha / (alpha + beta))


def uncertainty(rules: Rules, node: Reputation) -> float:
    """Standard deviation of Beta(α, β) [0..0.2]: what is not known yet of its success rate."""
    alpha, beta = rules.prior[0] + node.successes, rules.prior[1] + node.failures
    return published(math.sqrt(alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))))


GRADES = ((0.8, "A"), (0.65, "B"), (0.5, "C"), (0.3, "D"))
GRADES_IN_WORDS = {
    "A": "is completely reliable",
    "B": "is usually reliable",
    "C": "is fairly reliable",
    "D": "is not usually reliable",
    "E": "is unreliable",
    "F": "can't be judged yet",
}


def grade(node: Reputation) -> str:
    """Admiralty's source reliability: A completely, B usually, C fairly, D not usually, E not reliable; F can't be judged yet."""
    if is_newcomer(node):
        return "F"
    return next((letter for least, letter in GRADES if node.score >= least), "E")


CREDIBILITIES = {
    1: "confirmed by others",
    2: "probably true",
    3: "possibly true",
    4: "doubtful",
    5: "improbable",
    6: "can't be judged",
}


def credibility(principals: int, others: int, confirmed: int, refuted: int) -> int:
    """Admiralty's other axis, of one artifact [1..6]. principals: that corroborate it independently; others: nodes that merely repeat it;
    confirmed, refuted: verdicts that count."""
    if confirmed + refuted and refuted >= confirmed:
        return 5 if refuted > confirmed else 4
    if principals + bool(confirmed) >= 2:
        return 1
    if principals or confirmed:
        return 2
    return 3 if others else 6


# -- what an outcome does -------------------------------------------------


def observe(
    rules: Rules, node: Reputation, kind: str, offset: int, came_true: bool, weight: float, claimed: float | None
) -> Reputation:
    """One outcome, as it comes in. weight: [0..1]; claimed: the confidence it tests, None: it tests none."""
    if weight <= 0:
        return node
    epoch = node.epoch._replace(
        evidence={**node.epoch.evidence, kind: _counted(node.epoch.evidence.get(kind), offset, came_true, weight)}
    )
    node = node._replace(epoch=epoch)
    if kind in (VERDICT, CORROBORATION):
        node = _count_outcome(node, weight)
    if claimed is None:
        return node
    bets = node.bets if node.betting else begin_epoch(rules.test, node.bets)
    bets = settle(rules.test, bets, claimed, came_true, weight)
    node = node._replace(bets=bets, betting=True, tested=node.tested + 1, anomalous=False)
    return node


def _count_outcome(node: Reputation, weight: float) -> Reputation:
    left = max(0.0, node.probation_left - weight)
    return node._replace(
        outcomes=node.outcomes + 1,
        probation_left=left,
        demoted=node.demoted and left > 0,
        share=node.share if left else 1.0,
    )


def is_to_be_demoted(rules: Rules, node: Reputation) -> bool:
    """Whether its claims have been proven inflated. A demoted node's bets start afresh with its probation."""
    return is_inflated(rules.test, node.bets)


def demote(rules: Rules, node: Reputation) -> Reputation:
    """To the floor, and on probation."""
    return node._replace(
        score=rules.floor,
        demoted=True,
        probation_left=rules.probation,
        bets=no_bets(rules.test),
        betting=False,
        rises=(),
    )


def _counted(tally: Tally | None, offset: int, came_true: bool, weight: float) -> Tally:
    first, _, records, successes, failures = tally or Tally(offset, offset, 0, 0.0, 0.0)
    return Tally(
        first, offset, records + 1, successes + (weight if came_true else 0), failures + (0 if came_true else weight)
    )


# -- what the end of an epoch does ----------------------------------------


class Ended(NamedTuple):
    """A node behind an epoch, and what the epoch was in the end: its receipts are an outcome now."""

    node: Reputation
    epoch: Epoch


def end_epoch(rules: Rules, fleet: Mapping[str, Reputation], slot_ms: int) -> dict[str, Ended]:
    """All nodes behind the epoch that ends at `slot_ms`."""
    ended = {name: _end_of_one(rules, fleet[name], slot_ms) for name in sorted(fleet)}
    outliers = _outliers(rules, ended)
    share = newcomers_share(rules, ended)
    return {
        name: Ended(
            node._replace(
                anomalous=name in outliers,
                share=share if node.probation_left else 1.0,
                epoch=Epoch(),
            ),
            node.epoch,
        )
        for name, node in ended.items()
    }


def _end_of_one(rules: Rules, node: Reputation, slot_ms: int) -> Reputation:
    epoch = node.epoch
    if received := epoch.accepted + epoch.refused:
        came_true = epoch.accepted > rules.acceptance_min * received
        heard = epoch.evidence[RECEIPTS]
        node = observe(rules, node, RECEIPTS, heard.last_offset, came_true, 1.0, None)
        told = node.epoch.evidence[RECEIPTS]._replace(records=heard.records)
        node = node._replace(epoch=node.epoch._replace(evidence={**node.epoch.evidence, RECEIPTS: told}))
    node = _told_by_itself(node)
    successes = sum(tally.successes for tally in node.epoch.evidence.values())
    failures = sum(tally.failures for tally in node.epoch.evidence.values())
    if successes or failures:
        node = _move(rules, node, successes, failures)
    if epoch.accepted:
        node = node._replace(
            claims=rules.forgetting * node.claims + epoch.accepted,
            claimed=rules.forgetting * node.claimed + epoch.claimed / 1e6,
        )
    active = bool(epoch.accepted or epoch.voted)
    clean = node.clean_hours_left - (1 if active and not epoch.brigaded and node.clean_hours_left else 0)
    idle_ms = slot_ms - node.active_ms if node.active_ms else 0
    idle_days = max(0, (idle_ms - rules.idle_after_ms) // DAY_MS) if idle_ms > rules.idle_after_ms else 0
    return node._replace(betting=False, clean_hours_left=clean, idle_days=idle_days)


def _told_by_itself(node: Reputation) -> Reputation:
    """Its receipts and its collections are what a node does and says itself: an hour of either weighs one outcome, however many there
    are, and neither ends the probation of a demoted node."""
    evidence = dict(node.epoch.evidence)
    for kind in (RECEIPTS, COLLECTION):
        tally = evidence.get(kind)
        if tally is None or not (total := tally.successes + tally.failures):
            continue
        evidence[kind] = tally._replace(successes=tally.successes / total, failures=tally.failures / total)
        node = node._replace(outcomes=node.outcomes + 1) if node.demoted else _count_outcome(node, 1.0)
    return node._replace(epoch=node.epoch._replace(evidence=evidence))


def _move(rules: Rules, node: Reputation, successes: float, failures: float) -> Reputation:
    step = rules.success * successes - rules.failure * failures
    step = max(-rules.step_max, min(rules.step_max, step))
    rises = (*node.rises, step > 0)[-EPOCHS_LOOKED_AT:]
    if step > 0 and (node.demoted or sum(rises) < EPOCHS_AGREEING):
        step = 0.0
    top = rules.initial if node.probation_left else rules.ceiling
    # a node that stands above the top (it can't: probation starts at or below it) would not be pulled down by a success
    score = max(rules.floor, min(max(top, node.score), node.score + step))
    return node._replace(
        score=published(score),
        rises=rises,
        successes=rules.forgetting * node.successes + successes,
        failures=rules.forgetting * node.failures + failures,
    )


def _outliers(rules: Rules, fleet: Mapping[str, Reputation]) -> set[str]:
    """Nodes whose claims no outcome has tested yet, and which claim far more than the others do: z of the node's mean against the means
    of all others, it itself left out."""
    means = {
        name: node.claimed / node.claims for name, node in fleet.items() if node.claims >= rules.anomaly_claims_min
    }
    established = {name: mean for name, mean in means.items() if not fleet[name].probation_left}
    # newcomers may be many, and of one mind: they are no measure where there is another one
    measure = established if len(established) > rules.anomaly_nodes_min else means
    if len(measure) <= rules.anomaly_nodes_min:
        return set()
    total, squares = math.fsum(measure.values()), math.fsum(m * m for m in measure.values())
    found = set()
    for name, own in means.items():
        here = own if name in measure else 0.0
        others = len(measure) - (name in measure)
        centre = (total - here) / others
        spread = math.sqrt(max(0.0, (squares - here * here) / others - centre * centre))
        if not fleet[name].tested and own - centre > rules.anomaly_z * max(spread, rules.anomaly_spread_min):
            found.add(name)
    return found


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


def is_newcomer(node: Reputation) -> bool:
    """Not established yet, and never demoted: nobody can say."""
    return node.probation_left > 0 and not node.demoted


def brigade(rules: Rules, node: Reputation) -> Reputation:
    """A node that voted more than is allowed: suspicious, until so many active hours have been clean."""
    return node._replace(clean_hours_left=rules.clean_hours, epoch=node.epoch._replace(brigaded=True))
