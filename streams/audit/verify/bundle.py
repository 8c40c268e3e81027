"""An audit bundle: one file that holds a log as it was, to be verified anywhere. No Kafka; keys never come from it.

A ZIP whose members are stored, not compressed, so that nothing in it can grow when it is read:

    manifest.json            what it is of, and its bounds
    <partition>/records      offset (8) | timestamp type (1) | broker's ms (8) | key length (4) | value length (4) | key | value
    <partition>/entries      what was sealed, as in the tiles: length (2) | entry, …
    <partition>/notes        the signed checkpoints in the order of publication: length (4) | note, …
    schemas/…                the schemas of records and payloads
    report.json              what whoever made it found

Integers are big-endian; a length of 0xFFFFFFFF says that there is no key or value.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from streams.audit.layout import Item
from streams.audit.verify.checkpoints import Published
from streams.errors import AuditError

FORMAT = "icn-audit-bundle/1"
MEMBERS = ("records", "entries", "notes")
NOTHING = 0xFFFFFFFF
VALUE_MAX, NOTE_MAX, MANIFEST_MAX = 8 << 20, 1 << 16, 1 << 20
_RECORD, _U16, _U32 = struct.Struct(">QBQII"), struct.Struct(">H"), struct.Struct(">I")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """What a bundle is of."""

    topic: str
    cluster_id: str
    topic_id: str
    made_ms: int
    bounds: Mapping[int, tuple[int, int]]  # partition -> (first offset, end) of the topic when it was made

    def origin(self, partition: int) -> str:
        """As streams.audit.place has it."""
        return f"icn/audit/{self.cluster_id}/{self.topic}/{self.topic_id}/{partition}"

    def json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "topic": self.topic,
            "cluster_id": self.cluster_id,
            "topic_id": self.topic_id,
            "made_ms": self.made_ms,
            "bounds": {str(p): list(b) for p, b in self.bounds.items()},
        }


MADE_MAX_MS = 253_370_764_800_000  # year 9999
NAME_MAX = 300


class BundleWriter:
    """Writes one, member by member: of the same log the same bytes, so no member has a date. Raises AuditError."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        try:
            self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True)
        except OSError as error:
            raise AuditError(f"{path}: {error.strerror}", "name another file") from error
        self.add("manifest.json", json.dumps(manifest.json(), indent=2).encode())

    def add(self, name: str, data: bytes) -> None:
        """A small member."""
        self._zip.writestr(zipfile.ZipInfo(name), data)

    def records(self, partition: int, items: Iterable[Item]) -> None:
        """As they are on the topic."""
        self._member(f"{partition}/records", map(pack_item, items))

    def entries(self, partition: int, entries: Iterable[bytes]) -> None:
        """As they were sealed."""
        self._member(f"{partition}/entries", (_U16.pack(len(e)) + e for e in entries))

    def notes(self, partition: int, notes: Iterable[bytes]) -> None:
        """As they were published."""
        self._member(f"{partition}/notes", (_U32.pack(len(n)) + n for n in notes))

    def _member(self, name: str, parts: Iterable[bytes]) -> None:
        with self._zip.open(zipfile.ZipInfo(name), "w", force_zip64=True) as out:
            buffer: list[bytes] = []
            size = 0
            for part in parts:
                buffer.append(part)
                size += len(part)
                if size > _CHUNK:
                    out.write(b"".join(buffer))
                    buffer, size = [], 0
            out.write(b"".join(buffer))

    def close(self) -> None:
        self._zip.close()


def pack_item(item: Item) -> bytes:
    """One record's frame."""
    key, value = item.key, item.value
    head = _RECORD.pack(
        item.offset,
        item.ts_type,
        item.ts_ms,
        NOTHING if key is None else len(key),
        NOTHING if value is None else len(value),
    )
    return head + (key or b"") + (value or b"")


