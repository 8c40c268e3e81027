"""Small pictures as SVG, drawn here: the page needs no script to show them. Colours come from the page's classes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

WIDE, HIGH = 120, 28  # of a line
MAP_WIDE, MAP_HIGH = 360, 240
# of a tick: its class, its height
TICKS: Mapping[bool | str | None, tuple[str, int]] = {
    True: ("kept", 12),
    False: ("failed", 24),
    None: ("idle", 4),
    "missing": ("missing", 24),
}


def line(values: Sequence[float], about: str, low: float | None = None, high: float | None = None) -> Markup:
    """A line of values in time; about: what it shows, in words. low, high: the axis; None: of the values."""
    if len(values) < 2:
        return Markup("")
    bottom, top = min(values) if low is None else low, max(values) if high is None else high
    span = (top - bottom) or 1.0
    step = WIDE / (len(values) - 1)
    points = " ".join(f"{i * step:.1f},{HIGH - 2 - (v - bottom) / span * (HIGH - 4):.1f}" for i, v in enumerate(values))
    return Markup(
        '<svg class="line" viewBox="0 0 {} {}" width="{}" height="{}" role="img" aria-label="{}"><polyline points="{}"/></svg>'
    ).format(WIDE, HIGH, WIDE, HIGH, about, points)


def strip(ticks: Sequence[bool | str | None], about: str) -> Markup:
    """A mark for each tick, oldest first: True, False, None (idle), or "missing". Told apart by height too, not by colour alone."""
    marks = []
    for number, tick in enumerate(ticks):
        name, high = TICKS[tick]
        marks.append(f'<rect class="{name}" x="{number * 5}" y="{24 - high}" width="4" height="{high}"/>')
    return Markup('<svg class="strip" viewBox="0 0 {} 24" height="24" role="img" aria-label="{}">{}</svg>').format(
        max(1, len(ticks)) * 5, about, Markup("".join(marks))
    )


def bars(shares: Sequence[tuple[str, float]], about: str) -> Markup:
    """Parts of a whole of 1, one behind the other: (class, share)."""
    parts, at = [], 0.0
    for name, share in shares:
        parts.append(
            f'<rect class="{escape(name)}" x="{at * 100:.2f}" y="0" width="{max(0.0, share) * 100:.2f}" height="8"/>'
        )
        at += share
    return Markup(
        '<svg class="bars" viewBox="0 0 100 8" width="100" height="8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(about, Markup("".join(parts)))


def pattern_map(patterns: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Markup:
    """Each pattern a circle, its area its texts; near ones say similar things. Drawn in the two directions in which they differ most."""
    if len(patterns) < 2:
        return Markup("")
    places = _places([{w["words"]: w["weight"] for w in one["centroid"]} for one in patterns])
    largest = max(one["size"] for one in patterns)
    marks = []
    for number, (one, name, (x, y)) in enumerate(zip(patterns, names, places, strict=True), 1):
        radius = 5 + 19 * (one["size"] / largest) ** 0.5
        marks.append(
            Markup(
                '<g><title>{}</title><circle class="trend-{}" cx="{}" cy="{}" r="{}"/><text x="{}" y="{}">{}</text></g>'
            ).format(
                f"{number}: {name}, {one['size']} texts, {one['trend']}",
                one["trend"] if one["trend"].isidentifier() else "unknown",
                *(round(v, 1) for v in (x, y, radius, x, y + 4)),
                number,
            )
        )
    return Markup('<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        MAP_WIDE, MAP_HIGH, f"Map of {len(patterns)} patterns; the table beside it lists them", Markup("").join(marks)
    )


def _places(centroids: Sequence[Mapping[str, float]]) -> list[tuple[float, float]]:
    """Within the map, with room for the largest circle."""
    words = sorted(set().union(*centroids))
    matrix = np.array([[of.get(word, 0.0) for word in words] for of in centroids])
    matrix = np.nan_to_num(matrix - matrix.mean(axis=0))
    directions = np.linalg.svd(matrix, full_matrices=False)[2][:2]
    flat = matrix @ directions.T
    flat = np.pad(flat, ((0, 0), (0, 2 - flat.shape[1])))
    span = np.ptp(flat, axis=0)
    flat = (flat - flat.min(axis=0)) / np.where(span > 0, span, 1.0)
    room = np.array([MAP_WIDE - 56, MAP_HIGH - 56])
    return [(28 + float(x), 28 + float(y)) for x, y in flat * room]
