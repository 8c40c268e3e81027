"""Formula v1: one figure of five, and how far down it may be. Frozen; printed verbatim by whoever reports it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from streams.audit.judge.components import LEVEL, WEIGHTS, Component, Ratio
from streams.audit.judge.slots import Slots
from streams.audit.record.methodology import BLOCK_SLOTS

REPEATS = 1_000
ROWS_MAX = 20_000
SEED_TAG = b"bootstrap/v1"
EXCELLENT, GOOD = 0.99, 0.95


@dataclass
class Composite:
    """value: on worst-case evidence; None: withheld, and why. low, high: 95 %."""

    value: float | None
    best: float | None
    low: float | None = None
    high: float | None = None
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)  # method -> interval
    seed: int | None = None
    resamples_sha256: str | None = None
    block_slots: int | None = None
    withheld: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "WITHHELD"
        return "EXCELLENT" if self.value >= EXCELLENT else "GOOD" if self.value >= GOOD else "NEEDS IMPROVEMENT"


def weighted(values: Sequence[float | None]) -> float | None:
    """Rounded to 1e-9. None where one of them is NOT EVALUABLE."""
    if any(value is None for value in values):
        return None
    return round(float(sum(w * (v or 0.0) for w, v in zip(WEIGHTS.values(), values, strict=True))), 9)


def seed_from(roots: Sequence[bytes]) -> int:
    """From what was sealed, so that nobody shops for one."""
    return int.from_bytes(hashlib.sha256(b"".join(roots) + SEED_TAG).digest()[:8], "big")


def composite(
    parts: Sequence[Component], ratios: dict[str, Ratio], slots: Slots, seed: int, withheld: Sequence[str]
) -> Composite:
    """Of all five, in the formula's order. withheld: reasons from elsewhere."""
    why = [*withheld, *(f"{part.name}: NOT EVALUABLE" for part in parts if part.value is None)]
    value = weighted([part.value for part in parts])
    if why or value is None:
        return Composite(None, None, withheld=why)
    told = Composite(value, weighted([max(p.best or 0.0, p.value or 0.0) for p in parts]), seed=seed)
    if not any(ratio.loss.any() for ratio in ratios.values()):
        told.bounds["rule of three"] = (_all_clean(parts, value, len(slots)), 1.0)
    else:
        told.bounds["sum of components' bounds"] = (
            sum(part.weight * part.shared.low for part in parts if part.shared is not None),
            sum(part.weight * part.shared.high for part in parts if part.shared is not None),
        )
    low, high = _bootstrap(told, ratios, slots, seed)
    told.bounds["block bootstrap"] = (low, high)
    told.low = round(min(value, *(low for low, _ in told.bounds.values())), 9)
    told.high = round(max(value, *(high for _, high in told.bounds.values())), 9)
    return told


def _all_clean(parts: Sequence[Component], value: float, slots: int) -> float:
    """Nothing was lost anywhere. At most 3/blocks of all blocks are not so (95 %), and each of those may be worth nothing."""
    drift = next(part for part in parts if part.name == "drift_score")
    low = value - (drift.weight * ((drift.value or 0) - drift.interval.low) if drift.interval is not None else 0)
    return max(0.0, 1 + float(np.log(1 - LEVEL)) / (slots / BLOCK_SLOTS)) * low


def _bootstrap(told: Composite, ratios: dict[str, Ratio], slots: Slots, seed: int) -> tuple[float, float]:
    """Stationary bootstrap (Politis and Romano 1994) of all components over the same slots, so that what fails together stays together."""
    from arch.bootstrap import StationaryBootstrap

    count = len(slots)
    block = _block_slots(ratios, count)
    late_s = np.where(np.isnan(slots.ticks.late_s), 0.0, slots.ticks.late_s)
    started = ~np.isnan(slots.ticks.late_s)
    rows = np.column_stack(
        [ratio.loss for ratio in ratios.values()]
        + [ratio.total for ratio in ratios.values()]
        + [late_s, np.square(late_s), started.astype(float)]
    )
    if count > ROWS_MAX:  # neighbours together: a block is far longer
        together = -(-count // ROWS_MAX)
        rows = np.add.reduceat(rows, np.arange(0, count, together))
        count, block = len(rows), max(1, round(block / together))
    drawn = StationaryBootstrap(block, np.arange(count), seed=np.random.Generator(np.random.PCG64(seed)))
    hashed, values = hashlib.sha256(), np.empty(REPEATS)
    for repeat, _ in enumerate(drawn.bootstrap(REPEATS)):
        index = np.asarray(drawn.index, dtype=np.int64)
        hashed.update(index.astype("<i8").tobytes())
        values[repeat] = _value(list(ratios), np.bincount(index, minlength=count) @ rows)
    told.resamples_sha256, told.block_slots = hashed.hexdigest(), block
    low, high = np.percentile(values, [100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2])
    return float(low), float(high)


def _value(names: Sequence[str], sums: NDArray[np.float64]) -> float:
    found = {}
    for number, name in enumerate(names):
        loss, total = sums[number], sums[len(names) + number]
        found[name] = 1 - loss / total if total else 0.0  # nothing drawn: no evidence
    late, squares, n = sums[-3:]
    spread_s = np.sqrt(max(0.0, (squares - late * late / n) / (n - 1))) if n > 1 else np.inf
    found["drift_score"] = 1 / (1 + spread_s)
    return float(sum(WEIGHTS[name] * value for name, value in found.items()))


def _block_slots(ratios: dict[str, Ratio], count: int) -> int:
    """Mean length of a block: the longest that a component asks for (Politis, White 2004); at least an hour's, at most a third of all."""
    from arch.bootstrap import optimal_block_length

    wanted = [float(BLOCK_SLOTS)]
    for ratio in ratios.values():
        if ratio.loss.any() and np.ptp(ratio.loss) > 0 and count > BLOCK_SLOTS:
            wanted.append(float(optimal_block_length(ratio.loss)["stationary"].iloc[0]))
    longest = max(length for length in wanted if np.isfinite(length))
    return max(1, round(min(longest, count / 3)))


def sensitivity(parts: Sequence[Component]) -> list[tuple[str, float, float]]:
    """(component, figure with its weight halved, with half as much more), the weights scaled to add up to 1 again."""
    found = []
    for part in parts:
        figures = []
        for factor in (0.5, 1.5):
            weights = {p.name: p.weight * (factor if p is part else 1) for p in parts}
            figures.append(sum(weights[p.name] * (p.value or 0) for p in parts) / sum(weights.values()))
        found.append((part.name, figures[0], figures[1]))
    return found
