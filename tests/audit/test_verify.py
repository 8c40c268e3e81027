"""The tamper corpus: each fault gives one finding of the right class at the right place, and the clean log none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.copy import Copy
from streams.audit.findings import Finding
from streams.audit.layout import record_hash
from streams.audit.verify import Item
from tests.support.audit import KEYS, KNOWN_TYPES, ORIGIN, TOPIC, a_log, as_entry, rechained, renumbered, signed

LOG = a_log()
ANCHOR = LOG.notes[1]  # what the auditor accepted last time
TICK = 13  # of worker a, behind the first checkpoint, in the middle of its run
LAST = len(LOG.items) - 1
SEALED = len(LOG.entries or ())


def found(log: Copy, anchor: bytes | None = ANCHOR) -> list[Finding]:
    """All but notices."""
    return [finding for finding in log.verify(KEYS, anchor, KNOWN_TYPES).findings if not finding.is_notice]


def at(offset: int | str) -> str:
    return f"{TOPIC}/0/{offset}"


def flipped(item: Item, byte: int, bit: int = 0) -> Item:
    """One bit of its value."""
    assert item.value is not None
    return item._replace(value=item.value[:byte] + bytes([item.value[byte] ^ 1 << bit]) + item.value[byte + 1 :])


def with_item(log: Copy, number: int, item: Item) -> Copy:
    return log.but(items=(*log.items[:number], item, *log.items[number + 1 :]))


def test_the_clean_log_has_no_finding() -> None:
    """With what was sealed at hand and without, with the auditor's last note and without."""
    for log in (LOG, LOG.but(entries=None)):
        for anchor in (ANCHOR, LOG.notes[-1]):
            result = log.verify(KEYS, anchor, KNOWN_TYPES)
            assert (result.findings, result.records, result.runs, result.checkpoints) == ([], len(LOG.items), 4, 3)
            assert (result.sealed, result.unsealed) == (SEALED, 1), (
                "the sealer's last record comes behind its checkpoint"
            )
    assert [f.kind for f in LOG.verify(KEYS, None, KNOWN_TYPES).findings] == ["UNANCHORED"]


@pytest.mark.parametrize("entries", [True, False], ids=["tiles at hand", "records only"])
def test_every_flipped_byte_of_every_record_is_found_where_it_is(entries: bool) -> None:
    """One bit of each byte of value and key: CORRUPT, there, and nothing else."""
    log, flips = LOG if entries else LOG.but(entries=None), 0
    for number, item in enumerate(log.items):
        assert item.value is not None and item.key is not None
        for byte in range(len(item.value)):
            assert [(f.kind, f.where) for f in found(with_item(log, number, flipped(item, byte, byte % 8)))] == [
                ("CORRUPT", at(number))
            ]
            flips += 1
        for byte in range(len(item.key)):
            key = item.key[:byte] + bytes([item.key[byte] ^ 1]) + item.key[byte + 1 :]
            assert [(f.kind, f.where) for f in found(with_item(log, number, item._replace(key=key)))] == [
                ("CORRUPT", at(number))
            ]
            flips += 1
    print(f"\n{flips} flips found")


def without(number: int, count: int = 1) -> Callable[[Copy], Copy]:
    return lambda log: log.but(items=log.items[:number] + log.items[number + count :])


def swapped(log: Copy) -> Copy:
    one, other = log.items[TICK], log.items[TICK + 2]  # of the same run
    items = list(log.items)
    items[TICK], items[TICK + 2] = other, one
    return log.but(items=renumbered(items))


def copied(log: Copy) -> Copy:
    return log.but(items=renumbered((*log.items[: TICK + 1], log.items[TICK], *log.items[TICK + 1 :])))


def foreign(log: Copy) -> Copy:
    return log.but(items=(*log.items, Item(LAST + 1, 1, log.items[-1].ts_ms, None, b"hello")))


def poison(value: bytes) -> bytes:
    """artifact_count 3 becomes 63, in place."""
    at_ = value.index(b"\x02\x80\x89\x7a\x06")
    return value[: at_ + 4] + b"\x7e" + value[at_ + 5 :]


def rewritten(log: Copy) -> Copy:
    return log.but(items=rechained(log.items, TICK, poison))


