"""Avro bytes <-> records in the Confluent wire format: 0x00, 4-byte big-endian schema id, Avro body.

`schemas/ids.yaml` fixes the ids, `schemas/<name>.avsc` is each event's current form, `schemas/types/` what they share.
Times are plain integers (ms since 1970, UTC): logical types are published, but not turned into datetime objects.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import yaml
from fastavro.schema import fingerprint, to_parsing_canonical_form

from streams.errors import ContractError
from streams.topology import PACKAGE

HEADER_BYTES = 5


class Undecodable(ValueError):
    """Bytes that are not a record of the schema they claim. `reason` is a word for counting, the text is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@cache
def folder() -> Path:
    """schemas/ of the checkout, else the one in the package."""
    checkout = PACKAGE.parent / "schemas"
    return checkout if checkout.exists() else PACKAGE / "contract" / "schemas"


def use_ids(given: Mapping[str, int]) -> None:
    """Take these ids (another registry's) instead of the fixed ones; before any encoder or decoder is made."""
    for name, number in given.items():
        _entries()[name] = {**_entries()[name], "id": number, "before": ()}
    _any_decoder.cache_clear()


@cache
def _entries() -> dict[str, Mapping[str, Any]]:
    entries: dict[str, Mapping[str, Any]] = yaml.safe_load((folder() / "ids.yaml").read_text())
    return entries


def ids() -> Mapping[str, Mapping[str, Any]]:
    """name -> {id, fingerprint, before: [older ids]} from schemas/ids.yaml."""
    return _entries()


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema of an event as others see it: self-contained, with logical types. Raises ContractError."""
    path = folder() / f"{name}.avsc"
    if not path.exists():
        raise ContractError(
            f'no schema "{name}"', f"known: {', '.join(sorted(p.stem for p in folder().glob('*.avsc')))}"
        )
    return _expand(json.loads(path.read_text()), set())


def _expand(node: Any, seen: set[str]) -> Any:
    """Replace the first mention of a shared type by its definition; later ones stay names, as Avro wants it."""
    if isinstance(node, str):
        if node.startswith("icn.") and node not in seen:
            seen.add(node)
            return _expand(json.loads((folder() / "types" / f"{node[4:]}.avsc").read_text()), seen)
        return node
    if isinstance(node, list):
        return [_expand(item, seen) for item in node]
    if isinstance(node, dict):
        return {
            key: _expand(value, seen) if key in ("type", "fields", "items", "values") else value
            for key, value in node.items()
        }
    return node


def without_logical_types(node: Any) -> Any:
    """The same schema, read as plain integers and bytes."""
    if isinstance(node, dict):
        return {key: without_logical_types(value) for key, value in node.items() if key != "logicalType"}
    return [without_logical_types(item) for item in node] if isinstance(node, list) else node


@cache
def parsed(name: str) -> Any:
    """Ready for fastavro."""
    return fastavro.parse_schema(without_logical_types(schema(name)))


def schema_fingerprint(of: Any) -> str:
    """CRC-64-AVRO of the parsing canonical form [16 hex]."""
    return fingerprint(to_parsing_canonical_form(of), "CRC-64-AVRO")


def header(name: str) -> bytes:
    """The five bytes before each record of this schema."""
    return b"\x00" + int(ids()[name]["id"]).to_bytes(4, "big")


def encoder(name: str) -> Callable[[Mapping[str, Any]], bytes]:
    """A function record -> wire bytes. It raises what fastavro raises: a wrong record is a programmer's fault."""
    head, form, write = header(name), parsed(name), fastavro.schemaless_writer

    def encode(record: Mapping[str, Any]) -> bytes:
        out = io.BytesIO()
        out.write(head)
        write(out, form, record)
        return out.getvalue()

    return encode


def current(name: str) -> Callable[[bytes], bytes]:
    """A function wire bytes -> wire bytes of the current schema: the same where they are, else encoded anew. It raises Undecodable."""
    head, decode, encode = header(name), decoder(name), encoder(name)
    return lambda value: value if value[:HEADER_BYTES] == head else encode(decode(value))


def why(error: Exception) -> str:
    """An error's kind and words, the same for the same bytes: fastavro tells the address of what it reads from, and dead letters are
    compared by replay."""
    return f"{type(error).__name__}: {_ADDRESS.sub('…', str(error))}"


_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")


