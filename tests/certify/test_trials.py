"""What keeps a trial from passing by doing nothing, or for another reason than it says."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from streams.certify.broken import FAULTS as BROKEN
from streams.certify.checks import Checks
from streams.certify.claims import CLAIMS, Claim
from streams.certify.controls import judged
from streams.certify.faults import FAULTS
from streams.certify.matrix import named
from streams.certify.soak import plan
from streams.certify.suite import ORDER
from streams.certify.truth import AS_ONE, ONCE, ONE_OF_EACH, check_decisions
from streams.errors import IcnError


def test_a_check_that_compared_nothing_has_failed() -> None:
    checks = Checks()
    assert not checks.passed
    checks.count("none lost", 0, [])
    assert not checks.passed and checks.failed[0].says == "none lost"
    checks.same("none lost", 1, 1)
    assert checks.passed and checks.facts == 1
    for number in range(5):
        checks.same("same", number, -1, f"n{number}")
    assert (checks.all["same"].wrong_count, len(checks.all["same"].wrong)) == (5, 3)


def decided(*rows: tuple[str, str, float], **of_last: Any) -> list[dict[str, Any]]:
    """(id, content, confidence) as one worker would decide them; of_last: what is different about the last event."""
    best: dict[str, tuple[str, int, int, float]] = {}
    events = []
    for artifact_id, content, confidence in rows:
        canonical, version, sightings, highest = best.get(content, (artifact_id, 0, 0, -1.0))
        decision = "UNIQUE" if not sightings else "UPGRADED" if confidence > highest else "DUPLICATE"
        version += decision != "DUPLICATE"
        best[content] = (canonical, version, sightings + 1, max(highest, confidence))
        facts = {"artifact_id": artifact_id, "dedup_hash": content.encode(), "confidence": confidence}
        events.append(
            {
                "decision": decision,
                "sightings": sightings + 1,
                "canonical_id": canonical,
                "version": version,
                "facts": facts,
            }
        )
    events[-1] |= of_last
    return events


ROWS = (("a", "x", 0.1), ("b", "x", 0.2), ("c", "y", 0.1), ("d", "x", 0.2))


@pytest.mark.parametrize(
    ("events", "failed"),
    [
        (decided(*ROWS), set()),
        (decided(*ROWS[:3]), {ONCE}),  # lost
        (decided(*ROWS, ROWS[2]), {ONCE}),  # twice, as a duplicate of itself
        (decided(*ROWS, ("e", "x", 0.1)), {ONCE}),  # never sent
        (decided(*ROWS, sightings=2), {AS_ONE}),
        (decided(*ROWS, version=3), {AS_ONE}),
        (decided(*ROWS, canonical_id="b"), {AS_ONE}),
        (decided(*ROWS, decision="UNIQUE"), {AS_ONE, ONE_OF_EACH}),
        (decided(*ROWS[:2], ("c", "x", 0.1), ROWS[3]), {ONE_OF_EACH}),  # two contents taken for one
    ],
)
def test_the_truth_notices_each_way_to_be_wrong(events: list[dict[str, Any]], failed: set[str]) -> None:
    checks = Checks()
    check_decisions(checks, events, {"a", "b", "c", "d"}, 2)
    assert {check.says for check in checks.failed} == failed


def result(holds: bool, facts: int = 5, stuck: str = "") -> dict[str, Any]:
    check = {
        "check": CLAIMS[0].caught_by,
        "holds": holds,
        "facts": facts,
        "measured": "m",
        "wrong": 2,
        "examples": ["e"],
    }
    return {"checks": [check] if facts >= 0 else [], "stuck": stuck}


@pytest.mark.parametrize(
    ("found", "caught"),
    [
        (result(holds=False), True),
        (result(holds=False, stuck="lag 0 not within 120 s"), True),
        (result(holds=True), False),  # the trial passes with a broken part: it proves nothing
        (result(holds=False, facts=0), False),
        (result(holds=False, facts=-1, stuck="a stage did not start"), False),  # failed for another reason
    ],
)
def test_a_control_counts_only_if_the_right_check_notices(found: dict[str, Any], caught: bool) -> None:
    assert judged(CLAIMS[0], found)[0] is caught


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_each_claim_has_a_trial_a_control_and_words(claim: Claim) -> None:
    assert callable(importlib.import_module(f"streams.certify.trials.{claim.name}").run)
    assert BROKEN[claim.broken].__doc__
    assert claim.stands and all(claim.name in ORDER[kind] for kind in claim.stands)
    assert claim.says.endswith(".") and not claim.false_if.endswith(".")


def test_they_are_the_twelve_of_the_specification() -> None:
    assert [claim.number for claim in CLAIMS] == list(range(1, 13))
    assert len({claim.broken for claim in CLAIMS}) == 12 and set(BROKEN) == {claim.broken for claim in CLAIMS}


def test_a_seed_makes_the_same_faults_again() -> None:
    one, same, other = plan(7), plan(7), plan(8)
    first = [one().name for _ in range(50)]
    assert first == [same().name for _ in range(50)] != [other().name for _ in range(50)]
    assert set(first) == {fault.name for fault in FAULTS if fault.nodes == 1}


def test_a_fault_that_is_none_is_named_with_those_that_are() -> None:
    with pytest.raises(IcnError, match='no fault is called "meteor"'):
        named(["meteor"])
    assert named([]) == list(FAULTS) and [one.name for one in named(["zombie"])] == ["zombie"]
