"""Durations and sizes as people write them: 180d, 24h, 250ms, 1MiB. Pure."""

from __future__ import annotations

import re

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_NUMBER = re.compile(r"^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$")


def _parse(text: object, units: dict[str, int], kind: str) -> int:
    match = _NUMBER.match(str(text).strip())
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not a {kind}; write a number and one of {', '.join(units)}")
    return int(float(match[1]) * units[match[2]])


def duration_ms(text: object) -> int:
    """'180d' -> milliseconds. Raises ValueError, which names the units."""
    return _parse(text, _MS, "duration")


def size_bytes(text: object) -> int:
    """'1MiB' -> bytes. Raises ValueError, which names the units."""
    return _parse(text, _BYTES, "size")


def human_ms(ms: float | None) -> str:
    """A duration for people: 850 ms, 12 s, 4 min, 3.5 h, 2 d."""
    if ms is None:
        return "-"
    for limit, divisor, unit, digits in (
        (1e3, 1, "ms", 0),
        (6e4, 1e3, "s", 0),
        (36e5, 6e4, "min", 0),
        (864e5, 36e5, "h", 1),
    ):
        if ms < limit:
            return f"{ms / divisor:.{digits}f} {unit}"
    return f"{ms / 864e5:.1f} d"


def human_bytes(count: float) -> str:
    """A size for people: 512 B, 1.5 MiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
