"""canonicals (s2): dedup_hash (40 bytes) -> the canonical artifact. Folded from artifacts.decided; kept for the horizon.

Layout: version (4), best confidence (8, double), first seen in ms (8), sightings (8), big-endian, then the artifact's id in UTF-8.
"""

from __future__ import annotations

import struct

from streams.domain.dedup import Canonical
from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">idqq")
_SIZE = _LAYOUT.size


def _pack(row: Canonical) -> bytes:
    return _LAYOUT.pack(row[1], row[2], row[3], row[4]) + row[0]


def _unpack(data: bytes) -> Canonical:
    return Canonical(data[_SIZE:], *_LAYOUT.unpack_from(data))


def _since_ms(data: bytes) -> int:
    return int(_LAYOUT.unpack_from(data)[2])


CANONICALS: Table[Canonical] = Table("canonicals", b"\x01", _pack, _unpack, _since_ms)
