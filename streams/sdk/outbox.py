"""What a node has to say and has no receipt for yet: survives the node's death. SQLite, one file a node, fsynced per batch."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.errors import OutboxError


class Entry(NamedTuple):
    """One artifact under way. `receipts_from`: offset in the node's receipts partition before it was first sent."""

    artifact_id: str
    record: bytes
    receipts_from: int


class Outbox:
    """One process at a time. Raises OutboxError."""

    def __init__(self, folder: Path, node_id: str) -> None:
        self.path = folder / f"{node_id}.db"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / f"{node_id}.lock").open("w")
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise OutboxError(
                    f'another process is node "{node_id}" here ({self.path})',
                    "one process per node and machine; give the other one its own node id",
                ) from None
            self._db = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
            self._db.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                "CREATE TABLE IF NOT EXISTS entries "
                "(artifact_id TEXT PRIMARY KEY, record BLOB NOT NULL, receipts_from INTEGER NOT NULL) WITHOUT ROWID;"
            )
            self._db.execute("PRAGMA quick_check").fetchall()
        except sqlite3.DatabaseError as error:
            hint = "is the disk full, the folder writable?"
            if "malformed" in str(error) or "not a database" in str(error):
                hint = "it is damaged: put it aside; what it held and had no decision for is to be submitted again"
            raise OutboxError(f"outbox {self.path}: {error}", hint) from error
        except OSError as error:
            raise OutboxError(f"outbox {self.path}: {error}", "is the disk full, the folder writable?") from error

    def add(self, entries: Iterable[Entry]) -> None:
        """Durable when it returns."""
        self._write("INSERT OR REPLACE INTO entries VALUES (?, ?, ?)", [tuple(entry) for entry in entries])

    def remove(self, artifact_ids: Iterable[str]) -> None:
        """They have their receipt."""
        self._write("DELETE FROM entries WHERE artifact_id = ?", [(artifact_id,) for artifact_id in artifact_ids])

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        try:
            self._db.execute("BEGIN")
            self._db.executemany(statement, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise OutboxError(
                f"outbox {self.path}: {error}", "is the disk full? nothing was sent that is not in it"
            ) from error

    def count(self) -> int:
        """How many are under way."""
        return int(self._db.execute("SELECT count(*) FROM entries").fetchone()[0])

    def entries(self) -> list[Entry]:
        """All that is under way, in the order of ids (UUIDv7: of time)."""
        return [
            Entry(*row)
            for row in self._db.execute("SELECT artifact_id, record, receipts_from FROM entries ORDER BY artifact_id")
        ]

    def close(self) -> None:
        """Let another process be this node."""
        self._db.close()
        self._lock.close()
