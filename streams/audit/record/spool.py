"""One producer's records on disk, before Kafka has them. `append` survives a kill when it returns, a power loss within 50 ms.

A folder holds segments, `<number>-<run id>.spool`: frames of 4 bytes length and the record. Beside each, `.acked`: up to which byte Kafka
has it. What a run before left is sent again, the same bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from streams.audit.layout import HASH_BYTES, SEQ
from streams.errors import AuditError

SEGMENT_BYTES = 8 << 20
_LENGTH = struct.Struct(">I")


class Frame(NamedTuple):
    """A record, and where the next one starts."""

    value: bytes
    end: int


class Previous(NamedTuple):
    """How the run before this one ended, as far as this disk knows."""

    run_id: bytes
    last_seq: int
    last_hash: bytes


class Segment:
    """One file, of one run."""

    def __init__(self, path: Path) -> None:
        self.path, self._acked_path = path, path.with_suffix(".acked")
        number, _, run = path.stem.partition("-")
        self.number, self.run_id = int(number), bytes.fromhex(run)
        self.noted: int | None = None

    def acked(self) -> int:
        """Kafka has all before this byte."""
        try:
            return int(self._acked_path.read_text() or 0)
        except (FileNotFoundError, ValueError):
            return 0

    def ack(self, end: int) -> None:
        """Kafka has it up to here. Not synced: losing it means sending again."""
        self._acked_path.write_text(str(end))
        self.noted = end

    def frames(self, start: int, end: int | None = None) -> Iterator[Frame]:
        """Whole records from a byte on. What a power loss left of a last one is none."""
        with self.path.open("rb") as file:
            file.seek(start)
            while end is None or start < end:
                head = file.read(_LENGTH.size)
                if len(head) < _LENGTH.size:
                    return
                (length,) = _LENGTH.unpack(head)
                value = file.read(length)
                if len(value) < length or not length:
                    return
                start += _LENGTH.size + length
                yield Frame(value, start)

    def size(self) -> int:
        """Bytes; 0: it was removed, for Kafka has all of it."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def remove(self) -> None:
        """Kafka has all of it."""
        self.path.unlink(missing_ok=True)
        self._acked_path.unlink(missing_ok=True)


class Spool:
    """The folder of one producer. Raises AuditError if another process has it."""

    def __init__(self, folder: Path, run_id: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.run_id = folder, run_id
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise AuditError(f"{folder} is in use", "two processes can't write under one producer id") from None
        self.left = sorted((Segment(path) for path in folder.glob("*.spool")), key=lambda segment: segment.number)
        self.current, self._fd = self._new((self.left[-1].number if self.left else 0) + 1)
        self.written = self.synced = 0  # bytes of the current segment

    def _new(self, number: int) -> tuple[Segment, int]:
        path = self.folder / f"{number:08d}-{self.run_id.hex()}.spool"
        return Segment(path), os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def previous(self) -> Previous | None:
        """Of the run before this one; None: there was none, or nothing of it is left."""
        for segment in reversed(self.left):
            last = next(iter(deque((frame.value for frame in segment.frames(0)), maxlen=1)), None)
            if last is not None:
                return Previous(segment.run_id, int.from_bytes(last[SEQ], "big"), last[-HASH_BYTES:])
        return None

    def append(self, value: bytes) -> None:
        """Raises OSError (disk full, …); then nothing of it is kept."""
        frame = _LENGTH.pack(len(value)) + value
        try:
            done = os.write(self._fd, frame)
            if done < len(frame):
                raise OSError(28, "the disk took a part only")
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.written)
            raise
        self.written += len(frame)

    def sync(self) -> None:
        """Everything written is on disk. Raises OSError."""
        target = self.written
        if target > self.synced:
            os.fdatasync(self._fd)
            self.synced = target

    def roll(self) -> None:
        """Begin a new segment. Whoever appends must wait. Raises OSError; then the old one goes on."""
        self.sync()
        new, fd = self._new(self.current.number + 1)
        os.close(self._fd)
        self._fd = fd
        self.left.append(self.current)
        self.written = self.synced = 0
        self.current = new

    def close(self) -> None:
        """Let go of the folder."""
        with contextlib.suppress(OSError):
            self.sync()
        os.close(self._fd)
        self._lock.close()
