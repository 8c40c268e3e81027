"""Where something was lost: from when to when, in which components, and what the log says happened then."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.audit.judge.components import Ratio
from streams.audit.judge.evidence import Evidence, Run
from streams.audit.judge.intervals import episodes
from streams.audit.judge.slots import Slots

SHOWN = ("job_success", "availability", "gap_rate", "backpressure_rate")

EVENTS_MAX = 100  # looked at for one outage


@dataclass(frozen=True)
class Outage:
    """Neighbouring slots with a loss. lost: by component."""

    first_slot: int
    last_slot: int
    from_ms: int
    to_ms: int
    lost: dict[str, float]
    said: tuple[str, ...]  # what the log has around it


def outages(ratios: dict[str, Ratio], slots: Slots, evidence: Evidence, runs: Sequence[Run]) -> list[Outage]:
    """In order of time. One outage that counts in several components is one."""
    if not len(slots):
        return []
    together = np.sum([ratios[name].loss for name in SHOWN], axis=0)
    found, events = [], _events(evidence, runs)
    times = [ms for ms, _ in events]
    for start, stop in zip(*episodes(together)[:2], strict=True):
        first, last = int(start), int(stop) - 1
        lost = {name: float(ratios[name].loss[first : last + 1].sum()) for name in SHOWN}
        from_ms, to_ms = slots.begins_ms(first), slots.begins_ms(last + 1)
        first_event, behind = bisect_left(times, from_ms - slots.schedule.cadence_ms), bisect_left(times, to_ms)
        near = [text for _, text in events[first_event : min(behind, first_event + EVENTS_MAX)]]
        found.append(
            Outage(
                first,
                last,
                from_ms,
                to_ms,
                {name: value for name, value in lost.items() if value},
                tuple(dict.fromkeys(near)),
            )
        )
    return found


def overlap(ratios: dict[str, Ratio]) -> dict[str, int]:
    """Slots with a loss, by the components they count in: whether one outage counts several times."""
    if not len(ratios["availability"].loss):
        return {}
    names = [np.where(ratios[name].loss > 0, 1 << bit, 0) for bit, name in enumerate(SHOWN)]
    sets, counts = np.unique(np.sum(names, axis=0), return_counts=True)
    return {
        " + ".join(name for bit, name in enumerate(SHOWN) if which >> bit & 1): int(count)
        for which, count in zip(sets.tolist(), counts, strict=True)
        if which
    }


def _events(evidence: Evidence, runs: Sequence[Run]) -> list[tuple[int, str]]:
    said = [
        (ms, f"{child} {'was killed by signal ' + str(-code) if code < 0 else 'ended with code ' + str(code)}")
        for ms, child, code in evidence.crashes
    ]
    said += [(ms, f"watchdog of {producer}") for ms, producer in evidence.watchdogs]
    said += [(ms, f"{producer}: {error}"[:120]) for ms, producer, error in evidence.exceptions]
    said += [(ms, f"{who}: {what}"[:120]) for ms, who, what in evidence.actions]
    latest = {run.producer_id: run.run_id for run in runs}
    said += [
        (run.last_ms, f"{run.producer_id} said nothing more, and no exit")
        for run in runs
        if not run.has_ended and latest[run.producer_id] != run.run_id
    ]
    return sorted(said)
