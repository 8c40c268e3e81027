"""scores (s4): dedup_hash (40 bytes) -> what its priority is made of. Folded from priorities; kept for the horizon.

Layout, big-endian: version (4), threat level, opportunity value, confidence, effective reputation (8 each, doubles), reputation revision,
first seen in ms, raw partition, raw offset, raw time in ms (8 each), simulated (1), length of the node's id (2), then node id and content
type in UTF-8.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">idddd5q?H")
_SIZE = _LAYOUT.size


class Scored(NamedTuple):
    """The newest version of a canonical artifact, as far as its priority goes."""

    version: int
    threat_level: float
    opportunity_value: float
    confidence: float
    effective_reputation: float
    reputation_revision: int
    first_seen_ms: int
    raw_partition: int
    raw_offset: int
    raw_ms: int
    simulated: bool
    node_id: str
    content_type: str


def _pack(row: Scored) -> bytes:
    node = row.node_id.encode()
    return _LAYOUT.pack(*row[:11], len(node)) + node + row.content_type.encode()


def _unpack(data: bytes) -> Scored:
    fields: tuple[Any, ...] = _LAYOUT.unpack_from(data)
    length = fields[-1]
    return Scored._make((*fields[:-1], data[_SIZE : _SIZE + length].decode(), data[_SIZE + length :].decode()))


SCORES: Table[Scored] = Table("scores", b"\x01", _pack, _unpack, lambda data: _unpack(data).raw_ms)
