"""The report for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from streams.audit.judge.components import Component
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.numbers import NineNumbers
from streams.audit.judge.questions import percent, questions
from streams.audit.record.methodology import FORMULA
from streams.words import columns, printable, when

WIDTH = 110
OUTAGES_SHOWN = 20
FINDINGS_SHOWN = 10


def headline(told: Judgement) -> str:
    """The figure, its bounds and the verdict, on one line."""
    figure = told.figure
    if figure.value is None:
        return f"reliability: NOT EVALUABLE, verdict WITHHELD ({'; '.join(figure.withheld)})"
    bounds = f"95 % interval {percent(figure.low)} to {percent(figure.high)}"
    return f"reliability: {percent(figure.value)}, {bounds}: {figure.verdict}{told.doubt}"


def text(told: Judgement) -> str:
    """Page 1 first: the figure, its parts, and what a hostile reader asks."""
    lines = list[str]()
    if told.simulated:
        lines.append("SIMULATED LOAD: simulated=true in the manifest; nothing here is a figure of real collecting")
    lines += [headline(told), f"formula v1: {FORMULA}"]
    lines.append(
        f"integrity: {told.integrity}    completeness: {told.completeness}    {told.of}, as of {when(told.at_ms)}"
    )
    lines += _findings(told) + _schedule(told)
    if told.parts:
        lines += ["", *component_table(told.parts)]
    for question, answer in questions(told):
        lines += textwrap.wrap(f"{question} {answer}", WIDTH, initial_indent="? ", subsequent_indent="  ")
    for name, rows in (("warnings", told.warnings), ("what to do", told.advice)):
        if rows:
            lines += ["", f"{name}:"]
            for row in rows:
                lines += textwrap.wrap(row, WIDTH, initial_indent="- ", subsequent_indent="  ")
    lines += _outages(told)
    if told.equations:
        lines += ["", "conservation:"]
        for e in told.equations:
            sums = " + ".join(f"{count} {name}" for name, count in e.right.items())
            lines.append(f"  {e.value} {e.left} = {sums}    residual {e.residual}")
    lines += ["", *(f"{name:<22} {value}" for name, value in numbers(told.numbers))]
    if told.sensitivity:
        moved = [(name, percent(low), percent(high)) for name, low, high in told.sensitivity]
        lines += ["", *columns([("weight of", "halved", "half as much more"), *moved])]
    lines += ["", f"events by type: {', '.join(f'{name} {count}' for name, count in told.types.items()) or 'none'}"]
    artifacts = ", ".join(f"{name} {number:,}" for name, number in told.artifacts.items())
    lines.append(f"artifacts by type of event: {artifacts or 'none'}")
    anomalies = ", ".join(f"{count} {name}" for name, count in told.anomalies.items())
    lines.append(f"anomalies: {anomalies or 'none'}")
    return "\n".join(map(printable, lines)) + "\n"


def _findings(told: Judgement) -> list[str]:
    found = [finding for finding in told.findings if not finding.is_notice]
    lines = [f"{one.kind} {one.where}: {one.detail.splitlines()[0]}" for one in found[:FINDINGS_SHOWN]]
    more = len(found) - len(lines)
    return lines + ([f"and {more} more findings: icn audit verify has all"] if more > 0 else [])


def _schedule(told: Judgement) -> list[str]:
    if told.schedule is None or told.coverage is None:
        return []
    judged, planned = told.coverage
    of = f"of {planned:.2f} h planned, {100 * judged / planned:.1f} %" if planned else "no end planned"
    lines = [f"schedule: {told.schedule.text()}, from {when(told.schedule.t0_ms)}; {judged:.2f} h judged, {of}"]
    return lines + [f"also in this log, and not in the figure: {other}" for other in told.others]


def component_table(parts: Sequence[Component]) -> list[str]:
    """One line each, with bounds, evidence, and what an interval on ticks would have claimed."""
    rows = []
    for part in parts:
        interval = part.interval
        rows.append(
            (
                part.shown,
                f"{part.weight:.2f}",
                percent(part.value),
                "-" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}",
                evidence(part),
                "-" if interval is None else str(interval.episodes),
                "-" if interval is None else interval.method,
                "-" if "wilson" not in part.naive else f"{100 * part.naive['wilson'][0]:.2f}",
                "-" if "exact" not in part.naive else f"{100 * part.naive['exact'][0]:.2f}",
            )
        )
    heads = ("component", "weight", "value", "95 % interval", "evidence", "outages", "method", "Wilson*", "C-P*")
    lines = [*columns([heads, *rows]), "* lower bounds if ticks were independent. They are not: never quote them."]
    return lines + [f"drift: {drift_facts(part)}" for part in parts if part.facts]


def evidence(part: Component) -> str:
    """Numerator and denominator; of drift what it is made of."""
    if part.name != "drift_score":
        return f"{part.numerator:,.0f}/{part.denominator:,.0f}"
    if "spread_s" not in part.facts:
        return f"{part.denominator:,.0f} ticks"
    return f"s {part.facts['spread_s']:.3f} s"


def drift_facts(part: Component) -> str:
    """How late ticks were, and whether they get later and later."""
    facts = part.facts
    slope = (
        f"; slope {facts['slope_ppm']:+.1f} ppm ({facts['slope_low_ppm']:+.1f} to {facts['slope_high_ppm']:+.1f})"
        if "slope_ppm" in facts
        else ""
    )
    return (
        f"late by {facts['median_late_s']:.3f} s (median), at most {facts['max_late_s']:.3f} s; "
        f"{percent(facts['within_tolerance'])} within tolerance{slope}"
    )


def _outages(told: Judgement) -> list[str]:
    if not told.outages:
        return ["", "outages: none"]
    rows = [
        (
            f"{o.first_slot}–{o.last_slot}" if o.last_slot > o.first_slot else str(o.first_slot),
            when(o.from_ms),
            f"{(o.to_ms - o.from_ms) / 1000:g} s",
            ", ".join(f"{name} {value:g}" for name, value in o.lost.items()),
            "; ".join(o.said[:3]) or "the log says nothing",
        )
        for o in told.outages[:OUTAGES_SHOWN]
    ]
    more = len(told.outages) - len(rows)
    lines = ["", *columns([("outage, ticks", "from", "for", "lost in", "around it"), *rows])]
    return lines + ([f"and {more} more: --json has all"] if more > 0 else [])


def numbers(n: NineNumbers) -> list[tuple[str, str]]:
    """The nine, in words."""

    def seconds(value: float | None) -> str:
        return "NOT EVALUABLE" if value is None else f"{value:.3f} s"

    return [
        ("events", f"{n.total:,}"),
        ("successful", f"{n.successful:,}"),
        ("failed", f"{n.failed:,}"),
        ("success rate", percent(n.success_rate)),
        ("mean duration", seconds(n.mean_s)),
        ("median duration", seconds(n.median_s)),
        ("95 % are shorter than", seconds(n.p95_s)),
        ("events per hour", "NOT EVALUABLE" if n.per_hour is None else f"{n.per_hour:,.1f}"),
        ("longest gap", seconds(n.longest_gap_s)),
    ]
