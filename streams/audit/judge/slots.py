"""The evidence, slot by slot of a schedule: what was expected there, what came, and what nobody can say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.audit.judge.believed import Believed, Flags, Whole
from streams.audit.judge.evidence import PRESSURE, Evidence, Run
from streams.audit.judge.jobs import Jobs, jobs_of
from streams.audit.judge.pressure import Pressure, pressure_of
from streams.audit.judge.ticks import Ticks, ticks_of
from streams.audit.record.schedule import Schedule
from streams.errors import AuditError

SLOTS_MAX = 1_000_000  # two years of minutes


@dataclass
class Slots:
    """Those of a schedule that were over at the cut. All arrays are (slots,)."""

    schedule: Schedule
    runs: list[int]  # of whoever emits the ticks
    stopped_ms: int | None  # it was ended by a signed exit before its time
    ticks: Ticks
    jobs: Jobs
    pressure: Pressure
    covered: Flags  # records are gone that may be this slot's
    lost: Whole  # records that are gone: each may have been a failed job
    tail: int  # slots at the end without a word, and without an exit: nothing proves that no more was written
    pressure_is_whole: bool
    pressure_lost: Whole  # what the tail may have rejected

    def __len__(self) -> int:
        return len(self.lost)

    @property
    def overlong(self) -> int:
        return int(np.sum(self.ticks.took_s * 1000 > self.schedule.overlong_ms))

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
    mine = [believed.runs[number] for number in runs]
    stopped_ms = _stopped(mine)
    cut_ms = at_ms if stopped_ms is None else min(at_ms, stopped_ms)
    count = schedule.expected(cut_ms)
    if count > SLOTS_MAX:
        raise AuditError(
            f"{schedule.text()}: {count:,} slots are over; at most {SLOTS_MAX:,} are judged",
            "--schedule names another one",
        )
    covered, lost, whole = _holes(schedule, runs, believed, count, cut_ms)
    ticks = ticks_of(schedule, runs, evidence, believed, count)
    jobs = jobs_of(schedule, runs, evidence, believed, count, cut_ms)
    pressure = pressure_of(schedule, runs, evidence, believed, count)
    tail = 0 if stopped_ms is not None else _tail(schedule, mine, ticks, count)
    lost[count - tail :] += int((jobs.succeeded + jobs.unsuccessful + jobs.crashed).max(initial=0))
    pressure_lost = np.zeros(count, dtype=np.int64)
    pressure_lost[count - tail :] = int((pressure.accepts + pressure.rejects + pressure.retries).max(initial=0))
    early = schedule.slots is not None and count < schedule.slots
    return Slots(
        schedule, runs, stopped_ms if early else None, ticks, jobs, pressure, covered, lost, tail, whole, pressure_lost
    )


def _stopped(runs: Sequence[Run]) -> int | None:
    """When it was ended by a signed exit, after which nobody goes on with the schedule."""
    last = max(runs, key=lambda run: run.last_ms)
    return last.exit_ms if last.has_ended else None


def _tail(schedule: Schedule, runs: Sequence[Run], ticks: Ticks, count: int) -> int:
    heard = schedule.slot_at(max(run.last_ms for run in runs))
    return max(0, count - 1 - max([heard, *np.flatnonzero(ticks.completed)[-1:].tolist()]))


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


def crashes_of(runs: Sequence[Run]) -> list[Run]:
    """Those that said no process_exit, but for the last, which may still live."""
    return [run for run in runs[:-1] if not run.has_ended]
