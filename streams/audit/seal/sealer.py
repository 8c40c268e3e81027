"""Seals the audit log: tails each partition, keeps its tree in tiles, publishes a signed checkpoint every minute, also when nothing came.

Its key is its own. It never signs what is not an append to what it signed last: that is proven from the tiles before each signature.
"""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.files import write_whole
from streams.audit.layout import ENTRY, entry
from streams.audit.place import Place, log_folder
from streams.audit.seal.tiles import TileError, Tiles, TileWriter
from streams.audit.verify.merkle import EMPTY_ROOT, ProofError, consistency_proof, verify_consistency
from streams.audit.verify.note import (
    Checkpoint,
    Note,
    NoteError,
    log_key,
    parse_checkpoint,
    parse_note,
    sign,
    verify,
)
from streams.errors import AuditError, BrokerError
from streams.settings import Settings

log = logging.getLogger("icn.sealer")

SEAL_EVERY_S, SEAL_EVERY_RECORDS = 60.0, 10_000
CHUNK, WAIT_S = 10_000, 0.5


class PartitionSealer:
    """One partition's tree, and what was signed of it last."""

    def __init__(self, folder: Path, origin: str, key: Ed25519PrivateKey) -> None:
        self.folder, self.origin, self.key = folder, origin, key
        self.last = self._last_signed()
        self.writer = TileWriter(folder, self.last.size)
        self.next_offset = self._next_offset()

    def _last_signed(self) -> Checkpoint:
        path = self.folder / "checkpoint"
        if not path.exists():
            return Checkpoint(self.origin, 0, EMPTY_ROOT)
        try:
            note = parse_note(path.read_bytes())
            verify(note, log_key(self.origin, self.key))
            last = parse_checkpoint(note.text)
            if Tiles(self.folder, last.size).root_of(0, last.size) != last.root:
                raise TileError("the tiles don't lead to the root that was signed")
        except (NoteError, TileError) as error:
            raise AuditError(
                f"{path}: {error}",
                "the sealer doesn't go on from files that were changed; restore them, or begin a new log",
            ) from error
        return last

    def _next_offset(self) -> int | None:
        """Where sealing goes on; None: nothing was sealed yet."""
        if not self.last.size:
            return None
        newest = Tiles(self.folder, self.last.size).entries((self.last.size - 1) // 256)[-1]
        return int(ENTRY.unpack(newest)[2]) + 1

    def add(self, entries: Sequence[bytes]) -> None:
        """Records, in offset order."""
        self.writer.extend(entries)
        self.next_offset = int(ENTRY.unpack(entries[-1])[2]) + 1

    @property
    def waiting(self) -> int:
        """Entries that no checkpoint covers yet."""
        return self.writer.size - self.last.size

    def sign(self) -> Note:
        """A checkpoint of all that was added, proven to extend the last one. Raises AuditError where it doesn't."""
        self.writer.flush()
        tiles = Tiles(self.folder, self.writer.size)
        new = Checkpoint(self.origin, tiles.size, tiles.root_of(0, tiles.size))
        try:
            proof = consistency_proof(tiles.root_of, self.last.size, new.size)
            verify_consistency(self.last.size, new.size, proof, self.last.root, new.root)
        except (ProofError, TileError) as error:
            raise AuditError(
                f"{self.origin}: not signed, {error}", "the tiles were changed; icn audit verify"
            ) from error
        return Note(new.text, (sign(new.text, self.origin, self.key),))

    def published(self, note: Note) -> None:
        """It is on the topic: the next one extends it."""
        write_whole(self.folder / "checkpoint", str(note).encode())
        self.last = parse_checkpoint(note.text)


class Sealer:
    """All partitions of the audit log. `said` is told of each published checkpoint."""

    def __init__(
        self,
        settings: Settings,
        place: Place,
        checkpoints: str,
        key: Ed25519PrivateKey,
        said: Callable[[Mapping[str, Any]], None],
        every_s: float = SEAL_EVERY_S,
        every_records: int = SEAL_EVERY_RECORDS,
    ) -> None:
        from confluent_kafka import Consumer, Producer

        self.place, self.checkpoints, self.said = place, checkpoints, said
        self.every_s, self.every_records = every_s, every_records
        self.partitions = {
            number: PartitionSealer(log_folder(settings, place, number), place.origin(number), key)
            for number in range(place.partitions)
        }
        self.sealed_at = dict.fromkeys(self.partitions, 0.0)
        self.consumer = Consumer(settings.librdkafka_reader(**{"check.crcs": True, "group.id": "icn-sealer"}))
        self.producer = Producer(settings.librdkafka_producer())

    def begin(self) -> None:
        """Go on where the last checkpoints end. Raises AuditError where retention took what was not sealed."""
        from confluent_kafka import TopicPartition

        from streams.broker.topics import watermarks

        starts = []
        for number, partition in self.partitions.items():
            low, _ = watermarks(self.consumer, self.place.topic, number)
            start = low if partition.next_offset is None else partition.next_offset
            if start < low:
                log.error(
                    "%s/%d: %d..%d were deleted before they were sealed", self.place.topic, number, start, low - 1
                )
            starts.append(TopicPartition(self.place.topic, number, max(low, start)))
        self.consumer.assign(starts)

    def step(self) -> None:
        """Read what is there, and seal what is due."""
        for message in self.consumer.consume(CHUNK, WAIT_S):
            if message.error() is not None:
                if not message.error().retriable() and message.error().name() != "_PARTITION_EOF":
                    raise BrokerError(f"{self.place.topic}: {message.error().str()}", "icn broker status")
                continue
            ts_type, ts_ms = message.timestamp()
            self.partitions[message.partition()].add(
                [
                    entry(
                        self.place.topic,
                        message.partition(),
                        message.offset(),
                        ts_type,
                        ts_ms,
                        message.key(),
                        message.value(),
                    )
                ]
            )
        now = time.monotonic()
        for number, partition in self.partitions.items():
            if now - self.sealed_at[number] >= self.every_s or partition.waiting >= self.every_records:
                self.seal(number)

    def seal(self, number: int) -> None:
        """Sign, publish, remember: in this order, so that a crash in between repeats what it did."""
        partition = self.partitions[number]
        note = partition.sign()
        text = str(note).encode()
        failed: list[str] = []
        self.producer.produce(
            self.checkpoints,
            text,
            partition.origin.encode(),
            on_delivery=lambda e, _: failed.append(e.str()) if e else None,
        )
        if self.producer.flush(30) or failed:
            log.warning(
                "checkpoint of %d not published: %s; tried again", number, failed or "the broker does not answer"
            )
            return
        partition.published(note)
        self.sealed_at[number] = time.monotonic()
        sealed = parse_checkpoint(note.text)
        self.said({**sealed._asdict(), "note_sha256": hashlib.sha256(text).digest()})

    def finish(self) -> None:
        """Seal what is there, at the end; nobody is told, since that would be one record more, on a log that is closed by now."""
        self.said = lambda _: None
        self.every_s = math.inf  # once, when all of it is there
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            before = {n: p.writer.size for n, p in self.partitions.items()}
            self.step()
            if before == {n: p.writer.size for n, p in self.partitions.items()}:
                break
        for number in self.partitions:
            self.seal(number)

    def close(self) -> None:
        """Let go of the broker."""
        self.consumer.close()
