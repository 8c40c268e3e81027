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
SLOTS_MAX = 1_000_000  # two years of minutes
LATE_MS = 300_000  # what reaches the broker later than this after its slot is no evidence of it
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
    stray: int  # ends without a start by the same run, or too late to be believed
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


def schedules(believed: Believed) -> dict[Schedule, list[int]]:
    """Each with its runs, in order: one that starts again after a crash goes on with the same."""
    found: dict[Schedule, list[int]] = {}
    for number, run in enumerate(believed.runs):
        if run.schedule is not None:
            found.setdefault(run.schedule, []).append(number)
    return found


def slots_of(schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, at_ms: int) -> Slots:
    """at_ms: when the bounds of the log were frozen; nothing after it is expected. What a record says of the wall clock is not asked: the
    broker's time was sealed with it."""
    stopped_ms = _stopped(believed, runs)
    cut_ms = at_ms if stopped_ms is None else min(at_ms, stopped_ms)
    count = schedule.expected(cut_ms)
    if count > SLOTS_MAX:
        raise AuditError(
            f"{schedule.text()}: {count:,} slots are over; at most {SLOTS_MAX:,} are judged",
            "--schedule names another one",
        )
    early = stopped_ms is not None and schedule.slots is not None and count < schedule.slots
    covered, lost, whole = _holes(schedule, runs, believed, count, cut_ms)
    ticks = _ticks(schedule, runs, evidence, believed, count)
    jobs = _jobs(schedule, evidence, believed, count, cut_ms)
    pressure = _pressure(schedule, runs, evidence, believed, count)
    tail = _tail(schedule, runs, believed, ticks[1], count)
    per_slot = jobs[0] + jobs[1] + jobs[2]
    lost[count - tail :] += int(per_slot.max(initial=0))
    pressure_lost = np.zeros(count, dtype=np.int64)
    pressure_lost[count - tail :] = int((pressure[0] + pressure[1] + pressure[2]).max(initial=0))
    return Slots(
        schedule, runs, cut_ms, schedule.slots, stopped_ms if early else None,
        *ticks, *jobs, *pressure, covered, lost, tail, whole, pressure_lost,
    )  # fmt: skip


def _stopped(believed: Believed, runs: list[int]) -> int | None:
    """When it was ended by a signed exit, after which nobody goes on with the schedule."""
    last = max((believed.runs[number] for number in runs), key=lambda run: run.last_ms)
    return last.exit_ms if last.has_ended else None


def _kept(column: Column, believed: Believed) -> dict[str, Whole]:
    """Without records that aren't believed."""
    arrays = {name: np.array(values, dtype=np.int64) for name, values in zip(Column._fields, column, strict=True)}
    keep = believed.keeps(arrays["place"])
    return {name: values[keep] for name, values in arrays.items()}


def _holes(
    schedule: Schedule, runs: list[int], believed: Believed, count: int, cut_ms: int
) -> tuple[Flags, Whole, bool]:
    """(slots that records may be missing of, how many of each at the latest, whether all counts of pressure are there)."""
    covered, lost, whole = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64), True
    if not count:
        return covered, lost, whole
    pruned = int(np.sum((believed.pruned_ms >= schedule.t0_ms) & (believed.pruned_ms <= cut_ms)))
    if believed.unplaced or pruned:
        covered[:], whole = True, False
        lost[-1] += believed.unplaced + pruned
    for hole in believed.holes:
        if hole.to_ms < schedule.t0_ms or hole.from_ms > cut_ms:
            continue
        first, last = (min(max(schedule.slot_at(ms), 0), count - 1) for ms in (hole.from_ms, hole.to_ms))
        lost[last] += hole.records
        if hole.run in runs:
            covered[first : last + 1] = True
        if believed.runs[hole.run].types & set(PRESSURE):
            whole = False
    return covered, lost, whole


def _tail(schedule: Schedule, runs: list[int], believed: Believed, completed: Flags, count: int) -> int:
    if _stopped(believed, runs) is not None:
        return 0
    heard = schedule.slot_at(max(believed.runs[number].last_ms for number in runs))
    done = np.flatnonzero(completed)
    return max(0, count - 1 - max(heard, int(done[-1]) if len(done) else -1))


def _anchors(schedule: Schedule, runs: list[int], believed: Believed) -> dict[bytes, int]:
    """Boot id -> t0 on its boot clock [ns]: of its first run, so that setting the wall clock later changes nothing."""
    found: dict[bytes, int] = {}
    for number in runs:
        run = believed.runs[number]
        if (at := moment_of(run)) is not None:
            found.setdefault(run.boot_id, at.boot_ns + schedule.t0_ms * MS - at.wall_ns)
    return found


def _in_time(schedule: Schedule, tick: Whole, ts_ms: Whole) -> Flags:
    """It reached the broker while anybody could still tell. Whoever says later how it was may say anything."""
    return ts_ms <= schedule.t0_ms + (tick + 1) * schedule.cadence_ms + LATE_MS


