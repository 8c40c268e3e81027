"""originals (s4_near): number of a text among those that repeat nothing (8 bytes, big-endian) -> its raw time in ms, its number among all
(8 each, big-endian). Folded from sketches; kept for the horizon."""

from __future__ import annotations

import struct
from typing import NamedTuple

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">qq")


class Original(NamedTuple):
    raw_ms: int
    text: int


def key(number: int) -> bytes:
    return number.to_bytes(8, "big")


ORIGINALS: Table[Original] = Table(
    "originals",
    b"\x05",
    lambda row: _LAYOUT.pack(*row),
    lambda data: Original(*_LAYOUT.unpack(data)),
    lambda data: int.from_bytes(data[:8], "big"),
)
