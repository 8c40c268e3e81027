"""Reads an audit record's fields without an Avro library, so that a verifier depends on nobody. Standard library only."""

from __future__ import annotations

from typing import Any

from streams.audit.layout import HEADER_BYTES, TRAILER_BYTES

SPEC = 1


class Unreadable(ValueError):
    """Not a record of the schema, or of an unknown version or type."""


def read(value: bytes, types: tuple[str, ...]) -> dict[str, Any]:
    """The fields before the trailer, in the schema's order. types: the enum's symbols. Raises Unreadable, also for bytes left over."""
    try:
        record, at = _read(value, types)
    except (IndexError, UnicodeDecodeError) as error:
        raise Unreadable(f"cut short, or not UTF-8: {error}") from error
    if at != len(value) - TRAILER_BYTES:
        raise Unreadable(f"{len(value) - TRAILER_BYTES - at} bytes between the fields and the trailer")
    return record


def _read(value: bytes, types: tuple[str, ...]) -> tuple[dict[str, Any], int]:
    spec, at = _long(value, HEADER_BYTES)
    if spec != SPEC:
        raise Unreadable(f"envelope version {spec}; this reads {SPEC}")
    number, at = _long(value, at)
    if not 0 < number < len(types):
        raise Unreadable(f"type {number} is not in the closed set")
    record: dict[str, Any] = {"type": types[number]}
    record["producer_id"], at = _string(value, at)
    record["run_id"], at = value[at : at + 16], at + 16
    record["tick"], at = _optional(value, at, _long)
    record["job_id"], at = _optional(value, at, _string)
    record["attempt"], at = _optional(value, at, _long)
    record["success"], at = _optional(value, at, _boolean)
    record["duration_ns"], at = _optional(value, at, _long)
    record["artifact_count"], at = _long(value, at)
    record["queue_size"], at = _optional(value, at, _long)
    for name in ("node_id", "target_id", "error"):
        record[name], at = _optional(value, at, _string)
    for name in ("wall_ns", "mono_ns", "boot_ns"):
        record[name], at = _long(value, at)
    record["boot_id"], at = value[at : at + 16], at + 16
    state, at = _long(value, at)
    if not 0 <= state < 3:
        raise Unreadable(f"clock state {state}")
    record["clock_state"] = ("UNKNOWN", "SYNCED", "UNSYNCED")[state]
    record["schema_sha256"], at = value[at : at + 32], at + 32
    record["payload"], at = _bytes(value, at)
    return record, at


def _long(value: bytes, at: int) -> tuple[int, int]:
    byte = value[at]
    at += 1
    if byte < 128:
        return byte >> 1 ^ -(byte & 1), at
    number, shift = byte & 127, 7
    while byte > 127:
        byte = value[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
    if shift > 70:
        raise Unreadable("an integer of more than 64 bits")
    if byte == 0:
        raise Unreadable("an integer that is longer than it has to be")
    return number >> 1 ^ -(number & 1), at


def _bytes(value: bytes, at: int) -> tuple[bytes, int]:
    length, at = _long(value, at)
    if length < 0 or at + length > len(value):
        raise Unreadable(f"{length} bytes, where {len(value) - at} are left")
    return value[at : at + length], at + length


def _string(value: bytes, at: int) -> tuple[str, int]:
    data, at = _bytes(value, at)
    return data.decode(), at


def _boolean(value: bytes, at: int) -> tuple[bool, int]:
    if value[at] > 1:
        raise Unreadable(f"a boolean of {value[at]}")
    return value[at] == 1, at + 1


def _optional(value: bytes, at: int, read_one: Any) -> tuple[Any, int]:
    branch = value[at]
    if branch == 0:
        return None, at + 1
    if branch != 2:
        raise Unreadable(f"branch {branch} of a union of two")
    return read_one(value, at + 1)


def only_string(payload: bytes) -> str:
    """The payload of process_start, methodology and run_summary: a record whose only field is a string. Raises Unreadable."""
    try:
        text, at = _string(payload, 0)
    except (IndexError, UnicodeDecodeError) as error:
        raise Unreadable(f"no payload of one string: {error}") from error
    if at != len(payload):
        raise Unreadable("bytes behind the payload")
    return text


def seal(payload: bytes) -> tuple[str, int, bytes, bytes]:
    """The payload of seal: origin, size, root, SHA-256 of the note. Raises Unreadable."""
    try:
        origin, at = _string(payload, 0)
        size, at = _long(payload, at)
        root, at = _bytes(payload, at)
        hashed, at = _bytes(payload, at)
    except (IndexError, UnicodeDecodeError) as error:
        raise Unreadable(f"no payload of a seal: {error}") from error
    if at != len(payload):
        raise Unreadable("bytes behind the payload")
    return origin, size, root, hashed