class Bundle:
    """Reads one. Nothing is unpacked, nothing is believed: names, sizes and lengths are checked before they are used. Raises AuditError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise AuditError(f"{path} is not there") from None
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise self._refused(str(error)) from error
        self._check_members(path.stat().st_size)
        self.manifest = self._manifest()

    def _refused(self, why: str) -> AuditError:
        return AuditError(f"{self.path} is no audit bundle: {why}", "icn audit bundle writes one")

    def _check_members(self, size: int) -> None:
        names: set[str] = set()
        for info in self._zip.infolist():
            name = info.filename
            place, _, member = name.partition("/")
            known = (
                name in ("manifest.json", "report.json")
                or place == "schemas"
                or (place.isdecimal() and member in MEMBERS)
            )
            if not known or ".." in name or "\\" in name or name.startswith("/"):
                raise self._refused(f"it holds {name[:80]!r}; keys and other files don't belong in it")
            if name in names:
                raise self._refused(f"it holds {name!r} twice")
            if (
                info.compress_type != zipfile.ZIP_STORED
                or info.file_size != info.compress_size
                or info.file_size > size
            ):
                raise self._refused(f"{name!r} is compressed, or larger than the file")
            names.add(name)

    def _manifest(self) -> Manifest:
        try:
            if self._zip.getinfo("manifest.json").file_size > MANIFEST_MAX:
                raise self._refused("its manifest is too large")
            told = json.loads(self._zip.read("manifest.json"))
            if told["format"] != FORMAT:
                raise self._refused(f"format {told['format']!r}; this reads {FORMAT}")
            bounds = {int(p): (int(low), int(high)) for p, (low, high) in told["bounds"].items()}
            names, made_ms = [str(told[name]) for name in ("topic", "cluster_id", "topic_id")], told["made_ms"]
            if type(made_ms) is not int or not 0 <= made_ms < MADE_MAX_MS:
                raise ValueError("made_ms is no time")
            if not all(name.isprintable() and len(name) < NAME_MAX for name in names):
                raise ValueError("a name that can't be shown")
            return Manifest(names[0], names[1], names[2], made_ms, bounds)
        except (
            KeyError,
            TypeError,
            ValueError,
            OverflowError,
            AttributeError,
            RecursionError,
            zipfile.BadZipFile,
        ) as error:
            raise self._refused(f"its manifest can't be read: {error}") from error

    def items(self, partition: int) -> Iterator[Item]:
        """Its records, in the order they are in."""
        head, unpack, make = _RECORD.size, _RECORD.unpack_from, partial(tuple.__new__, Item)
        with self._open(f"{partition}/records") as file:
            data, at, length = b"", 0, 0
            while True:
                while length - at >= head:
                    offset, ts_type, ts_ms, key_size, value_size = unpack(data, at)
                    middle = at + head + key_size
                    end = middle + value_size
                    if end > length:  # not whole, or without a key or a value
                        break
                    yield make((offset, ts_type, ts_ms, data[at + head : middle], data[middle:end]))
                    at = end
                data, at = data[at:], 0
                item, at, data = self._next(partition, data, file)
                length = len(data)
                if item is None:
                    return
                yield item

    def _next(self, partition: int, data: bytes, file: IO[bytes]) -> tuple[Item | None, int, bytes]:
        """The record that data begins with, where the next one begins, and the data with what had to be read for it."""
        if len(data) < _RECORD.size:
            data += file.read(_CHUNK)
            if not data:
                return None, 0, data
        if len(data) < _RECORD.size:
            raise self._refused(f"{partition}/records ends in the middle of a record")
        offset, ts_type, ts_ms, key_size, value_size = _RECORD.unpack_from(data)
        sizes = [0 if size == NOTHING else size for size in (key_size, value_size)]
        if max(sizes) > VALUE_MAX:
            raise self._refused(f"{partition}/records: offset {offset} has {max(sizes)} bytes; {VALUE_MAX} is the most")
        middle, end = _RECORD.size + sizes[0], _RECORD.size + sum(sizes)
        if len(data) < end:
            data += file.read(max(_CHUNK, end))
        if len(data) < end:
            raise self._refused(f"{partition}/records ends in the middle of a record")
        key = None if key_size == NOTHING else data[_RECORD.size : middle]
        return Item(offset, ts_type, ts_ms, key, None if value_size == NOTHING else data[middle:end]), end, data

    def entries(self, partition: int) -> Iterator[bytes] | None:
        """What was sealed; None: it isn't in the bundle."""
        name = f"{partition}/entries"
        return self._framed(name, _U16, 1 << 16) if name in self._zip.namelist() else None

    def notes(self, partition: int) -> list[Published]:
        """The checkpoints."""
        name = f"{partition}/notes"
        if name not in self._zip.namelist():
            return []
        return [
            Published(f"{name}#{number}", data) for number, data in enumerate(self._framed(name, _U32, NOTE_MAX), 1)
        ]

    def _framed(self, name: str, length: struct.Struct, most: int) -> Iterator[bytes]:
        head, unpack = length.size, length.unpack_from
        with self._open(name) as file:
            data, at = b"", 0
            while True:
                whole = len(data)
                while whole - at >= head:
                    size = unpack(data, at)[0]
                    if size > most:
                        raise self._refused(f"{name} has a part of more than {most} bytes")
                    end = at + head + size
                    if end > whole:
                        break
                    yield data[at + head : end]
                    at = end
                more = file.read(_CHUNK)
                if not more:
                    if at < whole:
                        raise self._refused(f"{name} ends in the middle")
                    return
                data, at = data[at:] + more, 0

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self._zip.open(name)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise self._refused(f"{name}: {error}") from error
