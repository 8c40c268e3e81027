"""Avro by hand, for the stages that handle every record: read a few fields of an event without decoding it, write one from its parts.

Everything else goes through `codec`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from streams.codec import HEADER_BYTES, schema, without_logical_types
from streams.errors import ContractError


def slicer(name: str, until: str, wanted: tuple[str, ...]) -> Callable[[bytes], tuple[Any, ...]]:
    """A function wire bytes -> the wanted fields before the field `until` and, if that is a record, in it; then the positions where that
    starts and ends (where it starts, twice, if it is none).

    Compiled for the schema: runs of fixed-size fields are one struct call, the rest is sliced or skipped, nothing else of the event is
    decoded. Strings come as UTF-8 bytes. Three times as fast as decoding the whole. Raises IndexError, ValueError or
    struct.error on garbage.
    """
    fields = without_logical_types(schema(name))["fields"]
    lines, unpacks = ["def read(value):", f"    pos = {HEADER_BYTES}"], list[str]()
    for field in fields:
        if field["name"] == until:
            lines.append("    start = pos")
            if isinstance(field["type"], dict) and field["type"]["type"] == "record":
                _emit(field["type"]["fields"], wanted, lines, unpacks)
            break
        _emit([field], wanted, lines, unpacks)
    lines.append("    value[pos - 1]")  # a record cut short ends here
    lines.append(f"    return {', '.join(wanted)}, start, pos")
    scope: dict[str, Any] = {"long_length": _long_length} | {
        f"unpack{i}": struct.Struct(form).unpack_from for i, form in enumerate(unpacks)
    }
    exec("\n".join(lines), scope)  # generated from our own schemas only
    return scope["read"]


_FIXED = {"double": ("d", 8), "float": ("f", 4), "boolean": ("?", 1)}


def _emit(fields: list[Any], wanted: tuple[str, ...], lines: list[str], unpacks: list[str]) -> None:
    run: list[tuple[str, str, int]] = []

    def flush() -> None:
        if run:
            if any(name in wanted for name, _, _ in run):
                form = "<" + "".join(code if name in wanted else f"{size}x" for name, code, size in run)
                lines.append(
                    f"    {', '.join(n for n, _, _ in run if n in wanted)}, = unpack{len(unpacks)}(value, pos)"
                )
                unpacks.append(form)
            lines.append(f"    pos += {sum(size for _, _, size in run)}")
            run.clear()

    for field in fields:
        name, kind = field["name"], field["type"]
        if isinstance(kind, dict) and kind["type"] == "fixed":
            _SIZES[f"{kind['namespace']}.{kind['name']}"] = kind["size"]
            run.append((name, f"{kind['size']}s", kind["size"]))
        elif isinstance(kind, str) and kind in _SIZES:
            run.append((name, f"{_SIZES[kind]}s", _SIZES[kind]))
        elif isinstance(kind, str) and kind in _FIXED:
            run.append((name, *_FIXED[kind]))
        else:
            flush()
            plain = kind["type"] if isinstance(kind, dict) else kind
            _emit_variable(name, plain, kind, name in wanted, lines, unpacks)
    flush()


_SIZES: dict[str, int] = {}


def _emit_variable(name: str, plain: Any, kind: Any, want: bool, lines: list[str], unpacks: list[str]) -> None:
    if plain in ("int", "long", "enum"):
        lines += _varint(name) if want else ["    while value[pos] > 127: pos += 1", "    pos += 1"]
    elif plain in ("string", "bytes"):
        lines += [
            "    length = value[pos]; pos += 1",
            "    if length & 129: length, pos = long_length(value, pos - 1)",
            "    start_of = pos; pos += length >> 1",
        ]
        lines += [f"    {name} = value[start_of:pos]"] if want else []
    elif isinstance(plain, list) and len(plain) == 2 and plain[0] == "null":
        inner: list[str] = []
        _emit(
            [{"name": "_", "type": plain[1]}]
            if not (isinstance(plain[1], dict) and plain[1]["type"] == "record")
            else plain[1]["fields"],
            (),
            inner,
            unpacks,
        )
        lines += ["    pos += 1", "    if value[pos - 1]:", *(f"    {line}" for line in inner)]
    else:
        raise ContractError(f"slicer: field {name} has type {kind}, which it doesn't know")


def _varint(name: str) -> list[str]:
    return [
        "    byte = value[pos]; pos += 1",
        f"    {name} = byte & 127",
        "    if byte > 127:",
        "        shift = 7",
        "        while byte > 127:",
        f"            byte = value[pos]; pos += 1; {name} |= (byte & 127) << shift; shift += 7",
        "        if shift > 70: raise ValueError('an integer of more than 64 bits')",
        f"    {name} = ({name} >> 1) ^ -({name} & 1)",
    ]


def _long_length(value: bytes, pos: int) -> tuple[int, int]:
    """A length of more than one byte, still doubled, and the position behind it."""
    shift = length = 0
    while True:
        byte = value[pos]
        pos += 1
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    if length & 1:
        raise ValueError("a negative length")
    return length, pos


def zigzag(number: int) -> bytes:
    """Avro's int and long: zig-zag, then seven bits a byte, low first [-2^63..2^63)."""
    number = (number << 1) ^ (number >> 63)
    if number < 0x4000:
        return _ENDS[number]
    if number < 0x1000_0000:
        return _GOES_ON[number & 0x3FFF] + _ENDS[number >> 14]
    if number < 0x400_0000_0000:
        return _GOES_ON[number & 0x3FFF] + _GOES_ON[number >> 14 & 0x3FFF] + _ENDS[number >> 28]
    return _GOES_ON[number & 0x3FFF] + _GOES_ON[number >> 14 & 0x3FFF] + _tail(number >> 28)


def _tail(number: int) -> bytes:
    return _ENDS[number] if number < 0x4000 else _GOES_ON[number & 0x3FFF] + _tail(number >> 14)


# fourteen bits at a time, from tables: timestamps and offsets are in every record
_ENDS = tuple(bytes((i,)) if i < 0x80 else bytes((i & 0x7F | 0x80, i >> 7)) for i in range(0x4000))
_GOES_ON = tuple(bytes((i & 0x7F | 0x80, i >> 7 | 0x80)) for i in range(0x4000))


def avro_bytes(data: bytes) -> bytes:
    """Avro's bytes and string (UTF-8 given): length, then the bytes."""
    length = len(data)
    return (_ENDS[length << 1] if length < 0x2000 else zigzag(length)) + data
