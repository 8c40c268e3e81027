"""The report's pictures, as SVG: the same bytes for the same judgement."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.questions import percent

GOOD, BAD, LINE, SOFT = "#0b6e4f", "#c05746", "#334455", "#d9dee3"
HOUR_MS, POINTS_MAX = 3_600_000, 20_000
GROUPS = {
    "ticks": ("tick_",),
    "collections": ("collection_", "target_"),
    "artifacts": ("artifact_", "backpressure_", "phoenix_", "pattern_"),
    "processes": ("process_", "watchdog", "exception", "resource_", "methodology", "seal", "run_"),
    "nodes, people": ("node_", "operator_"),
}


def pictures(told: Judgement, evidence: Evidence) -> dict[str, str]:
    """Title -> SVG. Empty without a schedule: there is nothing to draw against."""
    import matplotlib

    matplotlib.use("Agg")
    if told.slots is None or not len(told.slots):
        return {}
    with matplotlib.rc_context(
        {
            "svg.hashsalt": "icn",
            "svg.fonttype": "none",
            "text.parse_math": False,
            "font.family": "sans-serif",
            "font.size": 9,
        }
    ):
        return {
            "Components, with their 95 % intervals": _draw(_bars, told, evidence, 2.3),
            "Events, minute by minute": _draw(_timeline, told, evidence, 2.4),
            "How late each tick was": _draw(_lateness, told, evidence, 2.0),
            "Job success, hour by hour": _draw(_success, told, evidence, 2.0),
            "Gaps and outages": _draw(_gaps, told, evidence, 1.8),
        }


def _draw(paint: Callable[[Any, Judgement, Evidence], None], told: Judgement, evidence: Evidence, high: float) -> str:
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(9, high), layout="constrained")
    panel.spines[["top", "right"]].set_visible(False)
    paint(panel, told, evidence)
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    svg = out.getvalue()
    return svg[svg.index("<svg") :]


def _bars(panel: Any, told: Judgement, evidence: Evidence) -> None:
    parts = told.parts[::-1]
    for row, part in enumerate(parts):
        value = part.value or 0.0
        panel.barh(row, value, color=GOOD if value >= 0.95 else BAD, height=0.55)
        if part.interval is not None and part.value is not None:
            low, high = part.interval.low, part.interval.high
            panel.plot([low, high], [row, row], color=LINE, linewidth=2)
            panel.plot([low, low], [row - 0.18, row + 0.18], color=LINE)
            panel.plot([high, high], [row - 0.18, row + 0.18], color=LINE)
        panel.text(1.01, row, percent(part.value), va="center")
    panel.set_yticks(range(len(parts)), [f"{part.shown} ({part.weight:.2f})" for part in parts])
    panel.set_xlim(0, 1)


def _hours(told: Judgement, ms: Any) -> Any:
    assert told.schedule is not None
    return (np.asarray(ms, dtype=float) - told.schedule.t0_ms) / HOUR_MS


def _timeline(panel: Any, told: Judgement, evidence: Evidence) -> None:
    from streams.audit.record.events import TYPES

    ts, kinds = np.array(evidence.ts_ms, dtype=np.int64), np.array(evidence.type)
    if not len(ts):
        return
    first, last = int(ts.min()), int(ts.max())
    bins = np.linspace(first, last + 1, min(720, max(2, (last - first) // 60_000 + 2)))
    series = []
    for starts in GROUPS.values():
        numbers = [number for number, name in enumerate(TYPES) if name.startswith(starts)]
        series.append(np.histogram(ts[np.isin(kinds, numbers)], bins)[0])
    panel.stackplot(_hours(told, bins[:-1]), np.array(series), labels=list(GROUPS), step="post", alpha=0.85)
    panel.legend(frameon=False, fontsize="small", ncols=len(GROUPS), loc="lower left", bbox_to_anchor=(0, 1))
    panel.set_ylabel("events")
    panel.set_xlabel("hours since t0")


def _lateness(panel: Any, told: Judgement, evidence: Evidence) -> None:
    assert told.slots is not None
    late = told.slots.ticks.late_s
    step = -(-len(late) // POINTS_MAX)
    hours = np.arange(len(late))[::step] * told.slots.schedule.cadence_ms / HOUR_MS
    panel.plot(hours, late[::step], ".", color=LINE, markersize=2)
    panel.axhline(told.slots.schedule.tolerance_ms / 1000, color=BAD, linewidth=0.8, linestyle="--")
    panel.set_ylabel("late [s]")
    panel.set_xlabel("hours since t0; dashed: tolerance")


def _success(panel: Any, told: Judgement, evidence: Evidence) -> None:
    slots = told.slots
    assert slots is not None
    per_hour = max(1, HOUR_MS // slots.schedule.cadence_ms)
    starts = np.arange(0, len(slots), per_hour)
    good = np.add.reduceat(slots.jobs.succeeded, starts)
    bad = np.add.reduceat(slots.jobs.unsuccessful + slots.jobs.crashed, starts)
    width = per_hour * slots.schedule.cadence_ms / HOUR_MS
    at = starts * slots.schedule.cadence_ms / HOUR_MS
    panel.bar(at, good, width * 0.9, align="edge", color=GOOD, label="succeeded")
    panel.bar(at, bad, width * 0.9, bottom=good, align="edge", color=BAD, label="failed, crashed")
    panel.legend(frameon=False, fontsize="small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    panel.set_ylabel("jobs")
    panel.set_xlabel("hours since t0")


def _gaps(panel: Any, told: Judgement, evidence: Evidence) -> None:
    slots = told.slots
    assert slots is not None
    rows = ("gap_rate", "availability", "job_success", "backpressure_rate")
    hour = slots.schedule.cadence_ms / HOUR_MS
    for row, name in enumerate(rows):
        panel.broken_barh([(0, len(slots) * hour)], (row + 0.15, 0.7), color=SOFT)
        spans = [(o.first_slot * hour, (o.last_slot + 1 - o.first_slot) * hour) for o in told.outages if name in o.lost]
        if spans:
            panel.broken_barh(spans, (row + 0.15, 0.7), color=BAD)
    panel.set_yticks([row + 0.5 for row in range(len(rows))], rows)
    panel.set_xlim(0, max(hour, len(slots) * hour))
    panel.set_xlabel("hours since t0; red: an outage with a loss there")
