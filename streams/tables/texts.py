"""texts (s4_near): number of a text (8, big-endian) -> what it is compared by, and the family it is of. Folded from sketches and links;
kept for the horizon.

Layout, little-endian: raw time in ms, first seen in ms (8 each), dedup_hash, the family's (40 each), length of the node's id (2), of the
artifact's id (2), how many terms (4); then both ids in UTF-8, the terms (4 each) and the count of each (2).
"""

from __future__ import annotations

import struct

import numpy as np

from streams.domain.near import Text
from streams.runtime.stage import Table

_LAYOUT = struct.Struct("<qq40s40sHHI")
_SIZE = _LAYOUT.size


def key(number: int) -> bytes:
    """Of a text."""
    return number.to_bytes(8, "big")


def _pack(row: Text) -> bytes:
    node, artifact = row.node_id.encode(), row.artifact_id.encode()
    head = (row.raw_ms, row.first_seen_ms, row.dedup_hash, row.family, len(node), len(artifact), len(row.terms))
    return b"".join((_LAYOUT.pack(*head), node, artifact, row.terms.tobytes(), row.counts.tobytes()))


def _unpack(data: bytes) -> Text:
    raw_ms, first_seen_ms, dedup_hash, family, node, artifact, terms = _LAYOUT.unpack_from(data)
    end = _SIZE + node + artifact
    return Text(
        dedup_hash,
        data[_SIZE + node : end].decode(),
        data[_SIZE : _SIZE + node].decode(),
        raw_ms,
        first_seen_ms,
        family,
        np.frombuffer(data, "<u4", terms, end),
        np.frombuffer(data, "<u2", terms, end + 4 * terms),
    )


TEXTS: Table[Text] = Table("texts", b"\x03", _pack, _unpack, lambda data: int(_LAYOUT.unpack_from(data)[0]))
