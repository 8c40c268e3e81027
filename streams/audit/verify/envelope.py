"""Reads an audit record's fields without an Avro library, so that a verifier depends on nobody. Standard library only."""

from __future__ import annotations

from typing import Any

from streams.audit.layout import HEADER_BYTES, TRAILER_BYTES

SPEC = 1
CLOCK_STATES = ("UNKNOWN", "SYNCED", "UNSYNCED")


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
    producer_id, at = _string(value, at)
    run_id, at = value[at : at + 16], at + 16
    # most of what may be missing is: it is looked at here, and only what is there costs a call
    tick, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _long)
    job_id, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _string)
    attempt, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _long)
    success, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _boolean)
    duration_ns, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _long)
    artifact_count, at = _long(value, at)
    queue_size, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _long)
    node_id, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _string)
    target_id, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _string)
    error, at = (None, at + 1) if value[at] == 0 else _optional(value, at, _string)
    wall_ns, at = _large(value, at)
    mono_ns, at = _large(value, at)
    boot_ns, at = _large(value, at)
    boot_id, at = value[at : at + 16], at + 16
    state, at = _long(value, at)
    if not 0 <= state < 3:
        raise Unreadable(f"clock state {state}")
    schema_sha256, at = value[at : at + 32], at + 32
    payload, at = _bytes(value, at)
    return {
        "type": types[number], "producer_id": producer_id, "run_id": run_id, "tick": tick, "job_id": job_id,
        "attempt": attempt, "success": success, "duration_ns": duration_ns, "artifact_count": artifact_count,
        "queue_size": queue_size, "node_id": node_id, "target_id": target_id, "error": error, "wall_ns": wall_ns,
        "mono_ns": mono_ns, "boot_ns": boot_ns, "boot_id": boot_id, "clock_state": CLOCK_STATES[state],
        "schema_sha256": schema_sha256, "payload": payload,
    }, at  # fmt: skip


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
    if shift > 70 or number >> 64:
        raise Unreadable("an integer of more than 64 bits")
    if byte == 0:
        raise Unreadable("an integer that is longer than it has to be")
    return number >> 1 ^ -(number & 1), at


def _large(value: bytes, at: int) -> tuple[int, int]:
    """The same number; quicker for one of eight or nine bytes, as times in ns are."""
    if len(value) - at >= 9:
        a, b, c, d, e, f, g, h, i = value[at : at + 9]
        if a > 127 and b > 127 and c > 127 and d > 127 and e > 127 and f > 127 and g > 127:
            number = a + (b << 7) + (c << 14) + (d << 21) + (e << 28) + (f << 35) + (g << 42) + (h << 49)
            if 0 < h < 128:
                number -= _SEVEN_MORE
                return number >> 1 ^ -(number & 1), at + 8
            if h and 0 < i < 128:
                number += (i << 56) - _EIGHT_MORE
                return number >> 1 ^ -(number & 1), at + 9
    return _long(value, at)


_SEVEN_MORE = sum(128 << 7 * place for place in range(7))  # the bits that say: more follows
_EIGHT_MORE = _SEVEN_MORE + (128 << 49)


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
