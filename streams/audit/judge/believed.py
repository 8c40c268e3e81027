"""Which records the judge may use, and how many it has to do without: what the verifier found, as the judge needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from streams.audit.judge.evidence import HOLE_MAX, NONE, PLACE_BITS, Column, Evidence, Hole, Run, place_of
from streams.audit.record.methodology import LATE_MS
from streams.audit.record.schedule import Schedule
from streams.audit.verify.report import Report
from streams.audit.verify.verifier import Result

NOT_BELIEVED = ("ALTERED", "FORKED", "CORRUPT", "UNDECIDABLE", "UNKNOWN_TYPE")
LOST = ("MISSING", "TRUNCATED")

Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]
Float = NDArray[np.float64]


@dataclass
class Believed:
    """dropped: places of records that were visited and aren't believed. runs: as far as they are. holes: records that are gone, with
    their place in time; unplaced: nobody knows when. pruned_ms: broker's times of sealed records that retention took. withheld: why no
    figure is given at all."""

    dropped: Whole
    runs: list[Run]
    holes: list[Hole]
    unplaced: int
    pruned_ms: Whole
    withheld: list[str]

    @property
    def lost(self) -> int:
        return self.unplaced + sum(hole.records for hole in self.holes)

    def keeps(self, places: Whole) -> Flags:
        """Which of these are believed."""
        if not len(self.dropped):
            return np.ones(len(places), dtype=bool)
        return ~np.isin(places, self.dropped)

    def rows(self, column: Column) -> dict[str, Whole]:
        """Of one kind of record, those that are believed."""
        arrays = {name: np.array(values, dtype=np.int64) for name, values in zip(Column._fields, column, strict=True)}
        keep = self.keeps(arrays["place"])
        return {name: values[keep] for name, values in arrays.items()}


def in_time(schedule: Schedule, tick: Whole, ts_ms: Whole) -> Flags:
    """It reached the broker while anybody could still tell. Whoever says later how it was may say anything."""
    return ts_ms <= schedule.t0_ms + (tick + 1) * schedule.cadence_ms + LATE_MS


def believe(evidence: Evidence, report: Report) -> Believed:
    """Each record that is gone, corrupt or altered is a hole: the worst is assumed of it. Two signed histories, a change that can't be
    placed, or a part that no root proves, leave nothing to judge."""
    places = np.array(evidence.place, dtype=np.int64)
    ts_ms, run = np.array(evidence.ts_ms, dtype=np.int64), np.array(evidence.run, dtype=np.int64)
    dropped, withheld, results = list[Whole](), list[str](), report.results
    for result in results:
        marked = [o for o, kind in result.marked.items() if kind in NOT_BELIEVED]
        dropped.append(np.array([place_of(result.partition, offset) for offset in marked], dtype=np.int64))
        dropped.append(_unsealed(result, places, ts_ms))
        withheld += _reasons(result)
    withheld += [f"{finding.kind} {finding.where}" for finding in report.more if not finding.is_notice]
    bad = np.unique(np.concatenate(dropped)) if dropped else np.empty(0, dtype=np.int64)
    visited = np.isin(places, bad) if len(bad) else np.zeros(len(places), dtype=bool)
    low = {result.partition for result in results if result.low}
    gaps = [hole for hole in evidence.holes if not (hole.is_beginning and hole.partition in low)]
    holes = gaps + [
        Hole(int(run[at]), 0, 0, int(ts_ms[at]), int(ts_ms[at]), int(places[at]) >> PLACE_BITS)
        for at in np.flatnonzero(visited)
    ]
    # each gap in a run's seqs is of a record that is missing, or there and unreadable; what is more than gaps has no place
    strange = {place_of(result.partition, offset) for result in results for offset in result.strange}
    unreadable = int(np.sum(~np.isin(bad, places) & ~np.isin(bad, np.array(sorted(strange), dtype=np.int64))))
    gone = sum(finding.count for result in results for finding in result.findings if finding.kind in LOST)
    pruned_ms = np.array(sorted(ms for result in results for ms in result.pruned_ms), dtype=np.int64)
    told = Believed(
        bad[np.isin(bad, places)],
        [],
        holes,
        min(HOLE_MAX, max(0, unreadable + gone - sum(h.records for h in gaps))),
        pruned_ms,
        withheld,
    )
    told.runs = _runs(evidence, told, places, run, ts_ms)
    return told


def _unsealed(result: Result, places: Whole, ts_ms: Whole) -> Whole:
    """Too old to be unsealed: whoever can write the topic may have written it."""
    if result.unsealed_since_ms is None or not any(finding.kind == "UNSEALED" for finding in result.findings):
        return np.empty(0, dtype=np.int64)
    return places[(places >> PLACE_BITS == result.partition) & (ts_ms >= result.unsealed_since_ms)]


def _reasons(result: Result) -> list[str]:
    """Why nothing can be said of this partition."""
    where = f"{result.topic}/{result.partition}"
    found = []
    if result.records and not result.sealed:
        found.append(f"{where}: no checkpoint by a key you believe covers it")
    elif not result.has_entries and result.sealed < result.promised:
        found.append(
            f"{where}: entries {result.sealed}..{result.promised - 1} give no root that was signed; --tiles would tell why"
        )
    found += [f"FORKED {finding.where}" for finding in result.findings if finding.kind == "FORKED"]
    return found + [f"ALTERED {where}" for where in result.altered_somewhere]


def _runs(evidence: Evidence, believed: Believed, places: Whole, run: Whole, ts_ms: Whole) -> list[Run]:
    """Without what a record says that isn't believed."""
    keep = believed.keeps(places)
    last_ms = np.zeros(len(evidence.runs), dtype=np.int64)
    np.maximum.at(last_ms, run[keep], ts_ms[keep])
    dropped = set(believed.dropped.tolist())
    found = []
    for number, one in enumerate(evidence.runs):
        one = replace(one, last_ms=int(last_ms[number]))
        if one.start in dropped:
            one = replace(one, schedule=None, manifest={}, start=NONE)
        if one.exit in dropped or one.exit_ms < one.last_ms:  # it went on after it said goodbye
            one = replace(one, exit_code=None, exit=NONE)
        found.append(one)
    return found
