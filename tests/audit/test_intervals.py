"""The statistics, against scipy and arch, against numbers from the literature, and against runs of which the truth is known."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from streams.audit.judge.components import components, worst_ratios
from streams.audit.judge.composite import REPEATS, composite, sensitivity, weighted
from streams.audit.judge.intervals import episodes, if_independent, ratio_interval, spread_interval, wilson
from streams.bench.coverage import SCENARIOS, cover, simulate


@pytest.mark.parametrize(("k", "n"), [(0, 10), (1, 10), (9, 10), (10, 10), (70, 72), (4_300, 4_320)])
@pytest.mark.parametrize("level", [0.90, 0.95, 0.99])
def test_wilson_and_clopper_pearson_are_scipys(k: int, n: int, level: float) -> None:
    ours = wilson(k / n, n, float(stats.norm.ppf((1 + level) / 2)))
    theirs = stats.binomtest(k, n).proportion_ci(level, "wilson")
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    exact = stats.binomtest(k, n).proportion_ci(level, "exact")
    assert if_independent(k, n, level) == {
        "wilson": pytest.approx((theirs.low, theirs.high)),
        "exact": pytest.approx((exact.low, exact.high)),
    }


def test_wilson_gives_what_brown_cai_and_dasgupta_print() -> None:
    """With no failure the lower bound is n/(n + 3.84): 0.999 needs 3,838 ticks."""
    low, high = wilson(1.0, 3_838, 1.959964)
    assert (round(low, 4), high) == (0.9990, 1.0)


def test_episodes_are_runs_of_slots_with_a_loss() -> None:
    found = episodes(np.array([0, 1, 2, 0, 0, 3, 0, 1.0]))
    assert (found.start.tolist(), found.stop.tolist(), found.loss.tolist()) == ([1, 5, 7], [3, 6, 8], [3, 3, 1])
    assert episodes(np.zeros(5)).loss.tolist() == [] and episodes(np.ones(3)).loss.tolist() == [3]


def test_without_an_outage_72_hours_say_95_8_percent_and_nothing_says_nothing() -> None:
    clean = ratio_interval(np.zeros(4_320), np.ones(4_320), 0.95)
    assert clean is not None and round(clean.low, 3) == 0.958 and clean.high == 1.0 and clean.episodes == 0
    short = ratio_interval(np.zeros(90), np.ones(90), 0.95)
    assert short is not None and short.low == 0.0, "an hour and a half can't say anything"
    assert ratio_interval(np.zeros(10), np.zeros(10), 0.95) is None, "zero denominator"


def test_the_bound_for_few_outages_is_that_of_the_handbook() -> None:
    """NIST 8.4.5.1: an upper bound of a rate with r events is chi2(1 - a; 2r + 2)/2T; here for number and length, alpha shared. Blocks say
    more of one slot in 600: Clopper-Pearson of 1 in 10. Of two in 20,000 the handbook does."""
    loss = np.zeros(600)
    loss[300] = 1
    found = ratio_interval(loss, np.ones(600), 0.95)
    tail = 0.05 / 4
    lost = stats.chi2.ppf(1 - tail, 4) / 2 * 2 / stats.chi2.ppf(tail, 2)
    by_blocks = stats.binomtest(1, 10).proportion_ci(0.95, "exact").high
    assert found is not None and found.low == pytest.approx(max(599 / (599 + lost), 1 - by_blocks))
    assert found.low == pytest.approx(1 - by_blocks) and found.method.startswith("few: exact")
    loss = np.zeros(20_000)
    loss[[300, 9_000]] = 1
    many, length = stats.chi2.ppf(1 - tail, 6) / 2, 4 / stats.chi2.ppf(tail, 4)
    found = ratio_interval(loss, np.ones(20_000), 0.95)
    assert found is not None and found.low == pytest.approx(19_998 / (19_998 + many * length))


def test_everything_lost_is_bounded_too() -> None:
    found = ratio_interval(np.ones(120), np.ones(120), 0.95)
    assert found is not None and (found.low, found.high < 1.0 or found.high == 1.0) == (0.0, True)


def test_one_long_outage_is_worth_one_whatever_small_ones_stand_beside_it() -> None:
    """200 slots at once and 40 single ones: 41 outages in number, hardly more than one in evidence."""
    loss = np.zeros(4_320)
    loss[1000:1200], loss[2000:4000:50] = 1, 1
    found = ratio_interval(loss, np.ones(4_320), 0.95)
    assert found is not None and found.episodes == 41 and found.method.startswith("few: exact")


def test_the_spread_of_lateness_is_that_of_a_chi_square_where_ticks_are_independent_and_normal() -> None:
    """The jackknife's interval beside the textbook's; it is wider, for it assumes neither."""
    rng = np.random.default_rng(1)
    late_s, slot = rng.normal(1.0, 0.2, 4_320), np.arange(4_320)
    found = spread_interval(late_s, slot, 0.95)
    var = np.var(late_s, ddof=1) * 4_319
    low, high = np.sqrt(var / stats.chi2.ppf([0.975, 0.025], 4_319))
    assert found is not None and found[0] < low * 1.01 and found[1] > high * 0.99
    assert found[1] - found[0] < 2 * (high - low)
    assert spread_interval(late_s[:100], slot[:100], 0.95) is None, "two blocks have no spread of their own"
    assert spread_interval(np.full(300, 0.02), np.arange(300), 0.95) == (0.0, 0.0)


def test_the_bootstrap_is_archs_and_its_resamples_are_those_of_the_seed() -> None:
    """Drawn again by hand: the same indices, the same percentiles."""
    slots = simulate(np.random.default_rng(3), SCENARIOS[0]._replace(slots=600))
    ratios = worst_ratios(slots)
    parts = components(slots, ratios)
    told = composite(parts, ratios, slots, 42, ())
    assert told.block_slots is not None
    drawn = StationaryBootstrap(told.block_slots, np.arange(600), seed=np.random.Generator(np.random.PCG64(42)))
    hashed, figures = hashlib.sha256(), []
    for _ in drawn.bootstrap(REPEATS):
        index = np.asarray(drawn.index, dtype=np.int64)
        hashed.update(index.astype("<i8").tobytes())
        again = components_of(slots, index)
        figures.append(weighted(again))
    low, high = np.percentile([figure for figure in figures if figure is not None], [2.5, 97.5])
    assert hashed.hexdigest() == told.resamples_sha256
    assert told.bounds["block bootstrap"] == pytest.approx((low, high), abs=1e-9)


def components_of(slots: object, index: np.ndarray) -> list[float | None]:
    """The five of a resample, the plain way: slot by slot."""
    s = slots
    jobs = float((s.jobs.succeeded + s.jobs.unsuccessful)[index].sum())  # type: ignore[attr-defined]
    late = s.ticks.late_s[index][~np.isnan(s.ticks.late_s[index])]  # type: ignore[attr-defined]
    accepts, rejects = float(s.pressure.accepts[index].sum()), float(s.pressure.rejects[index].sum())  # type: ignore[attr-defined]
    return [
        float(s.jobs.succeeded[index].sum()) / jobs,  # type: ignore[attr-defined]
        float(s.ticks.completed[index].mean()),  # type: ignore[attr-defined]
        float(s.ticks.started[index].mean()),  # type: ignore[attr-defined]
        1 / (1 + float(np.std(late, ddof=1))),
        accepts / (accepts + rejects),
    ]


def test_the_figure_lies_between_its_bounds_and_the_lower_of_both_is_the_headline() -> None:
    rng = np.random.default_rng(5)
    for scenario in SCENARIOS[:6]:
        slots = simulate(rng, scenario)
        ratios = worst_ratios(slots)
        told = composite(components(slots, ratios), ratios, slots, 7, ())
        assert told.value is not None and told.low is not None and told.high is not None
        assert 0 <= told.low <= told.value <= told.high <= 1
        assert told.low == pytest.approx(min(told.value, *(low for low, _ in told.bounds.values())), abs=1e-9)


def test_sensitivity_is_the_figure_with_one_weight_changed_and_all_scaled_back_to_one() -> None:
    slots = simulate(np.random.default_rng(5), SCENARIOS[4])
    parts = components(slots, worst_ratios(slots))
    name, halved, more = sensitivity(parts)[0]
    rest = sum(part.weight * (part.value or 0) for part in parts[1:])
    assert name == "job_success"
    assert halved == pytest.approx((0.225 * (parts[0].value or 0) + rest) / 0.775)
    assert more == pytest.approx((0.675 * (parts[0].value or 0) + rest) / 1.225)


@pytest.mark.parametrize("scenario", (SCENARIOS[0], *SCENARIOS[2:4], SCENARIOS[5]), ids=lambda s: s.name)
def test_the_interval_covers_the_truth_where_wilson_on_ticks_does_not(scenario: object) -> None:
    """20 runs of each kind here; `icn bench coverage` makes the table in the docs of 400."""
    row = cover(scenario, 20, 1)  # type: ignore[arg-type]
    assert row["reliability"] >= 0.94
    assert (
        min(row[name] for name in ("job_success", "availability", "gap_rate", "drift_score", "backpressure_rate"))
        >= 0.85
    )
    if scenario.slots > 1_000:  # type: ignore[attr-defined]
        assert row["wilson_on_ticks"] < 0.8
