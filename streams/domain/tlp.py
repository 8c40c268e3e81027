"""How far an artifact may be shared: TLP 2.0 (FIRST, 2022). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ORDER = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")  # the strictest last
DEFAULT, RED = "AMBER", "RED"
_OLDER = {"WHITE": "CLEAR"}  # TLP 1.0


def marking(metadata: Mapping[str, str]) -> str | None:
    """Of an artifact, by metadata's `tlp`: one of ORDER; AMBER if it says none; of several, `tlp` and `TLP`, the strictest. In any case,
    with or without "TLP:". None: no marking."""
    said = [
        text.strip().upper().removeprefix("TLP:").strip()
        for key, text in metadata.items()
        if key.strip().lower() == "tlp"
    ]
    names = [_OLDER.get(name, name) for name in said]
    if not all(name in ORDER for name in names):
        return None
    return strictest(names) if names else DEFAULT


def marked(facts: Mapping[str, Any], artifact: Mapping[str, Any] | None) -> str:
    """Of a report, with its artifact if that is there: facts that were written before markings were checked say AMBER of all."""
    return strictest((facts["tlp"], marking(artifact["metadata"]) or RED)) if artifact else str(facts["tlp"])


def strictest(marks: Iterable[str]) -> str:
    """Of at least one. What isn't known is the strictest of all."""
    return max((mark if mark in ORDER else RED for mark in marks), key=ORDER.index)
