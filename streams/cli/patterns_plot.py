"""The patterns of a window as a picture: a map, on which near texts say similar things, and how large each was over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from streams.cli import drawing
from streams.domain.window import Window
from streams.errors import NotFoundError
from streams.words import counted

COLOURED = 10  # the largest; all others are grey
DOTS_MAX = 5_000


def draw(window: Window, patterns: Sequence[dict[str, Any]], history: Sequence[dict[str, Any]], path: Path) -> None:
    """Raises NotFoundError."""
    if window.found is None:
        raise NotFoundError("there are no patterns to draw", "a window needs ten texts that share words")
    plot = drawing.pyplot()
    columns = 2 if history else 1  # of what is not written there is no history
    figure, axes = plot.subplots(
        1,
        columns,
        figsize=(15 if history else 9, 7),
        layout="constrained",
        width_ratios=(3, 2)[:columns],
        squeeze=False,
    )
    colours = plot.get_cmap("tab10").colors[:COLOURED]
    _draw_map(axes[0, 0], window, patterns, colours)
    if history:
        _draw_sizes(axes[0, 1], patterns, history, colours)
    for one in axes[0]:
        one.spines[["top", "right"]].set_visible(False)
    drawing.save(figure, path)


def _draw_map(left: Any, window: Window, patterns: Sequence[dict[str, Any]], colours: Sequence[Any]) -> None:
    """Names would lie over each other, so a number stands for each."""
    assert window.found is not None
    places, labels = _places(window), window.found.clusters.labels
    every = max(1, -(-len(labels) // DOTS_MAX))
    for label, pattern in enumerate(patterns):
        mine = places[labels == label]
        colour = colours[label] if label < COLOURED else "0.7"
        left.scatter(*mine[::every].T, s=6, color=colour, alpha=0.6, linewidths=0, rasterized=len(labels) > DOTS_MAX)
        if label < COLOURED:
            left.annotate(
                f"{label + 1}", mine.mean(axis=0), ha="center", va="center", fontsize=10, fontweight="bold",
                bbox={"boxstyle": "circle", "facecolor": "white", "alpha": 0.9, "edgecolor": colour},
            )  # fmt: skip
            left.scatter([], [], s=30, color=colour, label=f"{label + 1}  {pattern['name']}: {pattern['size']:,} texts")
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.06), ncols=2, frameon=False, fontsize=9)
    left.set_title(f"{len(labels):,} texts, {counted(len(patterns), 'pattern')}", loc="left", fontweight="bold")
    left.set_xticks([])
    left.set_yticks([])
    left.set_xlabel("the two directions in which the middles of the patterns differ most")


def _draw_sizes(
    right: Any, patterns: Sequence[dict[str, Any]], history: Sequence[dict[str, Any]], colours: Sequence[Any]
) -> None:
    for label, pattern in enumerate(patterns):
        sizes = [(one["slot_ms"], one["size"]) for one in history if one["pattern_id"] == pattern["pattern_id"]]
        times = [datetime.fromtimestamp(slot_ms / 1000, UTC) for slot_ms, _ in sizes]
        colour = colours[label] if label < COLOURED else "0.7"
        right.plot(times, [size for _, size in sizes], marker="o", markersize=3, color=colour, linewidth=1.4)
        if label < COLOURED and sizes:
            right.annotate(
                f"{label + 1}", (times[-1], sizes[-1][1]), xytext=(5, 0), textcoords="offset points", va="center"
            )
    right.set_title("texts in the window, by its end (UTC)", loc="left", fontweight="bold")
    right.set_ylim(bottom=0)
    right.tick_params("x", rotation=30)


def _places(window: Window) -> Any:
    """(n, 2)."""
    assert window.found is not None
    middles = window.found.clusters.centroids
    directions = np.linalg.svd(middles - middles.mean(axis=0))[2][:2]
    places = (window.found.points - middles.mean(axis=0)) @ directions.T
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))  # texts of one word have one direction
