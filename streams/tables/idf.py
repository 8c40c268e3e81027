"""idf (s4_near): "" -> the weights of words that are in use. Folded from idf.

Layout, little-endian: version (8), texts (4), how many terms (4), then the terms (4 each) and the documents of each (4 each).
"""

from __future__ import annotations

import struct

import numpy as np

from streams.domain.near import Idf
from streams.runtime.stage import Table

_LAYOUT = struct.Struct("<qII")
_SIZE = _LAYOUT.size
HERE = b""


def _pack(row: Idf) -> bytes:
    return _LAYOUT.pack(row.version, row.total, len(row.terms)) + row.terms.tobytes() + row.documents.tobytes()


def _unpack(data: bytes) -> Idf:
    version, total, count = _LAYOUT.unpack_from(data)
    return Idf(
        version,
        np.frombuffer(data, np.uint32, count, _SIZE),
        np.frombuffer(data, np.uint32, count, _SIZE + 4 * count),
        total,
    )


IDF: Table[Idf] = Table("idf", b"\x01", _pack, _unpack)
