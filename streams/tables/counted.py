"""counted (s3): what counts once -> broker's time of when it was counted, in ms (8, big-endian). Kept for the horizon.

Keys: "v" a judge's vote on a claim; "t" a claim that was tested; "c" a principal's corroboration of a content; "a" a collection;
0x00 the last epoch that has ended. Parts of a key are hashed: names may be long, and hold anything.
"""

from __future__ import annotations

import hashlib
import struct

from streams.runtime.stage import Table

_LAYOUT = struct.Struct(">q")
EPOCH = b"\x00"


def key(kind: bytes, *parts: bytes) -> bytes:
    """One byte, then 16."""
    body = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return kind + hashlib.blake2b(body, digest_size=16).digest()


COUNTED: Table[int] = Table("counted", b"\x03", _LAYOUT.pack, lambda data: int(_LAYOUT.unpack(data)[0]),
                            lambda data: int(_LAYOUT.unpack(data)[0]))  # fmt: skip
