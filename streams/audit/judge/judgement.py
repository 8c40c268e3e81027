"""The judge: what a verified log says about how reliable it was. Give it the evidence of a verification, and what that found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.audit.judge.believed import Believed, believe
from streams.audit.judge.components import Component, components, worst_ratios
from streams.audit.judge.composite import Composite, composite, seed_from, sensitivity
from streams.audit.judge.evidence import Evidence, Run, shown
from streams.audit.judge.numbers import NineNumbers, nine_numbers
from streams.audit.judge.outages import Outage, outages, overlap
from streams.audit.judge.slots import Slots, crashes_of, schedules, slots_of
from streams.audit.record.events import canonical
from streams.audit.record.methodology import METHODOLOGY
from streams.audit.record.schedule import Schedule
from streams.audit.verify.findings import Finding
from streams.audit.verify.verifier import Result
from streams.errors import AuditError

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Equation:
    """left = the sum of right, or something is wrong."""

    left: str
    value: int
    right: dict[str, int]

    @property
    def residual(self) -> int:
        return self.value - sum(self.right.values())


@dataclass
class Judgement:
    """Of one schedule."""

    of: str
    at_ms: int
    integrity: str
    completeness: str
    root: str  # of the newest checkpoint, base16; empty: nobody sealed
    schedule: Schedule | None
    others: list[str]  # schedules of the same log that aren't judged here
    slots: Slots | None
    numbers: NineNumbers
    types: dict[str, int]
    artifacts: dict[str, int]  # by type of record
    parts: list[Component]
    figure: Composite
    outages: list[Outage]
    overlap: dict[str, int]
    sensitivity: list[tuple[str, float, float]]
    equations: list[Equation]
    findings: list[Finding]
    anomalies: dict[str, int]
    lost: int
    hosts: list[str]
    simulated: bool
    methodology: str  # as it was sealed: "v1" or what is wrong with it
    warnings: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def worst(self) -> Component | None:
        """The component with the lowest value."""
        known = [part for part in self.parts if part.value is not None]
        return min(known, key=lambda part: part.value or 0.0) if known else None

    @property
    def coverage(self) -> tuple[float, float | None] | None:
        """Hours that were judged, and hours that were planned."""
        if self.slots is None:
            return None
        hours = self.slots.schedule.cadence_ms / 3_600_000
        return len(self.slots) * hours, None if self.slots.planned is None else self.slots.planned * hours


def judge(
    evidence: Evidence,
    results: Sequence[Result],
    more: Sequence[Finding],
    of: str,
    at_ms: int,
    integrity: str,
    completeness: str,
    wanted: str | None = None,
) -> Judgement:
    """wanted: name of a schedule, or its t0 in ms; else the newest one. Raises AuditError for one that isn't there."""
    believed = believe(evidence, results, more)
    known = schedules(believed)
    schedule = _choose(known, wanted)
    newest = [result.newest for result in results if result.newest is not None]
    roots = [checkpoint.root for checkpoint in newest]
    root = b"".join(roots).hex()
    slots = None if schedule is None else slots_of(schedule, known[schedule], evidence, believed, at_ms)
    withheld = list(believed.withheld)
    if slots is None:
        withheld.append("no schedule: nothing was promised")
    elif not len(slots):
        withheld.append("no slot of the schedule is over yet")
    if slots is None or not len(slots):
        parts, figure = list[Component](), Composite(None, None, withheld=withheld)
    else:
        parts = components(slots)
        figure = composite(parts, slots, seed_from(roots), withheld)
    ratios = {} if slots is None else worst_ratios(slots)
    told = Judgement(
        of=of,
        at_ms=at_ms,
        integrity=integrity,
        completeness=completeness,
        root=root,
        schedule=schedule,
        others=[f"{other.text()}, t0 {other.t0_ms}" for other in known if other != schedule],
        slots=slots,
        numbers=nine_numbers(evidence, believed),
        types=dict(evidence.types.most_common()),
        artifacts=_artifacts(evidence),
        parts=parts,
        figure=figure,
        outages=[] if slots is None else outages(ratios, slots, evidence, believed.runs),
        overlap=overlap(ratios) if ratios else {},
        sensitivity=sensitivity(parts) if figure.value is not None else [],
        equations=[] if slots is None else _equations(slots),
        findings=[*more, *(finding for result in results for finding in result.findings)],
        anomalies=dict(evidence.anomalies),
        lost=believed.lost,
        hosts=sorted({shown(str(run.manifest.get("host", UNKNOWN))) for run in believed.runs}),
        simulated=any(run.manifest.get("simulated") is True for run in believed.runs),
        methodology=_methodology(evidence, believed.runs, schedule, [] if schedule is None else known[schedule]),
    )
    told.warnings, told.advice = _warnings(told, evidence, believed)
    return told


