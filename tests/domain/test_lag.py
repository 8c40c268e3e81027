"""Lag, from commits and ends as a script plays them: Burrow's rules one by one, and what other monitors get wrong."""

from __future__ import annotations

import pytest

from streams.domain.lag import (
    Age,
    Commit,
    Reading,
    age_of,
    closes_in_s,
    hot,
    lag_of,
    of_commits,
    of_group,
    of_readings,
    risk_of,
    velocity,
)

SECOND = 1_000


def commits(offsets: list[int], lags: list[int | None], every_ms: int = 10 * SECOND) -> list[Commit]:
    return [
        Commit(offset, number * every_ms, lag) for number, (offset, lag) in enumerate(zip(offsets, lags, strict=True))
    ]


@pytest.mark.parametrize(
    ("verdict", "offsets", "lags", "ends", "now_s"),
    [
        ("OK", [], [], [100], 0),  # 0: nothing committed
        ("OK", [10, 20, 30], [9, 9, 0], [20, 30], 30),  # 1: no lag now
        ("STOP", [10, 20, 30], [9, 9, 9], [45, 55], 51),  # 2: no commit for longer than the ring lasts
        ("OK", [10, 20, 30], [9, 9, 0], [30, 55], 51),  # 2: it had read all a moment ago
        (
            "REWIND",
            [50, 60, 20],
            [9, 0, 90],
            [110, 120],
            30,
        ),  # 3: went back, and stayed there, though it once had no lag
        ("OK", [50, 60, 20, 61], [9, 9, 90, 9], [70, 75], 30),  # 3: came again to where it had been
        ("OK", [10, 20, 30], [5, 0, 9], [35, 39], 30),  # 4: without lag at some time
        ("STALL", [10, 10, 10], [5, 7, 9], [15, 19], 25),  # 5: commits the same for ever
        ("WARN", [10, 11, 12], [5, 7, 9], [19, 25], 25),  # 6: grows at every commit
        ("WARN", [10, 11, 12], [5, None, 9], [19, 25], 25),  # 6: what is not known is skipped
        ("OK", [10, 15, 16], [9, 7, 9], [19, 25], 25),  # 7: it shrank once
    ],
)
def test_each_rule_of_burrow_gives_its_verdict(
    verdict: str, offsets: list[int], lags: list[int | None], ends: list[int], now_s: int
) -> None:
    assert of_commits(commits(offsets, lags), ends, now_s * SECOND) == verdict


def test_allowed_lag_counts_as_none() -> None:
    """A transaction's marker leaves 1 behind for ever, for those that count it."""
    assert of_commits(commits([10, 10, 10], [1, 1, 1]), [11, 11], 25 * SECOND) == "STALL"
    assert of_commits(commits([10, 10, 10], [1, 1, 1]), [11, 11], 25 * SECOND, allowed=1) == "OK"


def readings(committed: list[int | None], ends: list[int], low: int = 0) -> list[Reading]:
    return [
        Reading(number * 10 * SECOND, offset, end, low)
        for number, (offset, end) in enumerate(zip(committed, ends, strict=True))
    ]


@pytest.mark.parametrize(
    ("verdict", "committed", "ends", "has_owner"),
    [
        ("NO_COMMIT", [None, None], [5, 9], True),
        ("OK", [5, 9], [5, 9], True),
        ("OK", [5, 9], [5, 9], False),  # nobody is there, and nothing to do
        ("STOP", [5], [9], False),  # one look is enough
        ("?", [5, 5], [9, 9], True),  # two are not
        ("STALL", [5, 5, 5], [9, 9, 12], True),
        ("STOP", [5, 5, 5], [9, 9, 12], False),
        ("REWIND", [50, 50, 5], [50, 60, 70], True),
        ("WARN", [5, 6, 7], [9, 11, 13], True),
        ("OK", [5, 9, 10], [9, 11, 14], True),
    ],
)
def test_where_only_offsets_are_seen_an_owner_tells_stop_from_stall(
    verdict: str, committed: list[int | None], ends: list[int], has_owner: bool
) -> None:
    assert of_readings(readings(committed, ends), has_owner) == verdict