def tree_too(log: Copy) -> Copy:
    log = rewritten(log)
    return log.but(entries=tuple(as_entry(TOPIC, item) for item in log.items[:SEALED]))


def all_signed(log: Copy, key: Ed25519PrivateKey) -> Copy:
    """The tree recomputed and every checkpoint signed anew."""
    log = tree_too(log)
    assert log.entries is not None
    return log.but(notes=tuple(signed(ORIGIN, log.entries[:size], key) for size in SIZES))


SIZES = [int(note.split(b"\n")[1]) for note in LOG.notes]
THIEF = Ed25519PrivateKey.from_private_bytes(bytes(32))


def resealed_without_key(log: Copy) -> Copy:
    return all_signed(log, THIEF)


def key_stolen(log: Copy) -> Copy:
    from tests.support.audit import SEALER

    return all_signed(log, SEALER)


def one_note_forked(log: Copy) -> Copy:
    """The thief of the key shows another history for one size."""
    other = tree_too(log)
    assert other.entries is not None
    return log.but(notes=(log.notes[0], signed(ORIGIN, other.entries[: SIZES[1]]), *log.notes[1:]))


def time_changed(log: Copy) -> Copy:
    return with_item(log, TICK, log.items[TICK]._replace(ts_ms=log.items[TICK].ts_ms + 1))


def unknown_type(log: Copy) -> Copy:
    """A type of tomorrow, written, chained and sealed as everything else is: 63 in place of the type's number."""

    def of_tomorrow(item: Item) -> Item:
        if item.offset != TICK:
            return item
        assert item.value is not None and item.key is not None
        value = item.value[:6] + b"\x7e" + item.value[7:]
        return item._replace(value=value[:-32] + record_hash(TOPIC, item.key, value))

    return a_log(change=of_tomorrow)


CORPUS: list[tuple[str, Callable[[Copy], Copy], str, str]] = [
    ("a record deleted", without(TICK), "MISSING", at(TICK + 2)),
    ("three deleted in a row, of two runs", without(TICK, 2), "MISSING", "*"),
    ("the tail cut off", lambda log: log.but(items=log.items[:-4]), "TRUNCATED", at(LAST - 3)),
    (
        "records, tree and checkpoints cut back",
        lambda log: log.but(items=log.items[:8], entries=(), notes=()),
        "TRUNCATED",
        at(7),
    ),
    ("two swapped", swapped, "REORDERED", at(TICK + 2)),
    ("one that is no record", foreign, "UNDECIDABLE", at(LAST + 1)),
    ("one changed, the chain recomputed", rewritten, "ALTERED", "*"),
    ("the tree recomputed too", tree_too, "ALTERED", "*"),
    ("and signed with another key", resealed_without_key, "CORRUPT", "*"),
    ("and signed with the stolen key", key_stolen, "FORKED", "anchor"),
    ("a second history shown", one_note_forked, "FORKED", "note#2"),
    ("the broker's time changed", time_changed, "ALTERED", at(TICK)),
    ("a checkpoint dropped", lambda log: log.but(notes=(log.notes[0], log.notes[2])), "MISSING", "*"),
    ("an old checkpoint said again", lambda log: log.but(notes=(*log.notes, log.notes[0])), "REORDERED", "note#4"),
    (
        "a checkpoint with a byte behind it",
        lambda log: log.but(notes=(*log.notes[:2], log.notes[2] + b"x")),
        "CORRUPT",
        "note#3",
    ),
    ("a type of tomorrow", unknown_type, "UNKNOWN_TYPE", at(TICK)),
]


FIRST_AUDITS = ("and signed with another key", "a type of tomorrow")


@pytest.mark.parametrize(("what", "fault", "kind", "where"), CORPUS, ids=[row[0] for row in CORPUS])
def test_each_fault_is_found_in_its_class_where_it_is(
    what: str, fault: Callable[[Copy], Copy], kind: str, where: str
) -> None:
    """One class of finding; the first one at its place. With the auditor's last note, where that isn't a second witness of the same."""
    log = fault(LOG)
    findings = found(log, None if what in FIRST_AUDITS else ANCHOR)

    assert {f.kind for f in findings} == {kind}, findings
    assert where == "*" or findings[0].where == where, findings