def _choose(known: dict[Schedule, list[int]], wanted: str | None) -> Schedule | None:
    fits = [one for one in known if wanted is None or wanted in (one.name, str(one.t0_ms))]
    if not fits and wanted is not None:
        raise AuditError(
            f'no schedule "{wanted}" in this log', f"there are: {', '.join(o.text() for o in known) or 'none'}"
        )
    return max(fits, key=lambda one: one.t0_ms) if fits else None


def _equations(slots: Slots) -> list[Equation]:
    count = len(slots)
    started, missed = int(slots.started.sum()), int((~slots.started).sum())
    jobs = {
        "succeeded": int(slots.succeeded.sum()),
        "failed": int(slots.unsuccessful.sum()),
        "crashed": int(slots.crashed.sum()),
        "censored": slots.censored,
        "unchanged": slots.unchanged,
    }
    ticks = {
        "completed": int(slots.completed.sum()),
        "failed": int(slots.failed.sum()),
        "crashed": int((slots.started & ~slots.completed & ~slots.failed).sum()),
    }
    return [
        Equation("ticks expected", count, {"started": started, "missed": missed}),
        Equation("ticks started", started, ticks),
        Equation("jobs started", slots.begun, jobs),
    ]


def some(number: int, what: str) -> str:
    """1 outage, 2 outages."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _artifacts(evidence: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for (type_, _), number in sorted(evidence.artifacts.items()):
        found[type_] = found.get(type_, 0) + number
    return found


def _methodology(evidence: Evidence, all_runs: Sequence[Run], schedule: Schedule | None, runs: Sequence[int]) -> str:
    """Whether what was said and sealed before the run is what judges it now."""
    texts = {all_runs[number].methodology for number in runs}
    if schedule is None or None in texts or not texts:
        return "not said by every run"
    if texts != {canonical(METHODOLOGY)}:
        return "another one than this judge's"
    offset = all_runs[runs[0]].methodology_offset
    sealed_ms = min((ms for ms, size in evidence.seals if size > offset), default=None)
    if sealed_ms is None or sealed_ms > schedule.t0_ms:
        late = (
            "never sealed"
            if sealed_ms is None
            else f"sealed {(sealed_ms - schedule.t0_ms) / 1000:.0f} s after it began"
        )
        return f"said before the run, and {late}"
    return "v1"


def _warnings(told: Judgement, evidence: Evidence, believed: Believed) -> tuple[list[str], list[str]]:
    warn, advice = list[str](), list[str]()
    slots = told.slots
    if not told.root:
        warn.append("nothing is sealed: whoever can write the topic can have rewritten all of it")
        advice.append("run a sealer: icn audit seal")
    if slots is None:
        advice.append("a schedule is in the manifest of whoever emits ticks: icn up, icn worker")
        return warn, advice
    if told.methodology != "v1":
        warn.append(f"the methodology is {told.methodology}")
    if told.lost:
        warn.append(
            f"{some(told.lost, 'record')} gone or not believed: each counts as a failed job, and their slots as bad as can be"
        )
    if slots.tail:
        warn.append(
            f"{some(slots.tail, 'slot')} at the end without a word or an exit: as many jobs as ever were in one count as failed in each"
        )
    if slots.stopped_ms is not None and slots.planned is not None:
        rest = slots.planned - len(slots)
        warn.append(
            f"stopped by a signed exit after {len(slots)} of {slots.planned} ticks: the other {rest} are in no figure"
        )
    if slots.planned is not None and slots.stopped_ms is None and len(slots) < slots.planned:
        warn.append(f"still running at the cut: {len(slots)} of {slots.planned} ticks")
    crashes = crashes_of([believed.runs[number] for number in slots.runs])
    if crashes:
        warn.append(f"whoever emits the ticks ended without an exit {some(len(crashes), 'time')}")
    unsigned = sum(1 for run in believed.runs if run.exit_code is not None and not run.exit_is_signed)
    if unsigned:
        warn.append(f"{some(unsigned, 'exit')} not signed by the run's key: taken for crashes")
    if slots.stray:
        warn.append(
            f"{some(slots.stray, 'end')} of jobs not counted: no start by the same run, or at the broker too late"
        )
    if slots.too_late:
        warn.append(f"{some(slots.too_late, 'tick')} started when the next one was due: missed")
    if slots.overlong:
        warn.append(f"{some(slots.overlong, 'tick')} took more than {slots.schedule.cadence_ms * 0.92 / 1000:g} s")
    if len(told.hosts) < 2:
        warn.append("one host: what happens to it happens to everything")
    for outage in sorted(told.outages, key=lambda o: -sum(o.lost.values()))[:3]:
        if outage.said:
            advice.append(f"largest losses, ticks {outage.first_slot}–{outage.last_slot}: {'; '.join(outage.said[:3])}")
    if told.worst is not None and (told.worst.value or 0) < 0.99:
        advice.append(f"begin with {told.worst.shown}: it is the lowest, {100 * (told.worst.value or 0):.2f} %")
    return warn, advice
