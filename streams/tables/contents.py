"""contents (s2): content_hash (32 bytes) -> its first report. Folded from the UNIQUE events of artifacts.decided; kept for the horizon.

Layout: first seen in ms (8), source digest (8), confidence (8, double), length of the node's id (2), big-endian, then node id and
artifact id in UTF-8.
"""

from __future__ import annotations

import struct

from streams.domain.dedup import Content
from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">q8sdH")
_SIZE = _LAYOUT.size


def _pack(row: Content) -> bytes:
    return _LAYOUT.pack(row[2], row[3], row[4], len(row[1])) + row[1] + row[0]


def _unpack(data: bytes) -> Content:
    first_seen_ms, source, confidence, length = _LAYOUT.unpack_from(data)
    return Content(data[_SIZE + length :], data[_SIZE : _SIZE + length], first_seen_ms, source, confidence)


def _since_ms(data: bytes) -> int:
    return int(_LAYOUT.unpack_from(data)[0])


CONTENTS: Table[Content] = Table("contents", b"\x02", _pack, _unpack, _since_ms, version=2)
