"""Two policies as a picture: what was fed hour by hour and what it was worth, and of which domains."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.cli import drawing
from streams.words import printable

if TYPE_CHECKING:
    from streams.replay.policies import Outcome

HOUR_MS = 3_600_000
DOMAINS = 15
COLOURS = ("tab:blue", "tab:orange")


def draw(one: Outcome, other: Outcome, path: Path) -> None:
    figure, axes = drawing.pyplot().subplots(1, 3, figsize=(16, 6), layout="constrained")
    for outcome, colour in zip((one, other), COLOURS, strict=True):
        _draw_hours(axes[0], axes[1], outcome, colour)
    _draw_domains(axes[2], one, other)
    for axis, title in zip(axes, ("fed, by the hour (UTC)", "mean worth, by the hour", "fed, by domain"), strict=True):
        axis.set_title(title, loc="left", fontweight="bold")
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:2]:
        axis.set_ylim(bottom=0)
        axis.tick_params("x", rotation=30)
    axes[0].legend(frameon=False)
    drawing.save(figure, path)


def _draw_hours(counts: Any, worths: Any, outcome: Outcome, colour: str) -> None:
    hours = defaultdict[int, list[float]](list)
    for scenario in outcome.fed:
        hours[scenario["slot_ms"] // HOUR_MS * HOUR_MS].append(scenario["worth"])
    times = [datetime.fromtimestamp(hour / 1000, UTC) for hour in sorted(hours)]
    each = [hours[hour] for hour in sorted(hours)]
    label = printable(outcome.name)
    counts.plot(times, [len(some) for some in each], marker="o", markersize=3, color=colour, label=label)
    worths.plot(times, [sum(some) / len(some) for some in each], marker="o", markersize=3, color=colour, label=label)


def _draw_domains(axis: Any, one: Outcome, other: Outcome) -> None:
    fed = [Counter(scenario["domain"] for scenario in outcome.fed) for outcome in (one, other)]
    names = [name for name, _ in (fed[0] + fed[1]).most_common(DOMAINS)]
    for number, (counts, colour) in enumerate(zip(fed, COLOURS, strict=True)):
        places = [at + 0.4 * number - 0.2 for at in range(len(names))]
        axis.barh(places, [counts[name] for name in names], height=0.38, color=colour)
    axis.set_yticks(range(len(names)), [printable(name)[:30] for name in names])
    axis.invert_yaxis()
