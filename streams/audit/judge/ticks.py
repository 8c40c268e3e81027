"""The ticks of a schedule: which came, how late, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.audit.judge.believed import Believed, Flags, Float, in_time
from streams.audit.judge.evidence import TICKS, Evidence, moment_of
from streams.audit.record.schedule import MS, Schedule

STARTED, COMPLETED, FAILED = range(len(TICKS))


class Ticks(NamedTuple):
    """All arrays are (slots,)."""

    started: Flags  # before the next slot began
    completed: Flags
    failed: Flags
    took_s: Float  # nan: no end
    late_s: Float  # nan: not started
    too_late: int  # started when the next slot had begun: missed


def ticks_of(schedule: Schedule, runs: Sequence[int], evidence: Evidence, believed: Believed, count: int) -> Ticks:
    """Of the first `count` slots. What was missed is not up, whatever is said of it later."""
    rows = believed.rows(evidence.ticks)
    mine = np.isin(rows["run"], np.array(runs)) & (rows["tick"] >= 0) & (rows["tick"] < count)
    mine &= in_time(schedule, np.clip(rows["tick"], 0, count), rows["ts_ms"])
    rows = {name: values[mine] for name, values in rows.items()}
    kind, tick = rows["kind"], rows["tick"]
    anchors = _anchors(schedule, runs, believed)
    zero_ns = np.array([anchors.get(run.boot_id, 0) for run in believed.runs], dtype=np.int64)[rows["run"]]
    begun = kind == STARTED
    late = (rows["boot_ns"] - zero_ns - tick * schedule.cadence_ms * MS)[begun] / 1e9
    late[late < -schedule.tolerance_ms / 1000] = np.nan  # nothing starts before its time
    late_s = np.full(count, np.nan)
    np.fmin.at(late_s, tick[begun], late)
    came = ~np.isnan(late_s)
    started = came & (late_s < schedule.cadence_ms / 1000)
    late_s[~started] = np.nan
    ended = {outcome: np.zeros(count, dtype=bool) for outcome in (COMPLETED, FAILED)}
    for outcome, flags in ended.items():
        flags[tick[kind == outcome]] = True
    took_s = np.full(count, np.nan)
    took_s[tick[~begun]] = rows["number"][~begun] / 1e9
    completed = ended[COMPLETED] & started
    return Ticks(started, completed, ended[FAILED] & started & ~completed, took_s, late_s, int(np.sum(came & ~started)))


def _anchors(schedule: Schedule, runs: Sequence[int], believed: Believed) -> dict[bytes, int]:
    """Boot id -> t0 on its boot clock [ns]: of its first run, so that setting the wall clock later changes nothing."""
    found: dict[bytes, int] = {}
    for number in runs:
        run = believed.runs[number]
        if (at := moment_of(run)) is not None:
            found.setdefault(run.boot_id, at.boot_ns + schedule.t0_ms * MS - at.wall_ns)
    return found
