"""The patterns of a window as a picture: a map, on which near texts say similar things, and how large each was over time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from streams.domain.window import Window
from streams.errors import IcnError, NotFoundError
from streams.words import counted

COLOURED = 10  # the largest; all others are grey
DOTS_MAX = 5_000


def draw(window: Window, patterns: Sequence[dict[str, Any]], history: Sequence[dict[str, Any]], path: Path) -> None:
    """The file's ending says which format. Raises IcnError."""
    try:
        import matplotlib
    except ImportError as error:
        raise IcnError("drawing needs matplotlib", "pip install 'icn-streams[plots]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise IcnError(f"{path}: it is drawn as .svg, .png or .pdf", "for example --plot patterns.svg")
    if window.found is None:
        raise NotFoundError("there are no patterns to draw", "a window needs ten texts that share words")
    matplotlib.rcParams |= {"svg.hashsalt": "icn", "svg.fonttype": "none"}
    colours = pyplot.get_cmap("tab10").colors
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(14, 6), layout="constrained", width_ratios=(3, 2))
    places = _places(window)
    labels = window.found.clusters.labels
    every = max(1, -(-len(labels) // DOTS_MAX))
    for label, pattern in enumerate(patterns):
        mine = places[labels == label]
        colour = colours[label] if label < COLOURED else "0.7"
        left.scatter(*mine[::every].T, s=6, color=colour, alpha=0.6, linewidths=0, rasterized=len(labels) > DOTS_MAX)
        if label < COLOURED:
            middle = mine.mean(axis=0)
            left.annotate(
                f"{pattern['name']}\n{pattern['size']} texts", middle, ha="center", va="center", fontsize=8,
                bbox={"boxstyle": "round", "facecolor": "white", "alpha": 0.8, "edgecolor": colour},
            )  # fmt: skip
        sizes = [(one["slot_ms"], one["size"]) for one in history if one["pattern_id"] == pattern["pattern_id"]]
        times = [datetime.fromtimestamp(slot_ms / 1000, UTC) for slot_ms, _ in sizes]
        right.plot(times, [size for _, size in sizes], marker="o", markersize=3, color=colour, linewidth=1.4)
    left.set_title(
        f"{counted(len(labels), 'text')}, {counted(len(patterns), 'pattern')}", loc="left", fontweight="bold"
    )
    left.set_xticks([])
    left.set_yticks([])
    left.set_xlabel("the two directions in which the middles of the patterns differ most")
    right.set_title("texts in the window, by its end (UTC)", loc="left", fontweight="bold")
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    right.tick_params("x", rotation=30)
    figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None, dpi=120)
    pyplot.close(figure)


def _places(window: Window) -> Any:
    """(n, 2)."""
    assert window.found is not None
    middles = window.found.clusters.centroids
    directions = np.linalg.svd(middles - middles.mean(axis=0))[2][:2]
    places = (window.found.points - middles.mean(axis=0)) @ directions.T
    return np.pad(places, ((0, 0), (0, 2 - places.shape[1])))  # texts of one word have one direction
