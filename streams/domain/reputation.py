"""How far is a node to be believed? One node's state, and what an outcome does to it. Pure.

Slow channel: outcomes add up over an epoch and move the published score a little (domain/epochs.py). Beneath it Beta(α, β) with
forgetting gives the uncertainty. Fast channel: domain/calibration.py; it drops a node to the floor at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.domain.calibration import Bets, BettingTest, Voice, begin_epoch, is_inflated, no_bets, settle_for
from streams.domain.priority import published

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

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
    repeats: Mapping[str, int] = {}  # principal -> how many of its nodes' artifacts this node said after it


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
    voices: Mapping[str, Voice]  # judges' principals -> what each has made of the bets
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
    repeats: Mapping[str, float] = {}  # as in an epoch, forgotten like claims


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


def repeat(node: Reputation, principal: str) -> Reputation:
    """The node has said what a node of this principal had said before."""
    repeats = {**node.epoch.repeats, principal: node.epoch.repeats.get(principal, 0) + 1}
    return node._replace(epoch=node.epoch._replace(repeats=repeats))


def independence(node: Reputation, principal: str) -> float:
    """(0..1): 1 - (c + 1) / (n + 2), where c of the node's n artifacts of late had been said by that principal before (Laplace's rule on
    the copying rate of Dong et al. 2009). Whoever says little else but what another has said is its echo, and no second witness."""
    repeated = node.repeats.get(principal, 0.0) + node.epoch.repeats.get(principal, 0)
    artifacts = max(node.claims + node.epoch.accepted, repeated)
    return 1 - (repeated + 1) / (artifacts + 2)


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


def uncertainty(rules: Rules, node: Reputation) -> float:
    """Standard deviation of Beta(α, β) [0..0.2]: what is not known yet of its success rate."""
    alpha, beta = rules.prior[0] + node.successes, rules.prior[1] + node.failures
    return published(math.sqrt(alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))))


# -- what an outcome does -------------------------------------------------


class Heard(NamedTuple):
    """An outcome, as it comes in."""

    kind: str
    offset: int
    came_true: bool
    weight: float  # [0..1]
    claimed: float | None = None  # the confidence that it tests; None: it tests none
    principal: str | None = None  # of the judge
    bounded: bool = False  # the judge is not trusted alone: the node must not fall by its word only


def observe(rules: Rules, node: Reputation, heard: Heard) -> Reputation:
    """The node behind an outcome."""
    if heard.weight <= 0:
        return node
    tally = _counted(node.epoch.evidence.get(heard.kind), heard)
    node = node._replace(epoch=node.epoch._replace(evidence={**node.epoch.evidence, heard.kind: tally}))
    if heard.kind in (VERDICT, CORROBORATION):
        node = count_outcome(node, heard.weight)
    if heard.claimed is None:
        return node
    bets = node.bets if node.betting else begin_epoch(rules.test, node.bets)
    voice = node.voices.get(heard.principal or "", Voice())
    bets, voice = settle_for(rules.test, bets, voice, heard.claimed, heard.came_true, heard.weight, heard.bounded)
    voices = node.voices
    if heard.principal is not None:
        voices = {name: v for name, v in {**voices, heard.principal: voice}.items() if max(v) > 1}
    return node._replace(bets=bets, betting=True, voices=voices, tested=node.tested + 1, anomalous=False)


def count_outcome(node: Reputation, weight: float) -> Reputation:
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
        voices={},
        rises=(),
    )


def _counted(tally: Tally | None, heard: Heard) -> Tally:
    first, _, records, successes, failures = tally or Tally(heard.offset, heard.offset, 0, 0.0, 0.0)
    right, wrong = (heard.weight, 0.0) if heard.came_true else (0.0, heard.weight)
    return Tally(first, heard.offset, records + 1, successes + right, failures + wrong)


def is_newcomer(node: Reputation) -> bool:
    """Not established yet, and never demoted: nobody can say."""
    return node.probation_left > 0 and not node.demoted


def brigade(rules: Rules, node: Reputation) -> Reputation:
    """A node that voted more than is allowed: suspicious, until so many active hours have been clean."""
    return node._replace(clean_hours_left=rules.clean_hours, epoch=node.epoch._replace(brigaded=True))
