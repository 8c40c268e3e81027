"""The five components of formula v1, by AUDIT's definitions: worst case for the headline, best case beside it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from streams.audit.judge.believed import Float
from streams.audit.judge.intervals import Interval, if_independent, ratio_interval, spread_interval
from streams.audit.judge.slots import Slots
from streams.audit.record.methodology import CONFIDENCE_PERCENT, WEIGHTS_PERCENT

WEIGHTS = {name: percent / 100 for name, percent in WEIGHTS_PERCENT.items()}
LEVEL, SHARED_LEVEL = CONFIDENCE_PERCENT / 100, 0.99  # each of five at 99 %: all five at 95 %
SLOPE_MAX_POINTS = 2_000  # Theil-Sen looks at every pair


@dataclass
class Ratio:
    """(slots,) each: what was lost, of how much."""

    loss: Float
    total: Float

    @property
    def value(self) -> float | None:
        """Share that was not lost; None: zero denominator."""
        of = float(self.total.sum())
        return None if not of else 1 - float(self.loss.sum()) / of


@dataclass
class Component:
    """value: what enters the formula with its weight, in [0, 1], 1 best; so 1 - gap_rate and 1 - backpressure_rate. None: NOT EVALUABLE."""

    name: str
    value: float | None
    best: float | None
    numerator: float
    denominator: float
    interval: Interval | None  # 95 %
    shared: Interval | None  # 99 %, for the sum of five
    naive: dict[str, tuple[float, float]] = field(default_factory=dict)
    facts: dict[str, float] = field(default_factory=dict)

    @property
    def weight(self) -> float:
        return WEIGHTS[self.name]

    @property
    def shown(self) -> str:
        """A rate of what is bad enters as 1 - rate."""
        return f"1−{self.name}" if self.name.endswith("_rate") else self.name


def worst_ratios(slots: Slots) -> dict[str, Ratio]:
    """Whatever is not known counts against."""
    bad = slots.pressure.rejects + slots.pressure.retries
    pressed = (slots.pressure.accepts + bad + slots.pressure_lost).astype(float)
    missed = slots.jobs.unsuccessful + slots.jobs.crashed + slots.lost
    return {
        "job_success": Ratio(missed.astype(float), (slots.jobs.succeeded + missed).astype(float)),
        "availability": Ratio((~slots.ticks.completed).astype(float), np.ones(len(slots))),
        "gap_rate": Ratio((~slots.ticks.started).astype(float), np.ones(len(slots))),
        "backpressure_rate": Ratio(
            (bad + slots.pressure_lost).astype(float) if slots.pressure_is_whole else pressed, pressed
        ),
    }


def best_values(slots: Slots) -> dict[str, float | None]:
    """Whatever is not known counts for."""
    ended = float(slots.jobs.succeeded.sum() + slots.jobs.unsuccessful.sum() + slots.jobs.crashed.sum())
    saved = min(float(slots.jobs.crashed.sum()), float(slots.lost.sum()))
    count = float(len(slots))
    bad, accepts = float((slots.pressure.rejects + slots.pressure.retries).sum()), float(slots.pressure.accepts.sum())
    late_s = slots.ticks.late_s[~np.isnan(slots.ticks.late_s)]
    return {
        "job_success": (float(slots.jobs.succeeded.sum()) + saved) / ended if ended else None,
        "availability": float(np.sum(slots.ticks.completed | slots.covered)) / count if count else None,
        "gap_rate": float(np.sum(slots.ticks.started | slots.covered)) / count if count else None,
        "drift_score": 1 / (1 + float(np.std(late_s, ddof=1))) if len(late_s) > 1 else None,
        "backpressure_rate": accepts / (accepts + bad) if accepts + bad else None,
    }


def components(slots: Slots, ratios: dict[str, Ratio]) -> list[Component]:
    """In the formula's order. ratios: of `worst_ratios`."""
    best, found = best_values(slots), dict[str, Component]()
    for name, ratio in ratios.items():
        good, of = float((ratio.total - ratio.loss).sum()), float(ratio.total.sum())
        found[name] = Component(
            name, ratio.value, best[name], good, of,
            ratio_interval(ratio.loss, ratio.total, LEVEL), ratio_interval(ratio.loss, ratio.total, SHARED_LEVEL),
            if_independent(round(good), round(of), LEVEL) if of else {},
        )  # fmt: skip
    found["drift_score"] = _drift(slots, best["drift_score"])
    return [found[name] for name in WEIGHTS]


def worst_lateness(slots: Slots) -> Float:
    """(ticks,) seconds. A tick whose start may be among what is gone was as early or as late as makes the spread largest."""
    late_s = slots.ticks.late_s[~np.isnan(slots.ticks.late_s)]
    gone = int(np.sum(np.isnan(slots.ticks.late_s) & slots.covered))
    if not gone or not len(late_s):
        return late_s
    last = slots.schedule.cadence_ms / 1000
    tries = [np.concatenate((late_s, np.full(late, last), np.zeros(gone - late))) for late in _shares(gone)]
    return max(tries, key=lambda values: float(np.var(values)))


def _shares(gone: int) -> list[int]:
    return sorted({gone, *range(0, gone, max(1, gone // 64))})


def _drift(slots: Slots, best: float | None) -> Component:
    late_s = worst_lateness(slots)
    if len(late_s) < 2:
        return Component("drift_score", None, best, 0, len(late_s), None, None)
    spread_s, cadence_s = round(float(np.std(late_s, ddof=1)), 9), slots.schedule.cadence_ms / 1000
    here = np.flatnonzero(~np.isnan(slots.ticks.late_s))
    known = slots.ticks.late_s[here]
    step = -(-len(here) // SLOPE_MAX_POINTS)
    slope = stats.theilslopes(known[::step], here[::step] * cadence_s, LEVEL) if len(here) > 1 else None
    facts = {
        "spread_s": spread_s,
        "median_late_s": float(np.median(known)),
        "max_late_s": float(known.max()),
        "within_tolerance": float(np.mean(np.abs(known) <= slots.schedule.tolerance_ms / 1000)),
    }
    if slope is not None:
        facts |= {"slope_ppm": slope[0] * 1e6, "slope_low_ppm": slope[2] * 1e6, "slope_high_ppm": slope[3] * 1e6}
    bounds = []
    for level in (LEVEL, SHARED_LEVEL):
        between = spread_interval(known, here, level)
        low_s, high_s = (0.0, cadence_s) if between is None else between
        value = 1 / (1 + spread_s)
        method = "jackknife, blocks" if between else "under 3 blocks: anything"
        bounds.append(
            Interval(min(value, 1 / (1 + max(high_s, spread_s))), max(value, 1 / (1 + low_s)), method, 0, len(known))
        )
    return Component("drift_score", 1 / (1 + spread_s), best, 0, len(late_s), bounds[0], bounds[1], facts=facts)
