"""bands (s4_near): key of a band (8 bytes) -> the newest texts that have it. Folded from sketches; kept until the newest one's horizon.

Layout, big-endian: raw time of the newest in ms (8), then the numbers of the texts (8 each), oldest first.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from streams.runtime.stage import Table


class Band(NamedTuple):
    """raw_ms: of the newest."""

    raw_ms: int
    numbers: tuple[int, ...]


def _pack(row: Band) -> bytes:
    return struct.pack(f">q{len(row.numbers)}q", row.raw_ms, *row.numbers)


def _unpack(data: bytes) -> Band:
    raw_ms, *numbers = struct.unpack(f">{len(data) // 8}q", data)
    return Band(raw_ms, tuple(numbers))


BANDS: Table[Band] = Table("bands", b"\x04", _pack, _unpack, lambda data: int.from_bytes(data[:8], "big"))
