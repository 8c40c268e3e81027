"""ids (s1): node_id 0x00 artifact_id -> what was admitted under this id. Folded from artifacts.admitted; kept for the horizon.

Layout: content hash (32), raw offset (8), raw time in ms (8), big-endian.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">32sqq")


class Known(NamedTuple):
    """An admitted id."""

    content_hash: bytes
    raw_offset: int
    raw_ms: int


def key(node_id: str, artifact_id: str) -> bytes:
    """The row's key. 0x00 can't be in a node's id."""
    return node_id.encode() + b"\x00" + artifact_id.encode()


def _unpack(data: bytes) -> Known:
    return Known(*_LAYOUT.unpack(data))


IDS: Table[Known] = Table("ids", b"\x02", lambda row: _LAYOUT.pack(*row), _unpack, lambda data: _unpack(data).raw_ms)
