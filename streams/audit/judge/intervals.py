"""How far a rate can be believed. The unit of evidence is the outage, not the tick: ticks fail together, and an interval that counts
them one by one covers the truth in 19 to 89 % of runs where it says 95. Pure; numpy and scipy. Coverage: docs/reliability.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from streams.audit.record.methodology import BLOCK_SLOTS

MANY_EPISODES = 20
DIFFUSE = 0.5  # share of slots with loss from which episodes run into each other

Counts = NDArray[np.float64]  # (slots,), each >= 0


class Interval(NamedTuple):
    """Of a rate: bounds in [0, 1], and where they come from."""

    low: float
    high: float
    method: str
    episodes: int
    n: float
    n_effective: float | None = None


class Episodes(NamedTuple):
    """Maximal runs of slots in which something was lost."""

    start: NDArray[np.int64]  # (episodes,) first slot
    stop: NDArray[np.int64]  # (episodes,) slot behind the last
    loss: Counts  # (episodes,)


def episodes(loss: Counts) -> Episodes:
    """loss: (slots,), how much of each slot's total was lost."""
    edges = np.diff(np.concatenate(([0], (loss > 0).astype(np.int8), [0])))
    start, stop = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    summed = np.concatenate(([0.0], np.cumsum(loss)))
    return Episodes(start, stop, summed[stop] - summed[start])