def test_a_group_is_as_bad_as_its_worst_partition() -> None:
    assert of_group(["OK", "WARN", "STALL"]) == "ERR"
    assert of_group(["OK", "WARN"]) == "WARN"
    assert of_group(["OK", "NO_COMMIT"]) == "OK"
    assert of_group(["NO_COMMIT"]) == "NO_COMMIT"
    assert of_group(["OK", "?"]) == "?"


def test_no_commit_is_no_figure_and_nothing_is_below_0() -> None:
    """An end that was asked before the commit, or a topic made anew: other monitors show -3."""
    assert lag_of(Reading(0, None, 5, 0)) is None
    assert lag_of(Reading(0, 8, 5, 0)) == 0


def test_the_trend_says_when_it_will_be_over_only_while_it_shrinks() -> None:
    shrinking, growing = readings([0, 20, 40], [100, 100, 100]), readings([0, 1, 2], [100, 120, 140])
    assert velocity(shrinking) == pytest.approx(-2.0)
    assert closes_in_s(60, velocity(shrinking)) == pytest.approx(30.0)
    assert velocity(growing) == pytest.approx(1.9)
    assert closes_in_s(138, velocity(growing)) is None
    assert velocity(shrinking[:2]) is None and closes_in_s(0, None) == 0.0


def test_age_is_within_a_tenth_of_the_truth_whatever_is_written_when() -> None:
    """A record a second for a minute, none for five, then ten a second; looked at every ten seconds; the group stands somewhere."""
    written_ms = [second * SECOND for second in range(60)] + [360 * SECOND + tenth * 100 for tenth in range(600)]
    ends = [(at_s * SECOND, sum(ms <= at_s * SECOND for ms in written_ms)) for at_s in range(0, 421, 10)]
    compared = 0
    for committed in range(5, 650, 7):
        now = Reading(420 * SECOND, committed, len(written_ms), 0)
        truth_s = (420 * SECOND - written_ms[committed]) / SECOND
        found = age_of(now, ends, None)
        assert found is not None and found.method == "interpolation"
        assert found.seconds == pytest.approx(truth_s, rel=0.1, abs=1.0)
        assert age_of(now, ends, written_ms[committed]) == Age(truth_s, "message")
        compared += 1
    print(f"{compared} ages compared")


def test_age_is_never_extrapolated() -> None:
    """What came before the first look: "3 years for 45 minutes of data" elsewhere."""
    ends = [(0, 100), (10 * SECOND, 110), (20 * SECOND, 120)]
    assert age_of(Reading(20 * SECOND, 5, 120, 0), ends, None) is None
    assert age_of(Reading(20 * SECOND, 105, 120, 0), ends, None) == Age(15.0, "interpolation")
    assert age_of(Reading(20 * SECOND, 120, 120, 0), ends, None) == Age(0.0, "message")
    assert age_of(Reading(20 * SECOND, None, 120, 0), ends, None) is None


def test_retention_is_a_risk_before_it_is_a_loss() -> None:
    assert risk_of(Reading(0, 80, 100, 60)) == (0, 20, 0.5)
    assert risk_of(Reading(0, 50, 100, 60)) == (10, 0, 1.0)
    assert risk_of(Reading(0, 100, 100, 100)) == (0, 0, 0.0)
    assert risk_of(Reading(0, None, 100, 60)) is None


def test_what_retention_has_not_begun_to_take_says_nothing_of_what_it_keeps() -> None:
    """A young topic: 11 of 11 events wait, and retention may be a week away."""
    assert risk_of(Reading(0, 0, 11, 0)) == (0, 0, None)
    assert risk_of(Reading(0, 11, 11, 0)) == (0, 11, 0.0)
    assert risk_of(Reading(0, 1, 12, 1)) == (0, 0, 1.0)


def test_one_partition_far_behind_the_others_is_hot() -> None:
    assert hot([1, 2, 1, 2, 1, 2, 1, 500]) == [7]
    assert hot([5, 5, 5]) == [] and hot([0, 900]) == []
