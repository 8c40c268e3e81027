"""What was accepted, rejected and retried, slot by slot, in artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.audit.judge.believed import Believed, Whole, in_time
from streams.audit.judge.evidence import NONE, PRESSURE, Evidence
from streams.audit.record.schedule import Schedule

ACCEPT = PRESSURE.index("backpressure_accept")


class Pressure(NamedTuple):
    """(slots,) each."""

    accepts: Whole
    rejects: Whole
    retries: Whole


def pressure_of(
    schedule: Schedule, runs: Sequence[int], evidence: Evidence, believed: Believed, count: int
) -> Pressure:
    """Counted twice under one name counts once, at its worst. Whoever emits the ticks says of which one; of others the broker's time does.
    Accepts that come too late are none."""
    rows = believed.rows(evidence.pressure)
    at = (rows["ts_ms"] - schedule.t0_ms) // schedule.cadence_ms
    at = np.where(np.isin(rows["run"], np.array(runs)) & (rows["tick"] != NONE), rows["tick"], at)
    mine = (at >= 0) & (at < count)
    mine &= (rows["kind"] != ACCEPT) | in_time(schedule, np.clip(at, 0, count), rows["ts_ms"])
    columns = (values[mine].tolist() for values in (at, rows["kind"], rows["job"], rows["number"]))
    worst: dict[tuple[int, int, int], int] = {}
    for place, (slot, kind, job, number) in enumerate(zip(*columns, strict=True)):
        name = (kind, slot, job if job != NONE else len(evidence.jobs) + place)
        worst[name] = (min if kind == ACCEPT else max)(number, worst.get(name, number))
    sums = tuple(np.zeros(count, dtype=np.int64) for _ in PRESSURE)
    for (kind, slot, _), number in worst.items():
        sums[kind][slot] += number
    return Pressure(*sums)
