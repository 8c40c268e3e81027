"""The tamper corpus: each fault gives one finding of the right class at the right place, and the clean log none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.layout import Item, record_hash
from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import FAULTS, tamper
from streams.audit.verify.findings import Finding
from tests.support.audit import KEYS, KNOWN_TYPES, SEALER, TOPIC, a_log

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


def test_how_long_the_tail_waits_for_a_seal_is_told_with_tiles_and_without() -> None:
    """Since the first record that no checkpoint covers: of the whole log, and of one whose last two checkpoints are not there."""
    for log, first in ((LOG, SEALED), (LOG.but(notes=LOG.notes[:1], entries=(LOG.entries or ())[:12]), 12)):
        for entries in (log.entries, None):
            result = log.but(entries=entries).verify(KEYS, None, KNOWN_TYPES)
            assert result.unsealed_since_ms == LOG.items[first].ts_ms and result.unsealed == len(LOG.items) - first


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


def made(fault: str, offset: int = TICK, key: Ed25519PrivateKey = SEALER) -> Callable[[Copy], Copy]:
    """As `icn audit tamper` makes it."""
    return lambda log: tamper(log, fault, offset, key)


def foreign(log: Copy) -> Copy:
    return log.but(items=(*log.items, Item(LAST + 1, 1, log.items[-1].ts_ms, None, b"hello")))


THIEF = Ed25519PrivateKey.from_private_bytes(bytes(32))


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
    ("a bit flipped", made("flip"), "CORRUPT", at(TICK)),
    ("a record deleted", made("delete"), "MISSING", at(TICK + 2)),
    ("two deleted, of two runs", lambda log: made("delete", TICK + 1)(made("delete")(log)), "MISSING", "*"),
    ("a run's last record deleted", made("delete", 19), "MISSING", at(20)),
    ("the tail cut off", made("cut", LAST - 3), "TRUNCATED", at(LAST - 3)),
    ("records, tree and checkpoints cut back", made("cut-all", 15), "TRUNCATED", at(14)),
    ("two swapped", made("swap"), "REORDERED", at(TICK + 2)),
    ("something that is no record put in", made("insert"), "UNDECIDABLE", at(TICK)),
    ("something that is no record behind the end", foreign, "UNDECIDABLE", at(LAST + 1)),
    ("the broker's time changed", made("time"), "ALTERED", at(TICK)),
    ("one changed, the chain recomputed", made("chain"), "ALTERED", at(TICK)),
    ("the tree recomputed too", made("tree"), "ALTERED", "note#2"),
    ("and signed with another key", made("sign", key=THIEF), "CORRUPT", "*"),
    ("and signed with the stolen key", made("sign"), "FORKED", "anchor"),
    ("a second history signed", made("fork"), "FORKED", "note#3"),
    ("a checkpoint dropped", made("drop-checkpoint"), "MISSING", "*"),
    ("an old checkpoint said again", made("replay-checkpoint"), "REORDERED", "note#4"),
    ("a checkpoint damaged", made("flip-checkpoint"), "CORRUPT", "note#3"),
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


def test_what_is_sent_twice_is_told_and_is_no_reproach() -> None:
    """As after a crash: the same bytes again. Counted once."""
    result = made("duplicate")(LOG).verify(KEYS, ANCHOR, KNOWN_TYPES)

    assert [(f.kind, f.where, f.is_notice) for f in result.findings] == [("DUPLICATE", at(TICK + 1), True)]
    assert (result.records, result.duplicates) == (len(LOG.items), 1)


def pruned_log() -> Copy:
    """The first seven records are gone."""
    return LOG.but(manifest=replace(LOG.manifest, bounds={0: (7, LAST + 1)}), items=LOG.items[7:])


def test_what_retention_took_is_told_and_is_no_reproach() -> None:
    """With the tiles the roots still hold, without them nobody can say."""
    pruned = pruned_log()

    assert [(f.kind, f.where, f.count) for f in pruned.verify(KEYS, ANCHOR, KNOWN_TYPES).findings] == [
        ("PRUNED", at(7), 7)
    ]
    assert [f.kind for f in found(pruned.but(entries=None))] == ["UNDECIDABLE"]


def test_every_fault_that_icn_audit_tamper_makes_is_in_the_corpus_and_found_in_its_class() -> None:
    """Its own word for what must be found."""
    for name, fault in FAULTS.items():
        log = tamper(LOG, name, TICK if not name.startswith("cut") else 15, THIEF if name == "sign" else SEALER)
        kinds = {f.kind for f in log.verify(KEYS, None if name == "sign" else ANCHOR, KNOWN_TYPES).findings} - {
            "UNANCHORED"
        }
        assert kinds == {fault.found}, (name, kinds)


def test_a_seq_of_2_to_the_62_costs_nothing() -> None:
    """Whoever can write records can write any number there."""

    def huge(item: Item) -> Item:
        if item.offset != TICK:
            return item
        assert item.value is not None and item.key is not None
        value = item.value[:-72] + (1 << 62).to_bytes(8, "big") + item.value[-64:]
        return item._replace(value=value[:-32] + record_hash(TOPIC, item.key, value))

    findings = found(a_log(change=huge), None)
    assert {f.kind for f in findings} <= {"MISSING", "REORDERED", "FORKED", "ALTERED"} and findings
