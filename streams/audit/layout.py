"""The bytes of an audit record, and the hashes over them. Standard library only: a verifier needs nothing else.

A record is a Kafka message on one explicit partition. Its key is the run's id (16 bytes). Its value is

    0x00, schema id (4) | Avro fields of schemas/metric_event.avsc | seq (8) | prev_hash (32) | record_hash (32)

and the last three are its trailer: fixed sizes, no length prefixes, so integrity is checked by slicing.

    record_hash   SHA-256(RECORD_TAG | u32 length + topic | u32 length + key | value without its last 32 bytes)
    prev_hash     record_hash of seq - 1; of seq 0: SHA-256(RUN_TAG | run id | SHA-256(manifest))
    entry         what a tree's leaf is of: ENTRY_TAG (4) | partition (4) | offset (8) | timestamp type (1) | broker's ms (8)
                  | run id (16) | seq (8) | record_hash (32): 81 bytes

All integers are big-endian. Bytes are hashed as they are on the wire: Avro has more than one form of the same values.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import NamedTuple

RECORD_TAG = b"icn/audit/record/v1\n"
RUN_TAG = b"icn/audit/run/v1\n"
FOREIGN_TAG = b"icn/audit/foreign/v1\n"
ENTRY_TAG = b"icn1"

HEADER_BYTES, RUN_ID_BYTES, HASH_BYTES, TRAILER_BYTES = 5, 16, 32, 72
VALUE_MIN = HEADER_BYTES + TRAILER_BYTES
SEQ, PREV = slice(-72, -64), slice(-64, -32)  # of a value; its hash is the rest

ENTRY = struct.Struct(">4sIQBQ16s8s32s")
NOBODY = bytes(RUN_ID_BYTES)


class Item(NamedTuple):
    """A message as it is on the topic."""

    offset: int
    ts_type: int
    ts_ms: int
    key: bytes | None
    value: bytes | None


def preimage_start(topic: str, key: bytes) -> bytes:
    """What comes before the value in a record's preimage: the same for a whole run."""
    name = topic.encode()
    return b"".join((RECORD_TAG, len(name).to_bytes(4, "big"), name, len(key).to_bytes(4, "big"), key))


def record_hash(topic: str, key: bytes, value: bytes) -> bytes:
    """Of a whole value, trailer included, or of one that still lacks its last 32 bytes and has any others there."""
    return sha256(preimage_start(topic, key) + value[:-HASH_BYTES]).digest()


def first_link(run_id: bytes, manifest: bytes) -> bytes:
    """prev_hash of seq 0: the chain hangs on what the run says of itself."""
    return sha256(RUN_TAG + run_id + sha256(manifest).digest()).digest()


def is_record(key: bytes | None, value: bytes | None) -> bool:
    """Whether there is a trailer to slice. What is none is sealed as foreign."""
    return key is not None and value is not None and len(key) == RUN_ID_BYTES and len(value) > VALUE_MIN


def foreign_hash(key: bytes | None, value: bytes | None) -> bytes:
    """Of a message that is no record: its bytes are sealed all the same. No bytes and no value differ."""
    parts = [b"-" if part is None else b"+" + len(part).to_bytes(4, "big") + part for part in (key, value)]
    return sha256(FOREIGN_TAG + b"".join(parts)).digest()


def entry(
    topic: str, partition: int, offset: int, ts_type: int, ts_ms: int, key: bytes | None, value: bytes | None
) -> bytes:
    """The tree's entry of a message. Its hash is computed, never taken from the trailer."""
    if is_record(key, value):
        assert key is not None and value is not None
        return ENTRY.pack(ENTRY_TAG, partition, offset, ts_type, ts_ms, key, value[SEQ], record_hash(topic, key, value))
    return ENTRY.pack(ENTRY_TAG, partition, offset, ts_type, ts_ms, NOBODY, bytes(8), foreign_hash(key, value))
