"""Who speaks: a node's token, and the code that proves a record is the node's. Pure.

token = BLAKE2b-256(key, lp(node id) generation), where key is derived from the deployment's secret. Nothing is stored: a higher
generation revokes the lower ones. mac = BLAKE2b-128(token, lp(node id) record bytes), sent in the header `icn_mac`.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable, Sequence
from typing import Any

MAC_HEADER = "icn_mac"
NAME_MAX = 128  # characters of a node's or judge's id and of a principal; rows and events have room for them
CAPABILITIES_MAX = 64


def is_registrable(name: str | None, principal: str | None, generation: int, capabilities: Sequence[str] = ()) -> bool:
    """Whether somebody can be known by this registration."""
    return (
        bool(name)
        and generation >= 1
        and max(map(len, (name or "", principal or "", *capabilities))) <= NAME_MAX
        and len(capabilities) <= CAPABILITIES_MAX
    )


def node_token(key: bytes, node_id: str, generation: int) -> bytes:
    """32 bytes. `generation` counts from 1."""
    name = node_id.encode()
    return hashlib.blake2b(
        len(name).to_bytes(8, "little") + name + generation.to_bytes(8, "little"), key=key, digest_size=32
    ).digest()


def sign(token: bytes, node_id: bytes, record: bytes) -> bytes:
    """16 bytes over the node's id and the exact bytes of its record."""
    return hashlib.blake2b(len(node_id).to_bytes(8, "little") + node_id + record, key=token, digest_size=16).digest()


def is_signed(token: bytes, node_id: bytes, record: bytes, mac: bytes | None) -> bool:
    """Whether `mac` is this node's for this record, in constant time."""
    return mac is not None and hmac.compare_digest(sign(token, node_id, record), mac)


def is_said_by(token: bytes, name: str, value: bytes | None, headers: Iterable[tuple[str, bytes]] | None) -> bool:
    """Whether a record carries exactly one mac, and it is this name's. headers None: not one of them can be read."""
    macs = [content for header, content in headers or () if header.partition("\0")[0] == MAC_HEADER]
    return len(macs) == 1 and is_signed(token, name.encode(), value or b"", macs[0])


_SEALED = struct.Struct("<40s32sdqq?HH")


def seal(
    key: bytes,
    node_id: bytes,
    artifact_id: bytes,
    content_hash: bytes,
    dedup_hash: bytes,
    confidence: float,
    simulated: bool,
    raw_partition: int,
    raw_offset: int,
) -> bytes:
    """16 bytes that prove to the deployment itself that it has established these facts: who sent what, and what was claimed."""
    fixed = _SEALED.pack(
        dedup_hash,
        content_hash,
        confidence,
        raw_partition,
        raw_offset,
        simulated,
        len(node_id),
        len(artifact_id),
    )
    return hashlib.blake2b(fixed + node_id + artifact_id, key=key, digest_size=16).digest()


def is_sealed(key: bytes, seal_: bytes, *facts: Any) -> bool:
    """Whether these are facts of this deployment, in constant time. `facts`: as for `seal`."""
    try:
        return hmac.compare_digest(seal(key, *facts), seal_)
    except struct.error:  # a number out of range was never sealed
        return False
