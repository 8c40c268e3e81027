"""A tree's hashes and entries as files, in the layout of C2SP tlog-tiles: static, so that any tool can read or serve them.

    tile/<level>/<number>[.p/<width>]     256 hashes, or fewer at the right edge
    tile/entries/<number>[.p/<width>]     the entries of a level-0 tile, each behind its length in two bytes
    checkpoint                            the newest signed note

A number is written in groups of three digits, all but the last behind an x: 1234067 is x001/x234/067.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from streams.audit.files import write_whole
from streams.audit.layout import HASH_BYTES
from streams.audit.verify.merkle import full_root, leaf_hash, range_root

WIDTH, WIDTH_BITS = 256, 8
_LENGTH = struct.Struct(">H")


class TileError(ValueError):
    """Files that are missing, or not what they should be."""


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """Of the tile `number` on a level, or of its entries (`level` = "entries")."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    part = "" if width == WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{part}"


def pack_entries(entries: Iterable[bytes]) -> bytes:
    """A bundle of entries."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def unpack_entries(data: bytes) -> list[bytes]:
    """Raises TileError."""
    entries, at = [], 0
    while at < len(data):
        if at + 2 > len(data) or at + 2 + _LENGTH.unpack_from(data, at)[0] > len(data):
            raise TileError("a bundle of entries ends in the middle of one")
        (length,) = _LENGTH.unpack_from(data, at)
        entries.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return entries


class Tiles:
    """Reads the files of a tree of `size` entries. Raises TileError."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        self._full = lru_cache(4096)(self._read)

    def _read(self, path: str) -> bytes:
        try:
            return (self.folder / path).read_bytes()
        except FileNotFoundError:
            raise TileError(f"{self.folder / path} is missing") from None

    def _part(self, level: int | str, number: int, there: int) -> bytes:
        """The tile, of which `there` items exist in this tree: the full one where it is there already."""
        width = min(WIDTH, there - number * WIDTH)
        if width == WIDTH or (self.folder / tile_path(level, number)).exists():
            return self._full(tile_path(level, number))
        return self._read(tile_path(level, number, width))

    def hashes(self, level: int, number: int) -> list[bytes]:
        """Of one tile, as far as this tree has it."""
        there = self.size >> WIDTH_BITS * level
        data = self._part(level, number, there)[: HASH_BYTES * min(WIDTH, there - number * WIDTH)]
        return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]

    def entries(self, number: int) -> list[bytes]:
        """Of one bundle, as far as this tree has it."""
        return unpack_entries(self._part("entries", number, self.size))[: self.size - number * WIDTH]

    def all_entries(self, start: int = 0) -> Iterator[bytes]:
        """In order, from an index on."""
        for number in range(start // WIDTH, -(-self.size // WIDTH)):
            yield from self.entries(number)[max(0, start - number * WIDTH) :]

    def subtree(self, level: int, index: int) -> bytes:
        """Root of the full subtree of 2^level leaves that begins at index · 2^level."""
        tile, height = divmod(level, WIDTH_BITS)
        first = index << height
        hashes = self.hashes(tile, first >> WIDTH_BITS)[first % WIDTH :][: 1 << height]
        if len(hashes) < 1 << height:
            raise TileError(f"tile {tile_path(tile, first >> WIDTH_BITS)} is too short")
        return full_root(hashes)

    def root_of(self, start: int, end: int) -> bytes:
        """Root of leaves [start, end)."""
        return range_root(self.subtree, start, end)


class TileWriter:
    """Appends to a tree's files. What a checkpoint covers is on disk before it is signed."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        old = Tiles(folder, size)
        self._entries = old.entries(size // WIDTH) if size % WIDTH else []
        self._edges: list[list[bytes]] = []  # by level: the hashes right of the last full tile
        for level in range(-(-size.bit_length() // WIDTH_BITS)):
            there = size >> WIDTH_BITS * level
            self._edges.append(old.hashes(level, there // WIDTH) if there % WIDTH else [])

    def extend(self, entries: Sequence[bytes]) -> None:
        """Full tiles are written at once."""
        for entry in entries:
            self._entries.append(entry)
            self._push(0, leaf_hash(entry))
            self.size += 1
            if len(self._entries) == WIDTH:
                self._write(tile_path("entries", self.size // WIDTH - 1), pack_entries(self._entries))
                self._entries = []

    def _push(self, level: int, hashed: bytes) -> None:
        if level == len(self._edges):
            self._edges.append([])
        edge = self._edges[level]
        edge.append(hashed)
        if len(edge) == WIDTH:
            number = (self.size >> WIDTH_BITS * (level + 1)) if level else self.size // WIDTH
            self._write(tile_path(level, number), b"".join(edge))
            self._edges[level] = []
            self._push(level + 1, full_root(edge))

    def flush(self) -> None:
        """Write what is not full yet, and sync."""
        if self._entries:
            self._write(tile_path("entries", self.size // WIDTH, len(self._entries)), pack_entries(self._entries))
        for level, edge in enumerate(self._edges):
            if edge:
                number = (self.size >> WIDTH_BITS * level) // WIDTH
                self._write(tile_path(level, number, len(edge)), b"".join(edge))
        os.sync()

    def _write(self, path: str, data: bytes) -> None:
        write_whole(self.folder / path, data, sync=False)  # nobody relies on it before `flush`