def wilson(p: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson 1927, two-sided, for a share p of n > 0 and a quantile of the normal or t distribution; n need not be whole."""
    squared = quantile * quantile
    centre, scale = p + squared / (2 * n), 1 + squared / n
    half = quantile * float(np.sqrt(p * (1 - p) / n + squared / (4 * n * n)))
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def if_independent(good: int, total: int, level: float) -> dict[str, tuple[float, float]]:
    """Wilson and Clopper-Pearson as everybody prints them. Never the headline."""
    test = stats.binomtest(good, total)
    bounds = {name: test.proportion_ci(level, name) for name in ("wilson", "exact")}
    return {name: (float(b.low), float(b.high)) for name, b in bounds.items()}


def ratio_interval(loss: Counts, total: Counts, level: float) -> Interval | None:
    """Of 1 - sum(loss) / sum(total), (slots,) each. None where nothing was at stake. level: e.g. 0.95, two-sided; with no loss at all
    one-sided, since nothing lies above 1."""
    n = float(total.sum())
    if not n:
        return None
    found, at_stake = episodes(loss), int(np.count_nonzero(total))
    lost, many = float(loss.sum()), len(found.loss)
    if not many:
        low = max(0.0, 1 + float(np.log(1 - level)) / (len(total) / BLOCK_SLOTS))
        return Interval(low, 1.0, f"rule of three, {len(total) / BLOCK_SLOTS:.1f} blocks", 0, n)
    if np.count_nonzero(loss) > DIFFUSE * at_stake and len(total) >= 3 * BLOCK_SLOTS:
        return _by_blocks(loss, total, level, many)
    p, squares = 1 - lost / n, float(np.square(found.loss).sum())
    # episodes of exponential length: 2 S² / sum of squares is their number; where some are far longer than others, fewer of them matter
    worth = min(float(many), 2 * lost * lost / squares)
    if worth >= MANY_EPISODES and p > 0:
        effective = p * (1 - p) * n * n / squares
        quantile = float(stats.t.ppf((1 + level) / 2, worth / 2 - 1))
        low, _ = wilson(p, effective, max(quantile, _for_skewness(found.loss, level)))
        _, high = wilson(p, effective, quantile)
        return Interval(low, high, "Wilson, effective n", many, n, effective)
    low, high = _few(lost, worth, n, 1 - level)
    low = max(low, 1 - _bad_blocks(found, total, 1 - level))
    return Interval(min(low, p), max(high, p), "few: exact, conservative", many, n)


def _for_skewness(loss: Counts, level: float) -> float:
    """Normal quantile for the side where a run was lucky: no long outage came, and the spread of those that did says too little (Hall 1992,
    second order)."""
    z = float(stats.norm.ppf((1 + level) / 2))
    skewness = float(np.power(loss, 3).sum() / np.square(loss).sum() ** 1.5)
    return z + skewness * (2 * z * z + 1) / 6


def _few(lost: float, k: float, n: float, alpha: float) -> tuple[float, float]:
    """How many outages come is Poisson, what each takes exponential; alpha is shared between the two."""
    tail = alpha / 4
    many, few = stats.chi2.ppf(1 - tail, 2 * k + 2) / 2, stats.chi2.ppf(tail, 2 * k) / 2
    long, short = 2 * lost / stats.chi2.ppf(tail, 2 * k), 2 * lost / stats.chi2.ppf(1 - tail, 2 * k)
    good = n - lost
    if not good:
        return 0.0, 1.0
    return float(good / (good + many * long)), float(good / (good + few * short))


def _bad_blocks(found: Episodes, total: Counts, alpha: float) -> float:
    """Upper bound of the share that is lost, if each block with an outage is lost as a whole (Clopper-Pearson). A block is longer than any
    outage, so that blocks are independent."""
    size = max(BLOCK_SLOTS, 2 * int((found.stop - found.start).max()))
    weights = np.add.reduceat(total, np.arange(0, len(total), size))
    bad = len({slot // size for start, stop in zip(found.start, found.stop, strict=True) for slot in (start, stop - 1)})
    if bad >= len(weights):
        return 1.0
    share = float(stats.beta.ppf(1 - alpha / 2, bad + 1, len(weights) - bad))
    return min(1.0, share * float(weights.max() / weights.mean()))


def _by_blocks(loss: Counts, total: Counts, level: float, many: int) -> Interval:
    """Something is lost nearly everywhere, so outages are no unit: whole blocks are."""
    starts = np.arange(0, len(total), BLOCK_SLOTS)
    lost, of = np.add.reduceat(loss, starts), np.add.reduceat(total, starts)
    n, p = float(of.sum()), 1 - float(lost.sum() / of.sum())
    blocks = len(starts)
    apart = lost - (1 - p) * of
    squares = float(np.square(apart).sum()) * blocks / (blocks - 1)
    spread = max(p * (1 - p), 1 / n)
    effective = min(n, spread * n * n / squares) if squares else n
    low, high = wilson(p, effective, float(stats.t.ppf((1 + level) / 2, _freedom(apart))))
    return Interval(low, high, f"Wilson, {blocks} blocks", many, n, effective)


def spread_interval(late_s: Counts, slot: NDArray[np.int64], level: float) -> tuple[float, float] | None:
    """Of the standard deviation [s] of lateness, whose values depend on their neighbours: jackknife over blocks, on the logarithm. late_s,
    slot: (ticks,). None: less than three blocks, or all spread in one."""
    block = slot // BLOCK_SLOTS
    here = np.unique(block)
    if len(here) < 3:
        return None
    whole = float(np.std(late_s, ddof=1))
    if not np.ptp(late_s):
        return 0.0, 0.0
    without = np.array([np.std(late_s[block != one], ddof=1) for one in here])
    if not without.all():
        return None
    logs = np.log(without)
    blocks = len(here)
    apart = logs - logs.mean()
    error = float(np.sqrt((blocks - 1) / blocks * np.square(apart).sum()))
    factor = float(np.exp(min(50.0, stats.t.ppf((1 + level) / 2, _freedom(apart)) * error)))
    return whole / factor, whole * factor


def _freedom(apart: Counts) -> float:
    """Degrees of freedom that deviations (blocks,) are worth: a third of the blocks where they are normal, fewer where few of them make
    the spread."""
    fourth = float(np.power(apart, 4).sum())
    return max(1.0, float(np.square(apart).sum()) ** 2 / fourth - 1) if fourth else 1.0
