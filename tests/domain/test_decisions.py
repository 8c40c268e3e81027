"""Dedup, priority, quota, ticks and identity: each rule in one line of data."""

from __future__ import annotations

import math

from streams.domain.dedup import DUPLICATE, UNIQUE, UPGRADED, Canonical, Content, is_independent, judge, remembered
from streams.domain.identity import is_signed, node_token, sign
from streams.domain.priority import Weights, ranked, score, score_now
from streams.domain.quota import EMPTY, HOUR_MS, Used, in_hour, may_enter, retry_after_ms, share_of
from streams.domain.ticks import due

DAY_MS = 86_400_000
WEIGHTS = Weights(0.4, 0.3, 0.2, DAY_MS)


def test_the_first_is_unique_a_better_one_upgrades_the_rest_are_duplicates() -> None:
    """An upgrade keeps first_seen and makes a new version; equal confidence is not better."""
    decision, row = judge(b"a", 0.5, 1000, None)
    assert (UNIQUE, Canonical(b"a", 1, 0.5, 1000, 1)) == (decision, row)
    assert (DUPLICATE, Canonical(b"a", 1, 0.5, 1000, 2)) == judge(b"b", 0.5, 2000, row)
    assert (UPGRADED, Canonical(b"a", 2, 0.6, 1000, 2)) == judge(b"c", 0.6, 3000, row)


def test_an_entry_is_forgotten_after_the_horizon_in_event_time() -> None:
    """At the horizon it still counts; a record from before it counts too."""
    assert remembered(1000, 1000 + DAY_MS, DAY_MS)
    assert not remembered(1000, 1001 + DAY_MS, DAY_MS)
    assert remembered(1000, 0, DAY_MS)


def test_corroboration_is_independent_only_from_another_node_and_another_source() -> None:
    """One alone is a repeat or a copy."""
    first = Content(b"a", b"n1", 0, b"source-1", 0.5)
    assert is_independent(b"n2", b"source-2", first)
    assert not is_independent(b"n1", b"source-2", first)
    assert not is_independent(b"n2", b"source-1", first)


def test_the_highest_score_is_the_weights_times_the_highest_reputation() -> None:
    """0.9 · 0.9 = 0.81."""
    assert score(WEIGHTS, 10, 10, 1.0, 0.9, 0, 0).score == 0.81


def test_a_score_halves_in_a_half_life_from_the_first_sighting() -> None:
    """Age counts from first_seen, not from arrival."""
    made = score(WEIGHTS, 10, 0, 0, 0.5, 0, DAY_MS)

    assert (made.score, made.decay) == (0.1, 0.5)
    assert score_now(0.4, 0.5, 0, 2 * DAY_MS, DAY_MS) == 0.05


def test_the_rank_key_orders_as_the_scores_do_at_any_time() -> None:
    """log2(base) + first_seen / half-life, compared with the decayed scores at three moments."""
    artifacts = [(10, 10, 1.0, 0), (3, 1, 0.4, DAY_MS), (1, 0, 0.1, 3 * DAY_MS), (10, 0, 0.9, DAY_MS // 2)]
    keys = [score(WEIGHTS, t, o, c, 0.5, first, first).rank_key for t, o, c, first in artifacts]
    for now in (3 * DAY_MS, 10 * DAY_MS, 100 * DAY_MS):
        scores = [(0.04 * t + 0.03 * o + 0.2 * c) * 2.0 ** (-(now - first) / DAY_MS) for t, o, c, first in artifacts]
        order = sorted(range(4), key=lambda i: scores[i])
        assert order == sorted(range(4), key=lambda i: keys[i])


def test_a_score_of_zero_is_unranked() -> None:
    """There is no logarithm of it."""
    assert score(WEIGHTS, 0, 0, 0.0, 0.5, 0, 0)[:2] == (0.0, None)


def test_reputation_is_added_to_the_rank_as_a_logarithm() -> None:
    """Half the reputation is one half-life of age."""
    assert ranked(5_000_000, 0.5) == 4_000_000


def test_published_floats_are_rounded() -> None:
    """To 1e-9, by one function."""
    made = score(WEIGHTS, 1 / 3, 0, 0, 1.0, 0, 0)
    assert made.threat_term == 0.013333333
    assert math.isclose(made.score, 0.013333333)


def test_quota_counters_start_again_each_hour_and_a_clock_that_goes_back_stays() -> None:
    """Hours of broker time, UTC."""
    used = Used(10, 5, 2)
    assert used == in_hour(used, 10 * HOUR_MS + 5)
    assert Used(11, 0, 0) == in_hour(used, 11 * HOUR_MS)
    assert used == in_hour(used, 9 * HOUR_MS)
    assert retry_after_ms(HOUR_MS - 1) == 1


def test_both_limits_hold_and_zero_is_none() -> None:
    """The limit itself is reached, not passed."""
    assert may_enter(Used(0, 999, 0), Used(0, 9999, 0), 1000, 10000)
    assert not may_enter(Used(0, 1000, 0), EMPTY, 1000, 10000)
    assert not may_enter(EMPTY, Used(0, 10000, 0), 1000, 10000)
    assert may_enter(Used(0, 10**9, 0), Used(0, 10**9, 0), 0, 0)


def test_a_global_limit_is_divided_without_remainder() -> None:
    """The shares add up to it."""
    assert sum(share_of(10_000, p, 3) for p in range(3)) == 10_000
    assert share_of(0, 0, 3) == 0


def test_ticks_are_due_at_full_minutes_and_hours_and_are_caught_up() -> None:
    """After an hour of silence the hourly tick is not lost; minutes only as far as allowed."""
    assert due(60_000, 179_999) == [(120_000, 60_000)]
    assert due(120_000, 179_999) == []
    assert due(3_540_000, 3_600_000) == [(3_600_000, 3_600_000), (3_600_000, 60_000)]
    late = due(0, 10 * 3_600_000, catch_up_max=5)
    assert sum(cadence == 3_600_000 for _, cadence in late) == 10
    assert sum(cadence == 60_000 for _, cadence in late) == 5


def test_a_signature_fits_one_node_one_generation_and_one_record() -> None:
    """Anything else is refused, also no signature at all."""
    token = node_token(b"k" * 32, "n1", 1)
    mac = sign(token, b"n1", b"record")
    assert is_signed(token, b"n1", b"record", mac)
    assert not is_signed(token, b"n1", b"recorx", mac)
    assert not is_signed(token, b"n2", b"record", mac)
    assert not is_signed(node_token(b"k" * 32, "n1", 2), b"n1", b"record", mac)
    assert not is_signed(token, b"n1", b"record", None)
