"""A partition's rows on disk, without a broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streams.runtime.stage import MemoryRows, Table
from streams.runtime.store import Marker, Store, new_batch, open_store

BATCHES, ROWS = 400, 1000


def fill(path: Path) -> Store:
    """Batches of rows; more than stays in memory."""
    store = Store(path)
    for number in range(BATCHES):
        batch = new_batch()
        for row in range(ROWS):
            batch.put(b"\x01%d-%d" % (number, row), b"%060d" % number)
        store.write(batch, Marker({"artifacts.admitted": number}, number), "topic", number + 1)
    return store


def test_a_killed_store_is_as_it_was_a_little_earlier(tmp_path: Path) -> None:
    """There is no write-ahead log. What is lost are whole writes from some point on; marker and place in the changelog say from where."""
    # the store is still open when its process is gone: no flush, no close
    code = "import os, pathlib, sys; from tests.runtime.test_store import fill; s = fill(pathlib.Path(sys.argv[1])); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "store")], check=False).returncode == 9

    store = Store(tmp_path / "store")
    last = store.marker.sequence

    assert 0 < last < BATCHES - 1, "something was written, something was lost"
    assert store.local["next"] == last + 1 and store.marker.applied == {"artifacts.admitted": last}
    for number in range(BATCHES):
        found = store.db.get([b"\x01%d-%d" % (number, row) for row in range(ROWS)])
        assert all((row is not None) == (number <= last) for row in found), f"batch {number} of {last}"


def test_old_rows_are_found_a_few_at_a_time_and_rows_of_other_tables_are_not(tmp_path: Path) -> None:
    """Ten rows of a table with a horizon, whose values are their times; two of one without."""
    aging = Table("aging", b"\x01", str.encode, bytes.decode, since_ms=int)
    lasting = Table("lasting", b"\x02", str.encode, bytes.decode)
    store = Store(tmp_path / "store")
    batch = new_batch()
    for ms in range(10):
        batch.put(b"\x01key %d" % ms, b"%d" % ms)
    for ms in range(2):
        batch.put(b"\x02key %d" % ms, b"%d" % ms)
    store.write(batch, Marker({}, 0), "topic", 3)

    looks = [store.old_keys([aging, lasting], before_ms=6, look_at=4) for _ in range(4)]

    assert [all_seen for _, all_seen in looks] == [False, False, False, True], "fourteen rows with marker and place"
    assert [key for keys, _ in looks for key in keys] == [b"\x01key %d" % ms for ms in range(6)]


def test_a_scan_sees_one_table_in_the_order_of_its_keys(tmp_path: Path) -> None:
    """As the rows of a replay do."""
    first, second = (
        Table("first", b"\x01", str.encode, bytes.decode),
        Table("second", b"\x02", str.encode, bytes.decode),
    )
    store, memory = Store(tmp_path / "store"), MemoryRows()
    batch = new_batch()
    for key in (b"b", b"", b"a\xff", b"a"):
        batch.put(b"\x01" + key, b"row " + key.hex().encode())
        memory.apply({first: {key: "row " + key.hex()}})
    batch.put(b"\x02a", b"other")
    memory.apply({second: {b"a": "other"}})
    store.write(batch, Marker({}, 0), "topic", 3)

    assert list(store.scan(first)) == [b"", b"a", b"a\xff", b"b"]
    assert list(store.scan(first).items()) == list(memory.scan(first).items())
    assert store.scan(second) == memory.scan(second) == {b"a": "other"}


def test_a_closed_store_has_everything(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    batch = new_batch()
    batch.put(b"\x01key", b"row")
    store.write(batch, Marker({"artifacts.admitted": 7}, 0), "topic", 3)
    store.close()

    again = open_store(tmp_path / "store", "topic", stale_after_ms=60_000)

    assert again.db.get(b"\x01key") == b"row" and again.marker.applied == {"artifacts.admitted": 7}


def test_a_store_of_another_changelog_or_one_that_slept_too_long_is_emptied(tmp_path: Path) -> None:
    for topic_id, stale_after_ms in (("another topic", 60_000), ("topic", -1)):
        store = Store(tmp_path / "store")
        batch = new_batch()
        batch.put(b"\x01key", b"row")
        store.write(batch, Marker({}, 0), "topic", 3)
        store.close()

        emptied = open_store(tmp_path / "store", topic_id, stale_after_ms)

        assert emptied.db.get(b"\x01key") is None and emptied.local == {}
        emptied.close()
