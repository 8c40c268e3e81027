"""What the end of an epoch, an hour of broker time, does to a fleet: scores move, silence counts, newcomers are weighed anew. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from streams.domain.newcomers import newcomers_share
from streams.domain.priority import published
from streams.domain.reputation import (
    COLLECTION,
    DAY_MS,
    RECEIPTS,
    Epoch,
    Heard,
    Reputation,
    Rules,
    count_outcome,
    observe,
)

REPEATED_MAX, REPEATED_MIN = 64, 0.1  # principals that are remembered, and times
EPOCHS_LOOKED_AT, EPOCHS_AGREEING = 3, 2  # a rise is applied when two of the last three epochs with outcomes rise


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
        node = observe(rules, node, Heard(RECEIPTS, heard.last_offset, came_true, 1.0))
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
            repeats=_repeats(rules, node),
        )
    active = bool(epoch.accepted or epoch.voted)
    clean = node.clean_hours_left - (1 if active and not epoch.brigaded and node.clean_hours_left else 0)
    idle_ms = slot_ms - node.active_ms if node.active_ms else 0
    idle_days = max(0, (idle_ms - rules.idle_after_ms) // DAY_MS) if idle_ms > rules.idle_after_ms else 0
    return node._replace(betting=False, clean_hours_left=clean, idle_days=idle_days)


def _repeats(rules: Rules, node: Reputation) -> dict[str, float]:
    """Of those principals that it repeats most."""
    kept = {name: rules.forgetting * count for name, count in node.repeats.items()}
    for name, count in node.epoch.repeats.items():
        kept[name] = kept.get(name, 0.0) + count
    most = sorted(kept.items(), key=lambda pair: (-pair[1], pair[0]))[:REPEATED_MAX]
    return {name: published(count) for name, count in sorted(most) if count >= REPEATED_MIN}


def _told_by_itself(node: Reputation) -> Reputation:
    """Its receipts and its collections are what a node does and says itself: an hour of either weighs one outcome, however many there
    are, and neither ends the probation of a demoted node."""
    evidence = dict(node.epoch.evidence)
    for kind in (RECEIPTS, COLLECTION):
        tally = evidence.get(kind)
        if tally is None or not (total := tally.successes + tally.failures):
            continue
        evidence[kind] = tally._replace(successes=tally.successes / total, failures=tally.failures / total)
        node = node._replace(outcomes=node.outcomes + 1) if node.demoted else count_outcome(node, 1.0)
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
