"""How far an artifact may be shared: TLP 2.0 (FIRST, 2022). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ORDER = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")  # the strictest last
DEFAULT, RED = "AMBER", "RED"
_OLDER = {"WHITE": "CLEAR"}  # TLP 1.0


def marking(metadata: Mapping[str, str]) -> str | None:
    """Of an artifact, by metadata's `tlp`: one of ORDER; AMBER if it says none. In any case, with or without "TLP:". None: no marking."""
    said = metadata.get("tlp")
    if said is None:
        return DEFAULT
    name = said.strip().upper().removeprefix("TLP:").strip()
    name = _OLDER.get(name, name)
    return name if name in ORDER else None


def strictest(marks: Iterable[str]) -> str:
    """Of at least one. What isn't known is the strictest of all."""
    return max((mark if mark in ORDER else RED for mark in marks), key=ORDER.index)