def decoder(name: str) -> Callable[[bytes], dict[str, Any]]:
    """A function wire bytes -> record of the current schema. It raises Undecodable; trailing bytes are refused."""
    writers = {int(ids()[name]["id"]): parsed(name)}
    for older in ids()[name].get("before", ()):
        writers[older] = fastavro.parse_schema(
            without_logical_types(json.loads((folder() / "old" / f"{name}-{older}.avsc").read_text()))
        )
    head, current, read = header(name), parsed(name), fastavro.schemaless_reader

    def decode(value: bytes) -> dict[str, Any]:
        stream = io.BytesIO(value)
        start = stream.read(HEADER_BYTES)
        try:
            if start == head:
                record = read(stream, current, None)
            else:
                record = read(stream, _writer(start, writers, name), current)
        except Undecodable:
            raise
        except UnicodeDecodeError as error:
            raise Undecodable("invalid_utf8", f"a string is not UTF-8: {error.reason} at byte {error.start}") from error
        except (
            Exception
        ) as error:  # fastavro raises EOFError, struct.error, IndexError, ValueError, OverflowError … on garbage
            raise Undecodable("not_avro", f"not a record of schema {name}: {why(error)}") from error
        if stream.tell() != len(value):
            raise Undecodable("not_avro", f"{len(value) - stream.tell()} bytes after the end of the {name} record")
        return record

    return decode


def _writer(start: bytes, writers: Mapping[int, Any], name: str) -> Any:
    if len(start) < HEADER_BYTES or start[0] != 0:
        raise Undecodable("not_avro", "no Confluent wire format: byte 0 must be 0x00, then a 4-byte schema id")
    number = int.from_bytes(start[1:], "big")
    if number in writers:
        return writers[number]
    for other, entry in ids().items():
        if number == entry["id"]:
            raise Undecodable("wrong_type", f"schema id {number} is {other}, expected {name} (id {ids()[name]['id']})")
    raise Undecodable(
        "unknown_schema_id", f"schema id {number} is in no registry known here; expected {ids()[name]['id']} ({name})"
    )


def by_id(number: int) -> str | None:
    """The event whose current or older schema has this id."""
    for name, entry in ids().items():
        if number == entry["id"] or number in entry.get("before", ()):
            return name
    return None


@cache
def _any_decoder(name: str) -> Callable[[bytes], dict[str, Any]]:
    return decoder(name)


def decode_any(value: bytes) -> tuple[str, dict[str, Any]]:
    """Wire bytes of any known event -> (event name, record). Raises Undecodable."""
    if len(value) < HEADER_BYTES or value[0] != 0:
        raise Undecodable("not_avro", "no Confluent wire format: byte 0 must be 0x00, then a 4-byte schema id")
    number = int.from_bytes(value[1:HEADER_BYTES], "big")
    name = by_id(number)
    if name is None:
        raise Undecodable("unknown_schema_id", f"schema id {number} is unknown here")
    return name, _any_decoder(name)(value)


def jsonable(value: Any) -> Any:
    """A decoded record as JSON can carry it: fixed as hex, a dedup hash as `hex:hex`, other bytes as text or hex."""
    if isinstance(value, Mapping):
        return {key: jsonable(item) for key, item in value.items()}
    if isinstance(value, bytes):
        if len(value) == 40:
            return f"{value[:32].hex()}:{value[32:].hex()}"
        return value.hex()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    return value


def from_jsonable(form: Any, value: Any) -> Any:
    """The reverse of `jsonable`, guided by the schema: hex text back to fixed and bytes."""
    kind = form["type"] if isinstance(form, dict) and isinstance(form.get("type"), (dict, list)) else form
    if isinstance(kind, list):
        return None if value is None else from_jsonable(next(item for item in kind if item != "null"), value)
    if isinstance(kind, dict) and kind["type"] == "record":
        return {field["name"]: from_jsonable(field["type"], value[field["name"]]) for field in kind["fields"]}
    if isinstance(kind, dict) and kind["type"] == "array":
        return [from_jsonable(kind["items"], item) for item in value]
    fixed = (
        (isinstance(kind, dict) and kind["type"] == "fixed")
        or (isinstance(kind, str) and kind.startswith("icn."))
        or kind == "bytes"
    )
    return bytes.fromhex(value.replace(":", "")) if fixed and isinstance(value, str) else value
