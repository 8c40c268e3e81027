"""A stage's rows of one partition: RocksDB here, a compacted changelog on the broker.

One database holds all tables of a stage's partition (a prefix byte each) and the marker, so one write moves them together.

    table prefix + key          -> the row's bytes
    0x00 "marker"               -> JSON {applied: {source: offset}, sequence: n, layout}; also the last record of each changelog transaction
    0x00 "local"                -> JSON {topic_id, next, written_ms}; only here: how much of the changelog these rows hold
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from streams.broker.topics import WAIT_S, watermarks
from streams.errors import Fatal
from streams.runtime.stage import Row, Table

MARKER = b"\x00marker"
LOCAL = b"\x00local"
RESTORE_CHUNK = 20_000


@dataclass
class Marker:
    """How far the rows are: the last applied offset of each source, and the number of the last batch; and what bytes they are."""

    applied: dict[str, int] = field(default_factory=dict)
    sequence: int = -1
    layout: str = ""

    def pack(self) -> bytes:
        """JSON, keys sorted."""
        return json.dumps(
            {"applied": self.applied, "sequence": self.sequence, "layout": self.layout}, sort_keys=True
        ).encode()

    @classmethod
    def unpack(cls, data: bytes | None) -> Marker:
        """The marker of an empty store where there is none."""
        return cls(**json.loads(data)) if data else cls()


class Store:
    """The rows of one (stage, partition). One thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = Rdict(str(path), options=_options(), access_type=AccessType.read_write())
        self.marker = Marker.unpack(self.db.get(MARKER))
        self._swept_to = b""

    def get_many(self, table: Table[Row], keys: Sequence[bytes]) -> list[Row | None]:
        """One row a key, in order; None where there is none."""
        prefix, unpack = table.prefix, table.unpack
        found = self.db.get([prefix + key for key in keys]) if keys else ()
        return [None if value is None else unpack(value) for value in found]

    def scan(self, table: Table[Row]) -> dict[bytes, Row]:
        """All rows of a table, by key in order."""
        found: dict[bytes, Row] = {}
        rows = self.db.iter()
        rows.seek(table.prefix)
        while rows.valid() and (key := rows.key())[:1] == table.prefix:
            found[key[1:]] = table.unpack(rows.value())
            rows.next()
        return found

    def old_keys(self, tables: Sequence[Table[Any]], before_ms: int, look_at: int) -> tuple[list[bytes], bool]:
        """Prefixed keys of rows whose horizon began before this event time, among the next `look_at` rows; and whether these were the
        last ones. Then it starts again."""
        since = {table.prefix[0]: table.since_ms for table in tables if table.since_ms is not None}
        found: list[bytes] = []
        rows = self.db.iter()
        rows.seek(self._swept_to)
        for _ in range(look_at):
            if not rows.valid():
                self._swept_to = b""
                return found, True
            key = rows.key()
            since_ms = since.get(key[0])
            if since_ms is not None and since_ms(rows.value()) < before_ms:
                found.append(key)
            rows.next()
            self._swept_to = key + b"\0"
        return found, False

    def write(self, batch: WriteBatch, marker: Marker, topic_id: str, next_offset: int) -> None:
        """Rows, marker and place in the changelog, in one atomic write."""
        batch.put(MARKER, marker.pack())
        about = {"topic_id": topic_id, "next": next_offset, "written_ms": time.time_ns() // 1_000_000}
        batch.put(LOCAL, json.dumps(about).encode())
        self.db.write(batch, _NO_LOG)
        self.marker = marker

    @property
    def local(self) -> dict[str, Any]:
        """topic_id, next, written_ms; empty for a new store."""
        data = self.db.get(LOCAL)
        return json.loads(data) if data else {}

    def close(self) -> None:
        """Flush and unlock."""
        self.db.close()


# No write-ahead log: the changelog is one. What a crash takes from memory is whole writes from some point on, LOCAL among them, so
# the store is as it was a little earlier and says so; restore reads on from there.
_NO_LOG = WriteOptions()
_NO_LOG.disable_wal = True


def new_batch() -> WriteBatch:
    """An empty one for `write`; keys with their table's prefix."""
    return WriteBatch(raw_mode=True)


def _options() -> Options:
    """Small and bounded: a worker has one of these per partition."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(8 << 20)
    options.set_max_write_buffer_number(2)
    options.set_max_open_files(256)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(2)
    table = BlockBasedOptions()
    table.set_block_cache(Cache(16 << 20))
    table.set_bloom_filter(10, False)  # most look-ups are for contents never seen: answer them without a read
    table.set_cache_index_and_filter_blocks(True)
    options.set_block_based_table_factory(table)
    return options


def open_store(path: Path, topic_id: str, stale_after_ms: int) -> Store:
    """The local store, or an empty one where the local one can't be trusted.

    It can't when it belongs to another changelog (the topic was re-created), or slept so long that tombstones it never saw may be gone.
    """
    store = Store(path)
    local = store.local
    if local and (local["topic_id"] != topic_id or time.time_ns() // 1_000_000 - local["written_ms"] > stale_after_ms):
        store.close()
        wipe(path)
        store = Store(path)
    return store


def wipe(path: Path) -> None:
    """Remove a store's folder."""
    shutil.rmtree(path, ignore_errors=True)


def restore(
    store: Store, consumer: Consumer, topic: str, topic_id: str, partition: int, cancelled: Callable[[], bool]
) -> int | None:
    """Bring a store up to the end of its changelog. Returns the rows applied, None if cancelled.

    To be called behind the fence (init_transactions of the partition's producer): no older owner can add to the changelog any more,
    so its end, as a reader of committed records sees it, is the truth. Rows are last-writer-wins: applying one twice changes nothing.
    """
    try:
        at = TopicPartition(topic, partition)
        low, high = watermarks(consumer, topic, partition)
        start = store.local.get("next", OFFSET_BEGINNING)
        if start > high:
            raise Fatal(
                f"{topic}/{partition} ends at {high}, but {store.path} has read it to {start}: the log was cut. "
                "Remove the folder to restore what is left"
            )
        if high in (low, start):
            return 0
        at.offset = max(start, low) if start >= 0 else start
        consumer.assign([at])
        applied, position = 0, 0
        chunk = new_batch()
        marker = store.marker
        while position < high:
            if cancelled():
                return None
            for message in consumer.consume(RESTORE_CHUNK, WAIT_S):
                error = message.error()
                if error is None:
                    key = message.key()
                    position = message.offset() + 1
                    if key == MARKER:
                        marker = Marker.unpack(message.value())
                    elif (value := message.value()) is None:
                        chunk.delete(key)
                    else:
                        chunk.put(key, value)
                elif error.code() == KafkaError._PARTITION_EOF:
                    position = message.offset()  # behind the last transaction's control record
                elif not error.retriable():
                    raise Fatal(f"restoring {topic}/{partition}: {error.str()}")
            if len(chunk) >= RESTORE_CHUNK or position >= high:
                # the marker belongs to the rows before it; a crash in here is repaired by reading on from `next`
                applied += len(chunk)  # before the write, which consumes it
                store.write(chunk, marker, topic_id, position)
                chunk = new_batch()
        return applied
    finally:
        consumer.unassign()
