"""What the pictures of the command line have in common: can it be drawn there, and how."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from streams.errors import IcnError

# names come from nodes: a $ in them begins no formula
STYLE = {"svg.hashsalt": "icn", "svg.fonttype": "none", "text.parse_math": False}


def check(path: Path) -> None:
    """Before the work. Raises IcnError."""
    if path.suffix.lower() not in (".svg", ".png", ".pdf"):
        raise IcnError(f"{path}: it is drawn as .svg, .png or .pdf", "for example --plot picture.svg")
    if not path.parent.is_dir():
        raise IcnError(f"{path.parent} is no folder", "make it first, or name another one")
    if importlib.util.find_spec("matplotlib") is None:
        raise IcnError(
            "drawing needs matplotlib", "scripts/setup plots in a checkout, or pip install 'icn-streams[plots]'"
        )


def pyplot() -> Any:
    """matplotlib.pyplot, without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams |= STYLE
    from matplotlib import pyplot

    return pyplot


def save(figure: Any, path: Path) -> None:
    """The file's ending says which format; the same figure gives the same bytes."""
    figure.savefig(path, metadata={"Date": None} if path.suffix.lower() == ".svg" else None, dpi=120)
    pyplot().close(figure)
