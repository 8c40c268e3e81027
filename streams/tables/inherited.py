"""inherited (s4): dedup_hash (40 bytes) -> the earliest first_seen a link has given it, in ms (8, big-endian). Folded from links.

Apart from scores because a link may come before the artifact it is about. Never swept: a chain of links hands down a time that
says nothing about how old the row is.
"""

from __future__ import annotations

import struct

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">q")


INHERITED: Table[int] = Table("inherited", b"\x02", _LAYOUT.pack, lambda data: int(_LAYOUT.unpack(data)[0]))
