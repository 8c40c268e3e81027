"""What a window is made of, and what a pattern is known again by. Pure, and quick to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

SHORT = 8  # bytes of a member's content_hash
CONTENT_MAX = 10_000  # characters of a text that are looked at: what it speaks of it says in these


class Said(NamedTuple):
    """A text of the window. nodes: who reported it, how often."""

    hash: bytes
    artifact_id: str
    raw_ms: int
    content: str
    nodes: Mapping[str, int]
    simulated: bool


class Shape(NamedTuple):
    """Of a pattern in a window. words: weight of each, length 1; members: those of the window."""

    words: Mapping[str, float]
    members: frozenset[bytes]


class Before(NamedTuple):
    """A pattern of the window before."""

    pattern_id: str
    name: str
    born_ms: int
    shape: Shape
