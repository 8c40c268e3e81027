"""standings (s1): node_id -> the newest revision of its reputation, as far as the intake uses it. Folded from reputation.log.

Layout: revision (8), effective score (8, double), artifacts an hour (8), big-endian.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">qdq")


class Standing(NamedTuple):
    """How a node stands."""

    revision: int  # 0: none yet
    effective: float  # (0..0.9]
    quota: int  # artifacts an hour; 0: no limit


STANDINGS: Table[Standing] = Table(
    "standings", b"\x04", lambda row: _LAYOUT.pack(*row), lambda data: Standing(*_LAYOUT.unpack(data))
)
