"""Reads an audit record's fields without an Avro library, so that a verifier depends on nobody. Standard library only."""

from __future__ import annotations

import struct
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
    """Calls cost more than all the rest, so what most fields are, absent or a number of one byte, is read here: n >> 1 ^ -(n & 1)."""
    if value[HEADER_BYTES] != SPEC << 1:
        raise Unreadable(f"envelope version {_long(value, HEADER_BYTES)[0]}; this reads {SPEC}")
    number, at = _long(value, HEADER_BYTES + 1)
    if not 0 < number < len(types):
        raise Unreadable(f"type {number} is not in the closed set")
    producer_id, at = _string(value, at)
    run_id = value[at : at + 16]
    at += 16
    # a byte says whether a field is there: 0 or 2; whether any of these bytes was another one is asked once
    tick = job_id = attempt = success = duration_ns = queue_size = node_id = target_id = error = None
    if has_tick := value[at]:
        tick, at = _long(value, at + 1)
    else:
        at += 1
    if has_job := value[at]:
        job_id, at = _string(value, at + 1)
    else:
        at += 1
    if has_attempt := value[at]:
        n = value[at + 1]
        attempt, at = (n >> 1 ^ -(n & 1), at + 2) if n < 128 else _long(value, at + 1)
    else:
        at += 1
    if has_success := value[at]:
        n = value[at + 1]
        if n > 1:
            raise Unreadable(f"a boolean of {n}")
        success = n == 1
        at += 2
    else:
        at += 1
    if has_duration := value[at]:
        duration_ns, at = _long(value, at + 1)
    else:
        at += 1
    n = value[at]
    artifact_count, at = (n >> 1 ^ -(n & 1), at + 1) if n < 128 else _long(value, at)
    if has_queue := value[at]:
        queue_size, at = _long(value, at + 1)
    else:
        at += 1
    if has_node := value[at]:
        node_id, at = _string(value, at + 1)
    else:
        at += 1
    if has_target := value[at]:
        target_id, at = _string(value, at + 1)
    else:
        at += 1
    if has_error := value[at]:
        error, at = _string(value, at + 1)
    else:
        at += 1
    branches = (
        has_tick | has_job | has_attempt | has_success | has_duration | has_queue | has_node | has_target | has_error
    )
    if branches not in (0, 2):
        raise Unreadable("the branch of a union of two is 0 or 2")
    wall_ns, at = _large(value, at)
    mono_ns, at = _large(value, at)
    boot_ns, at = _large(value, at)
    boot_id = value[at : at + 16]
    state = value[at + 16]
    if state not in (0, 2, 4):
        raise Unreadable(f"clock state {_long(value, at + 16)[0]}")
    schema_sha256 = value[at + 17 : at + 49]
    payload, at = (b"", at + 50) if value[at + 49] == 0 else _bytes(value, at + 49)
    return {
        "type": types[number], "producer_id": producer_id, "run_id": run_id, "tick": tick, "job_id": job_id,
        "attempt": attempt, "success": success, "duration_ns": duration_ns, "artifact_count": artifact_count,
        "queue_size": queue_size, "node_id": node_id, "target_id": target_id, "error": error, "wall_ns": wall_ns,
        "mono_ns": mono_ns, "boot_ns": boot_ns, "boot_id": boot_id, "clock_state": CLOCK_STATES[state >> 1],
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
    """The same number; quicker for one of seven to nine bytes, as times in ns are: two bytes at a time."""
    if len(value) - at >= 9:
        a, b, c, d, e = _NINE.unpack_from(value, at)
        if a & b & c & _MORE == _MORE:
            number = a & 127 | a >> 1 & _HIGH | (b & 127 | b >> 1 & _HIGH) << 14 | (c & 127 | c >> 1 & _HIGH) << 28
            if not d & 128:
                if d & 127:
                    number |= (d & 127) << 42
                    return number >> 1 ^ -(number & 1), at + 7
            elif d < 32768:
                if d > 255:
                    number |= (d & 127 | d >> 1 & _HIGH) << 42
                    return number >> 1 ^ -(number & 1), at + 8
            elif 0 < e < 128:
                number |= (d & 127 | d >> 1 & _HIGH) << 42 | e << 56
                return number >> 1 ^ -(number & 1), at + 9
    return _long(value, at)


_NINE = struct.Struct("<4HB")
_MORE, _HIGH = 0x8080, 0x3F80  # of two bytes: the bits that say that more follows; where the second one's seven go


def _bytes(value: bytes, at: int) -> tuple[bytes, int]:
    length = value[at]
    if length & 129:  # negative, or of two bytes and more
        length, at = _long(value, at)
        end = at + length
    else:
        at += 1
        end = at + (length >> 1)
    if end < at or end > len(value):
        raise Unreadable(f"{end - at} bytes, where {len(value) - at} are left")
    return value[at:end], end


def _string(value: bytes, at: int) -> tuple[str, int]:
    length = value[at]
    if length & 129:
        data, at = _bytes(value, at)
        return data.decode(), at
    end = at + 1 + (length >> 1)
    if end > len(value):
        raise Unreadable(f"{length >> 1} bytes, where {len(value) - at - 1} are left")
    return value[at + 1 : end].decode(), end


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
