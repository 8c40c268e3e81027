"""bands (s4_near): key of a band (8 bytes) -> the newest texts that have it. Folded from sketches; kept until the latest one's horizon.

Layout, big-endian: the latest raw time of all in ms (8), then of each text its raw time and its number (8 each), oldest first.
"""

from __future__ import annotations

import struct
from itertools import chain, islice
from typing import NamedTuple

from streams.domain.near import BAND_MAX
from streams.runtime.stage import Table


class In(NamedTuple):
    """A text that has the band."""

    raw_ms: int
    number: int


Band = tuple[In, ...]


def added(band: Band | None, text: In) -> Band:
    """With one more; at most 16 are remembered."""
    return (*(band or ()), text)[-BAND_MAX:]


def _pack(row: Band) -> bytes:
    return struct.pack(f">q{2 * len(row)}q", max(text.raw_ms for text in row), *chain.from_iterable(row))


def _unpack(data: bytes) -> Band:
    numbers = islice(struct.unpack(f">{len(data) // 8}q", data), 1, None)
    return tuple(In(raw_ms, number) for raw_ms, number in zip(numbers, numbers, strict=True))


BANDS: Table[Band] = Table("bands", b"\x04", _pack, _unpack, lambda data: int.from_bytes(data[:8], "big"))
