"""quotas (s1): "n" node_id, or "g" for all nodes of the partition -> what was used in the hour. Folded from s1's own decisions.

Layout: hour since 1970 (8), admitted (8), refused (8), big-endian.
"""

from __future__ import annotations

import struct

from streams.domain.quota import HOUR_MS, Used
from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">qqq")

EVERYONE = b"g"


def key(node_id: str) -> bytes:
    """A node's counter."""
    return b"n" + node_id.encode()


def _unpack(data: bytes) -> Used:
    return Used(*_LAYOUT.unpack(data))


QUOTAS: Table[Used] = Table(
    "quotas", b"\x03", lambda row: _LAYOUT.pack(*row), _unpack, lambda data: _unpack(data).hour * HOUR_MS
)
