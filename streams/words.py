"""What people read: counts, times, columns, and strangers' words without what moves a cursor. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

YEAR_9999_MS = 253_370_764_800_000


def counted(number: int, what: str) -> str:
    """1 node, 2 nodes."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def when(ms: int | None) -> str:
    """A time for people, UTC, to the millisecond; what no calendar has is its first or last day."""
    if ms is None:
        return "-"
    ms = min(max(ms, 0), YEAR_9999_MS)
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d}Z"


def printable(text: str) -> str:
    """Content comes from anywhere: it must not move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def columns(
    rows: Sequence[Sequence[str]], right: Collection[int] = (), widths: Sequence[int] | None = None
) -> list[str]:
    """One line a row, all columns as wide as they need or as `widths` says. right: columns of numbers."""
    if widths is None:
        widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
