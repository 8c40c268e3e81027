"""Reputation's small rules, one by one."""

from __future__ import annotations

import pytest

from streams.domain import reputation as rep
from streams.domain.admiralty import credibility, grade
from streams.domain.epochs import end_epoch
from streams.domain.identity import is_sealed, seal
from streams.domain.judge import new_judge, vote, vote_weight
from streams.domain.newcomers import newcomer
from streams.domain.reputation import Heard, Rules, quota, uncertainty
from streams.tables.reputations import REPUTATIONS
from streams.topology import load
from streams.units import duration_ms

SECTION = load().protocol["reputation"]
RULES = Rules.of(SECTION, duration_ms(SECTION["idle"]["after"]))
NEW = newcomer(RULES, "alice", 1, 0.5)
FACTS = (b"node-1", b"a-1", bytes(32), bytes(40), 0.8, False, 0, 7)


@pytest.mark.parametrize(
    ("score", "letter"), [(0.9, "A"), (0.8, "A"), (0.79, "B"), (0.5, "C"), (0.49, "D"), (0.3, "D"), (0.1, "E")]
)
def test_grades(score: float, letter: str) -> None:
    """Of established nodes; a newcomer is F, a demoted one what its score says."""
    assert grade(NEW._replace(score=score, probation_left=0)) == letter
    assert grade(NEW._replace(score=score)) == "F"
    assert grade(NEW._replace(score=score, demoted=True)) == letter


@pytest.mark.parametrize(
    ("successes", "failures", "limit", "expected"),
    [(1, 0, 1000, 2000), (3, 1, 1000, 1500), (1, 2, 1000, 666), (0, 9, 1000, 10), (3, 1, 0, 0), (0, 9, 5, 10)],
)
def test_quota_is_twice_the_limit_times_the_success_rate(
    successes: float, failures: float, limit: int, expected: int
) -> None:
    """Cut off, not rounded; floor 10; no limit stays none."""
    node = NEW._replace(outcomes=5, successes=successes, failures=failures)

    assert quota(RULES, node, limit) == expected
    assert quota(RULES, node._replace(outcomes=4), limit) == limit


def test_uncertainty_shrinks_with_evidence() -> None:
    """From Beta(1, 3) on."""
    known = [uncertainty(RULES, NEW._replace(successes=s, failures=s / 4)) for s in (0, 8, 80)]

    assert known == sorted(known, reverse=True)
    assert known[0] == pytest.approx(0.1936, abs=1e-4)


def test_a_score_stays_within_its_bounds() -> None:
    """50 good hours end at 0.9, 50 bad ones at 0.1; on probation at 0.5."""
    good = bad = NEW._replace(probation_left=0)
    probation = NEW._replace(probation_left=10_000)
    for hour in range(50):
        for _ in range(9):
            good = rep.observe(RULES, good, Heard(rep.COLLECTION, 0, True, 1.0))
            bad = rep.observe(RULES, bad, Heard(rep.COLLECTION, 0, False, 1.0))
            probation = rep.observe(RULES, probation, Heard(rep.COLLECTION, 0, True, 1.0))
        ended = end_epoch(RULES, {"g": good, "b": bad, "p": probation}, hour * rep.HOUR_MS)
        good, bad, probation = (ended[name].node for name in "gbp")

    assert (good.score, bad.score, probation.score) == (0.9, 0.1, 0.5)


def test_a_row_survives_its_bytes() -> None:
    """Every float comes back as the same bits."""
    node = rep.observe(
        RULES, rep.receive(NEW, 4, 3, 1, 123_456, 99), Heard(rep.VERDICT, 9, False, 1 / 3, 0.1 + 0.2, "carol")
    )

    assert REPUTATIONS.unpack(REPUTATIONS.pack(node)) == node


def test_votes_are_counted_by_hour_and_day() -> None:
    """A new hour starts at zero, a day is the last 24 hours; a clock that goes back stays in the later hour."""
    judge = new_judge("carol", 1, 1.0)
    for _ in range(100):
        judge, within = vote(RULES, judge, 10 * rep.HOUR_MS)
        assert within
    judge, within = vote(RULES, judge, 9 * rep.HOUR_MS)
    assert (within, judge.hour, judge.suspicious_until) == (False, 10, 34)
    assert vote_weight(judge, None) == 0.5
    judge, within = vote(RULES, judge, 34 * rep.HOUR_MS)
    assert (within, judge.votes[0], sum(judge.votes)) == (True, 1, 1)
    assert vote_weight(judge, 0.6) == 0.6


@pytest.mark.parametrize("changed", range(len(FACTS)))
def test_a_seal_fits_its_facts_and_no_others(changed: int) -> None:
    """Any one of them changed; and a number that is out of any range is not an error but a no."""
    facts = list(FACTS)
    facts[changed] = {
        bytes: lambda v: b"x" + v[1:],
        float: lambda v: v + 0.1,
        bool: lambda v: not v,
        int: lambda v: v + 1,
    }[type(facts[changed])](facts[changed])

    assert is_sealed(b"key", seal(b"key", *FACTS), *FACTS)
    assert not is_sealed(b"key", seal(b"key", *FACTS), *facts)
    assert not is_sealed(b"key", seal(b"key", *FACTS), *FACTS[:-1], 1 << 70)


@pytest.mark.parametrize(
    ("principals", "others", "confirmed", "refuted", "expected"),
    [
        (0, 0, 0, 0, 6),
        (0, 1, 0, 0, 3),
        (1, 0, 0, 0, 2),
        (2, 0, 0, 0, 1),
        (0, 0, 1, 0, 2),
        (1, 0, 1, 0, 1),
        (2, 0, 1, 1, 4),
        (2, 3, 0, 1, 5),
    ],
)
def test_credibility_is_what_others_say(
    principals: int, others: int, confirmed: int, refuted: int, expected: int
) -> None:
    """From 1, confirmed by others, to 6, can't be judged; repeating is not corroborating, a verdict of false outweighs both."""
    assert credibility(principals, others, confirmed, refuted) == expected
