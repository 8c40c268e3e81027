"""The attack table as a picture: what share of all accepted weight the attackers' false reports have, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streams.bench.attacks import MEASURED_FROM, Row
from streams.errors import IcnError

COLOURS = {"ICN": "#0b6e4f", "plain average": "#c05746", "plain Beta": "#7a6f9b"}


def draw(rows: Sequence[Row], path: Path) -> None:
    """One panel an attack; the file's ending says which format. Raises IcnError."""
    try:
        import matplotlib
    except ImportError as error:
        raise IcnError(
            "drawing needs matplotlib", "scripts/setup dev in a checkout, or pip install 'icn-streams[plots]'"
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import PercentFormatter

    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise IcnError(f"{path}: it is drawn as .svg, .png or .pdf", "for example --plot attack.svg")
    matplotlib.rcParams |= {
        "svg.hashsalt": "icn",
        "svg.fonttype": "none",
    }  # the same picture, byte for byte; text stays text
    wide = min(3, len(rows))
    high = -(-len(rows) // wide)
    figure, panels = pyplot.subplots(high, wide, figsize=(5 * wide, 3.2 * high), squeeze=False, layout="constrained")
    for panel, row in zip(panels.flat, rows, strict=False):
        for scheme, shares in row.by_epoch.items():
            panel.plot(shares, label=f"{scheme}: {row.damage[scheme]:.1%}", color=COLOURS[scheme], linewidth=1.6)
        panel.axvspan(0, MEASURED_FROM, color="0.93", zorder=0)  # before the measurement
        panel.set_title(row.attack, loc="left", fontweight="bold")
        panel.set_xlabel("epoch [h]")
        panel.set_ylabel("false, of all weight")
        panel.yaxis.set_major_formatter(PercentFormatter(1.0))
        panel.set_ylim(bottom=0)
        panel.legend(frameon=False, fontsize="small")
        panel.spines[["top", "right"]].set_visible(False)
    for panel in list(panels.flat)[len(rows) :]:
        panel.set_visible(False)
    figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
    pyplot.close(figure)
