"""What to be careful with in a judgement, and what to do about it."""

from __future__ import annotations

from streams.audit.judge.judgement import Judgement
from streams.words import counted


def warnings_and_advice(told: Judgement) -> tuple[list[str], list[str]]:
    """Sentences. The largest things first in advice."""
    warn, advice = list[str](), list[str]()
    slots = told.slots
    if not told.root:
        warn.append(
            "nothing is sealed by a key that is believed: whoever can write the topic can have rewritten all of it"
        )
        advice.append("run a sealer: icn audit seal")
    if slots is None:
        advice.append("a schedule is in the manifest of whoever emits ticks: icn up, icn worker")
        return warn, advice
    if told.methodology != "v1":
        warn.append(f"the methodology is {told.methodology}")
    if told.lost:
        warn.append(
            f"{counted(told.lost, 'record')} gone or not believed: each counts as a failed job, and their slots as bad as can be"
        )
    if slots.tail:
        warn.append(
            f"{counted(slots.tail, 'slot')} at the end without a word or an exit: as many jobs as ever were in one count as failed in each"
        )
    planned = slots.schedule.slots
    if planned is not None and len(slots) < planned:
        warn.append(
            f"still running at the cut: {len(slots)} of {planned} ticks"
            if slots.stopped_ms is None
            else f"stopped by a signed exit after {len(slots)} of {planned} ticks: the other {planned - len(slots)} are in no figure"
        )
    if told.crashes:
        warn.append(f"whoever emits the ticks ended without an exit {counted(told.crashes, 'time')}")
    if told.unsigned:
        warn.append(f"{counted(told.unsigned, 'exit')} not signed by the run's key: taken for crashes")
    if slots.jobs.stray:
        warn.append(
            f"{counted(slots.jobs.stray, 'end')} of jobs not counted: no start by the same run, or at the broker too late"
        )
    if slots.ticks.too_late:
        warn.append(f"{counted(slots.ticks.too_late, 'tick')} started when the next one was due: missed")
    if slots.overlong:
        warn.append(f"{counted(slots.overlong, 'tick')} took more than {slots.schedule.overlong_ms / 1000:g} s")
    if len(told.hosts) < 2:
        warn.append("one host: what happens to it happens to everything")
    for outage in sorted(told.outages, key=lambda o: -sum(o.lost.values()))[:3]:
        if outage.said:
            advice.append(f"largest losses, ticks {outage.first_slot}–{outage.last_slot}: {'; '.join(outage.said[:3])}")
    if told.worst is not None and (told.worst.value or 0) < 0.99:
        advice.append(f"begin with {told.worst.shown}: it is the lowest, {100 * (told.worst.value or 0):.2f} %")
    return warn, advice
