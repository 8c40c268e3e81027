"""counts (s4_near): "" -> how many texts have been through the stage, and how many of them repeated nothing (8 each, big-endian): the
numbers of the next ones. Folded from sketches."""

from __future__ import annotations

import struct
from typing import NamedTuple

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">qq")
HERE = b""


class Counts(NamedTuple):
    texts: int
    originals: int


COUNTS: Table[Counts] = Table(
    "counts", b"\x02", lambda row: _LAYOUT.pack(*row), lambda data: Counts(*_LAYOUT.unpack(data))
)
