"""The evidence, slot by slot of a schedule: what was expected there, what came, and what nobody can say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.audit.judge.believed import Believed
from streams.audit.judge.evidence import ENDS, NONE, PRESSURE, TICKS, Column, Evidence, Run, moment_of
from streams.audit.record.schedule import MS, OVERLONG_PERCENT, Schedule
from streams.errors import AuditError

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]
Float = NDArray[np.float64]
SLOTS_MAX = 10_000_000  # 19 years of minutes
STARTED, COMPLETED, FAILED = range(len(TICKS))
START = 0  # of JOBS
SUCCESS, EMPTY, FAILURE = range(1, len(ENDS) + 1)


@dataclass
class Slots:
    """All arrays are (slots,): those that were over at the cut."""

    schedule: Schedule
    runs: list[int]  # of whoever emits the ticks
    cut_ms: int
    planned: int | None  # slots of the whole schedule
    stopped_ms: int | None  # it was ended by a signed exit before its time
    started: Flags
    completed: Flags
    failed: Flags
    idle: Flags
    took_s: Float  # nan: no end
    late_s: Float  # nan: not started
    too_late: int  # started when the next slot had begun: missed
    succeeded: Whole
    unsuccessful: Whole
    crashed: Whole  # jobs that started and have no end
    begun: int  # jobs of which the start is there
    censored: int
    unchanged: int
    accepts: Whole
    rejects: Whole
    retries: Whole
    covered: Flags  # records are gone that may be this slot's
    lost: Whole  # records that are gone: each may have been a failed job
    tail: int  # slots at the end without a word, and without an exit: nothing proves that no more was written
    pressure_is_whole: bool
    pressure_lost: Whole  # what the tail may have rejected

    def __len__(self) -> int:
        return len(self.started)

    @property
    def overlong(self) -> int:
        return int(np.sum(self.took_s > self.schedule.cadence_ms * OVERLONG_PERCENT / 100 / 1000))

    def begins_ms(self, slot: int) -> int:
        return self.schedule.t0_ms + slot * self.schedule.cadence_ms


def schedules(evidence: Evidence) -> dict[Schedule, list[int]]:
    """Each with its runs, in order: one that starts again after a crash goes on with the same."""
    found: dict[Schedule, list[int]] = {}
    for number, run in enumerate(evidence.runs):
        if run.schedule is not None:
            found.setdefault(run.schedule, []).append(number)
    return found


def slots_of(schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, at_ms: int) -> Slots:
    """at_ms: when the bounds of the log were frozen; nothing after it is expected."""
    last = evidence.runs[runs[-1]]
    stopped_ms = last.last_ms if last.exit_code is not None and last.exit_is_signed else None
    cut_ms = at_ms if stopped_ms is None else min(at_ms, stopped_ms)
    count = schedule.expected(cut_ms)
    if count > SLOTS_MAX:
        raise AuditError(
            f"{schedule.text()}: {count:,} slots are over; at most {SLOTS_MAX:,} are judged",
            "--schedule names another one",
        )
    early = stopped_ms is not None and schedule.slots is not None and count < schedule.slots
    covered, lost = _holes(schedule, runs, believed, count)
    ticks = _ticks(schedule, runs, evidence, believed, count)
    jobs = _jobs(schedule, evidence, believed, count, cut_ms)
    pressure = _pressure(schedule, runs, evidence, believed, count)
    tail = _tail(schedule, runs, evidence, ticks[1], count)
    per_slot = jobs[0] + jobs[1] + jobs[2]
    lost[count - tail :] += int(per_slot.max(initial=0))
    pressure_lost = np.zeros(count, dtype=np.int64)
    pressure_lost[count - tail :] = int((pressure[0] + pressure[1] + pressure[2]).max(initial=0))
    talkers = {n for n, run in enumerate(evidence.runs) if run.types & set(PRESSURE)}
    whole = not believed.unplaced and not any(hole.run in talkers for hole in believed.holes)
    return Slots(
        schedule, runs, cut_ms, schedule.slots, stopped_ms if early else None,
        *ticks, *jobs, *pressure, covered, lost, tail, whole, pressure_lost,
    )  # fmt: skip


def _kept(column: Column, evidence: Evidence, believed: Believed) -> dict[str, Whole]:
    """Without records that aren't believed."""
    arrays = {name: np.array(values, dtype=np.int64) for name, values in zip(Column._fields, column, strict=True)}
    if any(believed.dropped.values()):
        of = np.array(evidence.partition_of, dtype=np.int64)[arrays["run"]]
        keep = np.ones(len(of), dtype=bool)
        for partition, offsets in believed.dropped.items():
            keep &= ~((of == partition) & np.isin(arrays["offset"], np.array(sorted(offsets), dtype=np.int64)))
        arrays = {name: values[keep] for name, values in arrays.items()}
    return arrays


def _holes(schedule: Schedule, runs: list[int], believed: Believed, count: int) -> tuple[Flags, Whole]:
    covered, lost = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64)
    if not count:
        return covered, lost
    if believed.unplaced:
        covered[:] = True
        lost[-1] += believed.unplaced
    for hole in believed.holes:
        first, last = (min(max(schedule.slot_at(ms), 0), count - 1) for ms in (hole.from_ms, hole.to_ms))
        lost[last] += hole.records
        if hole.run in runs:
            covered[first : last + 1] = True
    return covered, lost


def _tail(schedule: Schedule, runs: list[int], evidence: Evidence, completed: Flags, count: int) -> int:
    last = evidence.runs[runs[-1]]
    if last.exit_code is not None and last.exit_is_signed:
        return 0
    heard = schedule.slot_at(max(evidence.runs[number].last_ms for number in runs))
    done = np.flatnonzero(completed)
    return max(0, count - 1 - max(heard, int(done[-1]) if len(done) else -1))