def _ticks(
    schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, count: int
) -> tuple[Flags, Flags, Flags, Flags, Float, Float, int]:
    rows, anchors = _kept(evidence.ticks, believed), _anchors(schedule, runs, believed)
    mine = np.isin(rows["run"], np.array(runs)) & (rows["tick"] >= 0) & (rows["tick"] < count)
    mine &= _in_time(schedule, np.clip(rows["tick"], 0, count), rows["ts_ms"])
    rows = {name: values[mine] for name, values in rows.items()}
    zero_ns = np.array([anchors.get(run.boot_id, 0) for run in believed.runs], dtype=np.int64)[rows["run"]]
    cadence_s = schedule.cadence_ms / 1000
    started, kind, tick = np.zeros(count, dtype=bool), rows["kind"], rows["tick"]
    late_s = np.full(count, np.nan)
    begun = kind == STARTED
    late = (rows["boot_ns"] - zero_ns - rows["tick"] * schedule.cadence_ms * MS)[begun] / 1e9
    late[late < -schedule.tolerance_ms / 1000] = np.nan  # nothing starts before its time
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
    # what was missed is not up, whatever it says later
    return started, completed & started, failed & started & ~completed, idle & started, took_s, late_s, too_late


def _jobs(
    schedule: Schedule, evidence: Evidence, believed: Believed, count: int, cut_ms: int
) -> tuple[Whole, Whole, Whole, int, int, int, int]:
    """Of each (tick, job) the last attempt's end. Started, and not ended, and still in time: censored. An end counts if the same run said
    the start, and in time; of several the worst."""
    rows = _kept(evidence.jobs_done, believed)
    tick, begins_ms = rows["tick"], schedule.t0_ms + np.clip(rows["tick"], 0, count) * schedule.cadence_ms
    # another schedule of the same log has the same numbers at other times
    mine = (tick >= 0) & (tick < count) & (rows["job"] != NONE) & (rows["ts_ms"] <= cut_ms + LATE_MS)
    mine &= rows["ts_ms"] >= begins_ms - schedule.cadence_ms
    rows = {name: values[mine] for name, values in rows.items()}
    who = list(zip(*(rows[name].tolist() for name in ("run", "tick", "job", "attempt")), strict=True))
    is_start = rows["kind"] == START
    in_time = _in_time(schedule, rows["tick"], rows["ts_ms"])
    # one that starts when its tick is long over is a job, but no further attempt at one
    prompt = {one[1:3] for one, counts in zip(who, (is_start & in_time).tolist(), strict=True) if counts}
    is_start &= in_time | np.array([one[1:3] not in prompt for one in who], dtype=bool)
    begun = {one for one, starts in zip(who, is_start.tolist(), strict=True) if starts}
    counts = is_start | (in_time & (rows["kind"] != START) & np.array([one in begun for one in who], dtype=bool))
    stray = int(np.sum(~counts))
    rows = {name: values[counts] for name, values in rows.items()}
    succeeded, unsuccessful, crashed = (np.zeros(count, dtype=np.int64) for _ in range(3))
    if not len(rows["tick"]):
        return succeeded, unsuccessful, crashed, 0, stray, 0, 0
    good = (rows["kind"] == SUCCESS) & (rows["success"] == 1) & (rows["number"] > 0)
    unchanged = (rows["kind"] == EMPTY) & (rows["success"] == NONE)
    rank = np.where(rows["kind"] == START, 0, np.where(good, 1, np.where(unchanged, 2, 3)))
    key = rows["tick"] * (len(evidence.jobs) + 1) + rows["job"]
    order = np.lexsort((rank, rows["attempt"], key))
    key = key[order]
    last = order[np.append(key[1:] != key[:-1], True)]
    tick, open_ = rows["tick"][last], rank[last] == 0
    censored = open_ & (rows["ts_ms"][last] + schedule.cadence_ms * OVERLONG_PERCENT // 100 > cut_ms)
    np.add.at(succeeded, tick[rank[last] == 1], 1)
    np.add.at(unsuccessful, tick[rank[last] == 3], 1)
    np.add.at(crashed, tick[open_ & ~censored], 1)
    return succeeded, unsuccessful, crashed, len(last), stray, int(censored.sum()), int(np.sum(rank[last] == 2))


def _pressure(
    schedule: Schedule, runs: list[int], evidence: Evidence, believed: Believed, count: int
) -> tuple[Whole, Whole, Whole]:
    """Accepts, rejects, retries. Counted twice under one name counts once, at its worst. Whoever emits the ticks says of which one;
    of others the broker's time does. Accepts that come too late are none."""
    rows = _kept(evidence.pressure, believed)
    at = (rows["ts_ms"] - schedule.t0_ms) // schedule.cadence_ms
    at = np.where(np.isin(rows["run"], np.array(runs)) & (rows["tick"] != NONE), rows["tick"], at)
    mine = (at >= 0) & (at < count)
    mine &= (rows["kind"] != 0) | _in_time(schedule, np.clip(at, 0, count), rows["ts_ms"])
    columns = (values[mine].tolist() for values in (at, rows["kind"], rows["job"], rows["number"]))
    worst: dict[tuple[int, int, int], int] = {}
    for place, (slot, kind, job, number) in enumerate(zip(*columns, strict=True)):
        name = (kind, slot, job if job != NONE else len(evidence.jobs) + place)
        worst[name] = number if name not in worst else (min if kind == 0 else max)(number, worst[name])
    sums = tuple(np.zeros(count, dtype=np.int64) for _ in PRESSURE)
    for (kind, slot, _), number in worst.items():
        sums[kind][slot] += number
    return sums[0], sums[1], sums[2]


def crashes_of(runs: Sequence[Run]) -> list[Run]:
    """Those that said no process_exit, but for the last, which may still live."""
    return [run for run in runs[:-1] if not run.has_ended]
