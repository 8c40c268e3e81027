"""Does the printed 95 % interval cover the truth? Simulated runs with clustered outages, of which the truth is known; the judge sees only
the run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from streams.audit.judge.believed import Flags, Float
from streams.audit.judge.components import Component, components, worst_ratios
from streams.audit.judge.composite import composite
from streams.audit.judge.jobs import Jobs
from streams.audit.judge.pressure import Pressure
from streams.audit.judge.slots import Slots
from streams.audit.judge.ticks import Ticks
from streams.audit.record.schedule import Schedule

RHO = 0.8  # a late tick is followed by another one
LATE_SIGMA = 0.6  # of the logarithm of lateness
LATE_S = 0.02
BURST = 8.0  # so many times as many rejects while pressed


class Outages(NamedTuple):
    """up: share of slots; length: mean of an outage in slots. heavy: lengths of a Pareto law (shape 2.2) instead of geometric ones."""

    up: float
    length: float
    heavy: bool = False


class Scenario(NamedTuple):
    """One kind of run."""

    name: str
    slots: int
    system: Outages
    sources: Outages
    jobs: int
    job_failure: float  # of each job by itself
    pressed: Outages = Outages(0.97, 20)


SCENARIOS = (
    Scenario("quiet, 1,000 ticks", 1_000, Outages(0.999, 5), Outages(0.998, 5), 5, 0.0),
    Scenario("72 h, short outages", 4_320, Outages(0.99, 5), Outages(0.98, 5), 5, 0.001),
    Scenario("72 h, long outages", 4_320, Outages(0.99, 30), Outages(0.97, 30), 5, 0.001),
    Scenario("72 h, heavy tails", 4_320, Outages(0.98, 8, True), Outages(0.95, 8, True), 5, 0.01),
    Scenario("72 h, bad", 4_320, Outages(0.90, 15), Outages(0.85, 15), 5, 0.05),
    Scenario("72 h, many jobs", 4_320, Outages(0.98, 10), Outages(0.95, 10), 100, 0.05),
    Scenario("14 d, short outages", 20_000, Outages(0.99, 5), Outages(0.98, 5), 5, 0.01),
    Scenario("14 d, long outages", 20_000, Outages(0.95, 30), Outages(0.95, 30), 5, 0.01),
)


def is_up(rng: np.random.Generator, slots: int, law: Outages) -> Flags:
    """(slots,) of an alternating renewal process, begun in its stationary state (for the geometric law)."""
    found, at = np.ones(slots, dtype=bool), 0
    falls = (1 - law.up) / law.up / law.length
    up = rng.random() < law.up
    while at < slots:
        if up:
            lasts = int(rng.geometric(falls))
        elif law.heavy:
            lasts = max(1, int(np.ceil(rng.pareto(2.2) * law.length * 1.2)))
        else:
            lasts = int(rng.geometric(1 / law.length))
        if not up:
            found[at : at + lasts] = False
        at, up = at + lasts, not up
    return found


def lateness(rng: np.random.Generator, slots: int) -> Float:
    """(slots,) seconds: lognormal, its logarithm an AR(1)."""
    noise = rng.normal(0, LATE_SIGMA * np.sqrt(1 - RHO * RHO), slots)
    logs = np.empty(slots)
    logs[0] = rng.normal(0, LATE_SIGMA)
    for at in range(1, slots):
        logs[at] = RHO * logs[at - 1] + noise[at]
    return LATE_S * np.exp(logs)


def simulate(rng: np.random.Generator, scenario: Scenario) -> Slots:
    """One run, as the judge sees it."""
    n = scenario.slots
    up, source, pressed = (is_up(rng, n, law) for law in (scenario.system, scenario.sources, scenario.pressed))
    started = np.where(up, scenario.jobs, 0)
    succeeded = np.where(source, rng.binomial(started, 1 - scenario.job_failure), 0)
    rate = np.where(pressed, 0.0, BURST)
    zero, never = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool)
    return Slots(
        schedule=Schedule(scenario.name, 0, 60_000, n, 5_000),
        runs=[0],
        stopped_ms=None,
        ticks=Ticks(up, up, never, np.where(up, 1.0, np.nan), np.where(up, lateness(rng, n), np.nan), 0),
        jobs=Jobs(succeeded, started - succeeded, zero, int(started.sum()), 0, 0, 0),
        pressure=Pressure(rng.poisson(10.0, n), rng.poisson(rate), zero),
        covered=never,
        lost=zero,
        tail=0,
        pressure_is_whole=True,
        pressure_lost=zero,
    )


def truth(scenario: Scenario, ups: tuple[float, float, float]) -> dict[str, float]:
    """What the components come to in a run without end. ups: long-run shares of system, sources and pressure."""
    up, source, pressed = ups
    variance = LATE_S**2 * np.exp(LATE_SIGMA**2) * (np.exp(LATE_SIGMA**2) - 1)
    rejected = (1 - pressed) * BURST
    found = {
        "job_success": source * (1 - scenario.job_failure),
        "availability": up,
        "gap_rate": up,
        "drift_score": float(1 / (1 + np.sqrt(variance))),
        "backpressure_rate": 10 / (10 + rejected),
    }
    return found


def long_run(rng: np.random.Generator, law: Outages) -> float:
    """Share of slots that are up: given for the geometric law; for the other its mean length is measured."""
    if not law.heavy:
        return law.up
    lengths = np.maximum(1, np.ceil(rng.pareto(2.2, 2_000_000) * law.length * 1.2))
    falls = (1 - law.up) / law.up / law.length
    return float(1 / (1 + falls * lengths.mean()))


def cover(scenario: Scenario, runs: int, seed: int) -> dict[str, Any]:
    """Shares of `runs` whose interval holds the truth, by component, and of the figure; and what Wilson on ticks would have covered."""
    rng = np.random.default_rng([seed, sum(scenario.name.encode())])
    ups = tuple(long_run(rng, law) for law in (scenario.system, scenario.sources, scenario.pressed))
    true = truth(scenario, (ups[0], ups[1], ups[2]))
    held: dict[str, list[bool]] = {name: [] for name in (*true, "reliability", "wilson_on_ticks")}
    widths = list[float]()
    whole: float | None = None
    for _ in range(runs):
        slots = simulate(rng, scenario)
        ratios = worst_ratios(slots)
        parts = components(slots, ratios)
        for part in parts:
            held[part.name].append(_holds(part, true[part.name]))
            if part.name == "availability":
                low, high = part.naive["wilson"]
                held["wilson_on_ticks"].append(low <= true[part.name] <= high)
        whole = sum(part.weight * true[part.name] for part in parts)
        figure = composite(parts, ratios, slots, int(rng.integers(1 << 62)), ())
        if figure.low is not None and figure.high is not None:
            held["reliability"].append(figure.low <= whole <= figure.high)
            widths.append(figure.high - figure.low)
    return {
        "scenario": scenario.name,
        "truth": whole,
        "runs": runs,
        "width": float(np.mean(widths)),
        **{name: float(np.mean(values)) for name, values in held.items()},
    }


def _holds(part: Component, true: float) -> bool:
    return part.interval is not None and part.interval.low <= true <= part.interval.high