def _anchors(schedule: Schedule, runs: list[int], evidence: Evidence) -> dict[bytes, int]:
    """Boot id -> t0 on its boot clock [ns]: of its first run, so that setting the wall clock later changes nothing."""
    found: dict[bytes, int] = {}
    for number in runs:
        run = evidence.runs[number]
        if (at := moment_of(run)) is not None:
            found.setdefault(run.boot_id, at.boot_ns + schedule.t0_ms * MS - at.wall_ns)
    return found


def _ticks(
    schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, count: int
) -> tuple[Flags, Flags, Flags, Flags, Float, Float, int]:
    rows, anchors = _kept(evidence.ticks, evidence, believed), _anchors(schedule, runs, evidence)
    mine = np.isin(rows["run"], np.array(runs)) & (rows["tick"] >= 0) & (rows["tick"] < count)
    rows = {name: values[mine] for name, values in rows.items()}
    zero_ns = np.array([anchors.get(run.boot_id, 0) for run in evidence.runs], dtype=np.int64)[rows["run"]]
    cadence_s = schedule.cadence_ms / 1000
    started, kind, tick = np.zeros(count, dtype=bool), rows["kind"], rows["tick"]
    late_s = np.full(count, np.nan)
    begun = kind == STARTED
    late = (rows["boot_ns"] - zero_ns - rows["tick"] * schedule.cadence_ms * MS)[begun] / 1e9
    np.fmin.at(late_s, tick[begun], late)
    in_time = ~np.isnan(late_s) & (late_s < cadence_s)
    too_late = int(np.sum(~np.isnan(late_s) & ~in_time))
    started[in_time], late_s[~in_time] = True, np.nan
    completed, failed, idle = (np.zeros(count, dtype=bool) for _ in range(3))
    completed[tick[kind == COMPLETED]] = True
    failed[tick[kind == FAILED]] = True
    idle[tick[(kind == COMPLETED) & (rows["success"] == NONE)]] = True
    took_s = np.full(count, np.nan)
    took_s[tick[~begun]] = rows["number"][~begun] / 1e9
    return started, completed, failed & ~completed, idle, took_s, late_s, too_late


def _jobs(
    schedule: Schedule, evidence: Evidence, believed: Believed, count: int, cut_ms: int
) -> tuple[Whole, Whole, Whole, int, int, int]:
    """Of each (tick, job) the last attempt's end. Started, and not ended, and still in time: censored."""
    rows = _kept(evidence.jobs_done, evidence, believed)
    # another schedule of the same log has the same numbers at other times
    at = (rows["wall_ms"] - schedule.t0_ms) // schedule.cadence_ms
    mine = (rows["tick"] >= 0) & (rows["tick"] < count) & (at >= rows["tick"] - 1) & (rows["job"] != NONE)
    mine &= (at <= rows["tick"] + 1) | (rows["kind"] != START)
    rows = {name: values[mine] for name, values in rows.items()}
    succeeded, unsuccessful, crashed = (np.zeros(count, dtype=np.int64) for _ in range(3))
    if not len(rows["tick"]):
        return succeeded, unsuccessful, crashed, 0, 0, 0
    key = rows["tick"] * (len(evidence.jobs) + 1) + rows["job"]
    order = np.lexsort((rows["offset"], rows["kind"] != START, rows["attempt"], key))
    key, rows = key[order], {name: values[order] for name, values in rows.items()}
    last = np.flatnonzero(np.append(key[1:] != key[:-1], True))  # the last attempt's end, or its start
    kind, tick, success = rows["kind"][last], rows["tick"][last], rows["success"][last]
    open_ = kind == START
    deadline_ms = rows["wall_ms"][last] + schedule.cadence_ms * OVERLONG_PERCENT // 100
    censored = open_ & (deadline_ms > cut_ms)
    good = (kind == SUCCESS) & (success == 1) & (rows["number"][last] > 0)
    unchanged = (kind == EMPTY) & (success == NONE)
    np.add.at(succeeded, tick[good], 1)
    np.add.at(unsuccessful, tick[~open_ & ~good & ~unchanged], 1)
    np.add.at(crashed, tick[open_ & ~censored], 1)
    begun = len(np.unique(key[rows["kind"] == START]))
    return succeeded, unsuccessful, crashed, begun, int(censored.sum()), int(unchanged.sum())


def _pressure(
    schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, count: int
) -> tuple[Whole, Whole, Whole]:
    """Accepts, rejects, retries. What was counted twice under one name counts as it was counted last. Whoever emits the ticks says of which
    one; of others the time does."""
    rows = _kept(evidence.pressure, evidence, believed)
    newest: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    unnamed = len(evidence.jobs)
    slot = (rows["wall_ms"] - schedule.t0_ms) // schedule.cadence_ms
    slot = np.where(np.isin(rows["run"], np.array(runs)) & (rows["tick"] != NONE), rows["tick"], slot)
    columns = (slot, *(rows[name] for name in ("kind", "job", "attempt", "number")))
    for place, (at, kind, job, attempt, number) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        name = (kind, job if job != NONE else unnamed + place)
        if name not in newest or newest[name][0] <= attempt:
            newest[name] = (attempt, kind, at, number)
    sums = tuple(np.zeros(count, dtype=np.int64) for _ in PRESSURE)
    for _, kind, at, number in newest.values():
        if 0 <= at < count:
            sums[kind][at] += number
    return sums[0], sums[1], sums[2]


def crashes_of(runs: Sequence[Run]) -> list[Run]:
    """Those that said no process_exit, but for the last, which may still live."""
    return [run for run in runs[:-1] if run.exit_code is None]
