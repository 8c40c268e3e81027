"""depth (s1): "" -> artifacts admitted and not yet decided (8, big-endian). Folded from s1's own admissions and s2's batches."""

from __future__ import annotations

import struct

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">q")
HERE = b""

DEPTH: Table[int] = Table("depth", b"\x05", _LAYOUT.pack, lambda data: int(_LAYOUT.unpack(data)[0]))
