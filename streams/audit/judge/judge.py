"""The judge: what a verified log says about how reliable it was. Give it the evidence of an audit, and what that found."""

from __future__ import annotations

from collections.abc import Sequence

from streams.audit.judge.advice import warnings_and_advice
from streams.audit.judge.believed import believe
from streams.audit.judge.components import Component, components, worst_ratios
from streams.audit.judge.composite import Composite, composite, seed_from, sensitivity
from streams.audit.judge.evidence import Evidence, Run, shown
from streams.audit.judge.judgement import Equation, Judgement
from streams.audit.judge.numbers import nine_numbers
from streams.audit.judge.outages import outages, overlap
from streams.audit.judge.slots import Slots, crashes_of, schedules, slots_of
from streams.audit.record.events import canonical
from streams.audit.record.methodology import METHODOLOGY
from streams.audit.record.schedule import Schedule
from streams.audit.verify.report import Report
from streams.errors import AuditError

UNKNOWN = "unknown"


def judge(evidence: Evidence, report: Report, wanted: str | None = None) -> Judgement:
    """evidence: of the audit that gave the report. wanted: name of a schedule, or its t0 in ms; else the newest one. Raises AuditError for
    one that isn't there."""
    believed = believe(evidence, report)
    known = schedules(believed)
    schedule = _choose(known, wanted)
    roots = [result.newest.root for result in report.results if result.newest is not None]
    mine = [] if schedule is None else known[schedule]
    slots = None if schedule is None else slots_of(schedule, mine, evidence, believed, report.at_ms)
    withheld = list(believed.withheld)
    if slots is None:
        withheld.append("no schedule: nothing was promised")
    elif not len(slots):
        withheld.append("no slot of the schedule is over yet")
    ratios = {} if slots is None else worst_ratios(slots)
    if slots is None or not len(slots):
        parts, figure = list[Component](), Composite(None, None, withheld=withheld)
    else:
        parts = components(slots, ratios)
        figure = composite(parts, ratios, slots, seed_from(roots), withheld)
    told = Judgement(
        of=report.of,
        at_ms=report.at_ms,
        integrity=report.integrity,
        completeness=report.completeness,
        root=b"".join(roots).hex(),
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
        findings=report.findings,
        anomalies=dict(evidence.anomalies),
        lost=believed.lost,
        distrust=believed.withheld,
        hosts=sorted({shown(str(run.manifest.get("host", UNKNOWN))) for run in believed.runs}),
        simulated=any(run.manifest.get("simulated") is True for run in believed.runs),
        methodology=_methodology(
            evidence, believed.runs, schedule, mine, max((one.sealed for one in report.results), default=0)
        ),
        crashes=len(crashes_of([believed.runs[number] for number in mine])),
        unsigned=sum(run.exit_code is not None and not run.exit_is_signed for run in believed.runs),
    )
    told.warnings, told.advice = warnings_and_advice(told)
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
    started, missed = int(slots.ticks.started.sum()), int((~slots.ticks.started).sum())
    jobs = {
        "succeeded": int(slots.jobs.succeeded.sum()),
        "failed": int(slots.jobs.unsuccessful.sum()),
        "crashed": int(slots.jobs.crashed.sum()),
        "censored": slots.jobs.censored,
        "unchanged": slots.jobs.unchanged,
    }
    ticks = {
        "completed": int(slots.ticks.completed.sum()),
        "failed": int(slots.ticks.failed.sum()),
        "crashed": int((slots.ticks.started & ~slots.ticks.completed & ~slots.ticks.failed).sum()),
    }
    return [
        Equation("ticks expected", count, {"started": started, "missed": missed}),
        Equation("ticks started", started, ticks),
        Equation("jobs started", slots.jobs.begun, jobs),
    ]


def _artifacts(evidence: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for (type_, _), number in sorted(evidence.artifacts.items()):
        found[type_] = found.get(type_, 0) + number
    return found


def _methodology(
    evidence: Evidence, all_runs: Sequence[Run], schedule: Schedule | None, runs: Sequence[int], sealed: int
) -> str:
    """Whether what was said and sealed before the run is what judges it now. sealed: entries under a checkpoint that is believed; when it
    was published the log itself says."""
    texts = {all_runs[number].methodology for number in runs}
    if schedule is None or None in texts or not texts:
        return "not said by every run"
    if texts != {canonical(METHODOLOGY)}:
        return "another one than this judge's"
    offset = all_runs[runs[0]].methodology_offset
    sealed_ms = min((ms for ms, size in evidence.seals if size > offset), default=None) if sealed > offset else None
    if sealed_ms is None or sealed_ms > schedule.t0_ms:
        late = (
            "never sealed by a key that is believed"
            if sealed_ms is None
            else f"sealed {(sealed_ms - schedule.t0_ms) / 1000:.0f} s after it began"
        )
        return f"said before the run, and {late}"
    return "v1"
