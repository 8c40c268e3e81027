"""A bundle is somebody else's file: whatever is in it, the reader says one line and believes no key from it."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from streams.audit.layout import Item
from streams.audit.tampering.copy import load
from streams.audit.verify.bundle import Bundle, pack_item
from streams.errors import AuditError
from tests.support.audit import KEYS, KNOWN_TYPES, a_log

LOG = a_log()


def test_a_log_survives_the_file(tmp_path: Path) -> None:
    """Records, entries and notes, byte for byte; the same verdict."""
    LOG.write(tmp_path / "b")
    read = load(tmp_path / "b")

    assert (read.items, read.entries, read.notes, read.manifest) == (LOG.items, LOG.entries, LOG.notes, LOG.manifest)
    assert read.verify(KEYS, LOG.notes[0], KNOWN_TYPES).findings == []


def test_keys_and_values_that_are_null_or_empty_survive(tmp_path: Path) -> None:
    """No bytes and no value differ."""
    items = tuple(
        Item(n, 1, 5, key, value)
        for n, (key, value) in enumerate([(None, None), (b"", b""), (None, b""), (b"k", None)])
    )
    LOG.but(items=items).write(tmp_path / "b")

    assert load(tmp_path / "b").items == items


def zipped(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """A bundle with whatever in it."""
    manifest = json.dumps(LOG.manifest.json()).encode()
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in ({"manifest.json": manifest} | members).items():
            file.writestr(name, data)
    return path


HOSTILE: list[tuple[str, dict[str, bytes], str]] = [
    ("a path that leads outside", {"../../etc/cron.d/x": b"x"}, "other files don't belong in it"),
    ("an absolute path", {"/etc/passwd": b"x"}, "other files don't belong in it"),
    ("a key", {"keys/sealer.vkey": b"x"}, "keys and other files don't belong in it"),
    ("a key under schemas/..", {"schemas/../key": b"x"}, "other files don't belong in it"),
    ("no manifest", {"manifest.json": b"{}"}, "its manifest can't be read"),
    ("a manifest of another format", {"manifest.json": b'{"format": "icn-audit-bundle/9"}'}, "format 'icn-audit-bundle/9'"),
    ("a manifest that is nested for ever", {"manifest.json": b"[" * 100_000}, "its manifest can't be read"),
    ("a manifest of a megabyte", {"manifest.json": b" " * (1 << 21)}, "too large"),
    ("records that end in the middle", {"0/records": pack_item(LOG.items[0])[:-1]}, "ends in the middle"),
    ("half a record's head", {"0/records": b"\0" * 7}, "ends in the middle"),
    ("a record of 4 GB, as it says", {"0/records": b"\0" * 17 + b"\0\0\0\0" + b"\xff\xff\xff\xfe"}, "8388608 is the most"),
    ("a note of 4 GB, as it says", {"0/records": b"", "0/notes": b"\xff\xff\xff\xff"}, "more than 65536 bytes"),
    ("an entry that ends in the middle", {"0/records": b"", "0/entries": b"\0\5abc"}, "ends in the middle"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "members", "told"), HOSTILE, ids=[row[0] for row in HOSTILE])
def test_a_hostile_bundle_is_refused_in_one_line(
    what: str, members: dict[str, bytes], told: str, tmp_path: Path
) -> None:
    """Never a traceback, never gigabytes."""
    with pytest.raises(AuditError) as refused:
        load(zipped(tmp_path / "b", members)).verify(KEYS, None, KNOWN_TYPES)

    assert told in refused.value.args[0] and "\n" not in refused.value.args[0]


def test_what_grows_when_it_is_read_is_refused(tmp_path: Path) -> None:
    """A megabyte that would be a gigabyte; and one whose directory lies about it."""
    with pytest.raises(AuditError, match="compressed"):
        Bundle(zipped(tmp_path / "bomb", {"0/records": b"\0" * (64 << 20)}, zipfile.ZIP_DEFLATED))
    data = bytearray(zipped(tmp_path / "lie", {"0/records": b"abc"}).read_bytes())
    at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[at + 20 : at + 28] = (1 << 31).to_bytes(4, "little") * 2  # both sizes: two gigabytes
    (tmp_path / "lie").write_bytes(bytes(data))
    with pytest.raises(AuditError, match="larger than the file"):
        Bundle(tmp_path / "lie")


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    """Text, nothing, a folder, a file that isn't there, one cut in the middle."""
    whole = io.BytesIO()
    LOG.write(tmp_path / "whole")
    whole.write((tmp_path / "whole").read_bytes())
    (tmp_path / "text").write_text("hello")
    (tmp_path / "nothing").touch()
    (tmp_path / "cut").write_bytes(whole.getvalue()[:-100])
    for name in ("text", "nothing", "cut", "missing", "."):
        with pytest.raises(AuditError):
            Bundle(tmp_path / name)
