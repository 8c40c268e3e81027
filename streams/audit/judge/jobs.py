"""The jobs of a schedule's ticks: each counts once, by its last attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from streams.audit.judge.believed import Believed, Flags, Whole, in_time
from streams.audit.judge.evidence import ENDS, NONE, Evidence
from streams.audit.record.methodology import LATE_MS
from streams.audit.record.schedule import Schedule

START, SUCCESS, EMPTY, _ = range(1 + len(ENDS))
OPEN, GOOD, UNCHANGED, BAD = range(4)  # of several ends of one attempt the worst is believed


class Jobs(NamedTuple):
    """Arrays are (slots,)."""

    succeeded: Whole
    unsuccessful: Whole
    crashed: Whole  # started, and no end
    begun: int  # of which the start is there
    stray: int  # of no job of the schedule; ends without a start by the same run, or too late to be believed
    censored: int  # started, and still in time
    unchanged: int  # the source itself said so: in no rate


def jobs_of(
    schedule: Schedule, runs: Sequence[int], evidence: Evidence, believed: Believed, count: int, cut_ms: int
) -> Jobs:
    """Of each (tick, job) the last attempt's end. A job is one that whoever emits the ticks has started: nobody adds to the promise what he
    has kept. An end counts if the same run said the start, and in time."""
    rows = believed.rows(evidence.jobs_done)
    tick, begins_ms = rows["tick"], schedule.t0_ms + np.clip(rows["tick"], 0, count) * schedule.cadence_ms
    # another schedule of the same log has the same numbers at other times
    mine = (tick >= 0) & (tick < count) & (rows["job"] != NONE) & (rows["ts_ms"] <= cut_ms + LATE_MS)
    mine &= rows["ts_ms"] >= begins_ms - schedule.cadence_ms
    rows = {name: values[mine] for name, values in rows.items()}
    counts = _counts(schedule, rows) & _are_promised(rows, runs)
    stray = int(np.sum(~counts))
    rows = {name: values[counts] for name, values in rows.items()}
    good = (rows["kind"] == SUCCESS) & (rows["success"] == 1) & (rows["number"] > 0)
    unchanged = (rows["kind"] == EMPTY) & (rows["success"] == NONE)
    end = np.select([rows["kind"] == START, good, unchanged], [OPEN, GOOD, UNCHANGED], BAD)
    key = rows["tick"] * (len(evidence.jobs) + 1) + rows["job"]
    order = np.lexsort((end, rows["attempt"], key))
    key = key[order]
    last = order[np.flatnonzero(np.diff(key, append=NONE))]
    tick, end = rows["tick"][last], end[last]
    still_ms = schedule.overlong_ms + rows["ts_ms"][last]
    censored = (end == OPEN) & (still_ms > cut_ms)

    def by_slot(of: Flags) -> Whole:
        return np.bincount(tick[of], minlength=count).astype(np.int64)

    return Jobs(
        succeeded=by_slot(end == GOOD),
        unsuccessful=by_slot(end == BAD),
        crashed=by_slot((end == OPEN) & ~censored),
        begun=len(last),
        stray=stray,
        censored=int(censored.sum()),
        unchanged=int(np.sum(end == UNCHANGED)),
    )


def _are_promised(rows: dict[str, Whole], runs: Sequence[int]) -> Flags:
    who = list(zip(rows["tick"].tolist(), rows["job"].tolist(), strict=True))
    ours = (np.isin(rows["run"], np.array(runs)) & (rows["kind"] == START)).tolist()
    promised = {one for one, counts in zip(who, ours, strict=True) if counts}
    return np.array([one in promised for one in who], dtype=bool)


def _counts(schedule: Schedule, rows: dict[str, Whole]) -> Flags:
    """Which of these rows do."""
    who = list(zip(*(rows[name].tolist() for name in ("run", "tick", "job", "attempt")), strict=True))
    is_start, prompt = rows["kind"] == START, in_time(schedule, rows["tick"], rows["ts_ms"])
    # one that starts when its tick is long over is a job, but no further attempt at one
    begun_in_time = {one[1:3] for one, counts in zip(who, (is_start & prompt).tolist(), strict=True) if counts}
    starts = is_start & (prompt | np.array([one[1:3] not in begun_in_time for one in who], dtype=bool))
    begun = {one for one, counts in zip(who, starts.tolist(), strict=True) if counts}
    return starts | (~is_start & prompt & np.array([one in begun for one in who], dtype=bool))
