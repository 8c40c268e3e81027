"""Does to a copy of a log what somebody might do to the log, so that an auditor can try the judge. Never touches a topic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.layout import Item, is_record, record_hash
from streams.audit.layout import entry as entry_of
from streams.audit.tampering.copy import Copy
from streams.audit.verify.merkle import Frontier, leaf_hash
from streams.audit.verify.note import Checkpoint, Note, NoteError, parse_checkpoint, parse_note, sign
from streams.errors import AuditError


@dataclass(frozen=True)
class Fault:
    """One way to tamper. `found`: the class of finding that must follow."""

    what: str
    found: str
    make: Callable[[Copy, int, Ed25519PrivateKey], Copy]
    checkpoints_min: int = 0
    is_at_a_record: bool = True
    signs: bool = False


def entries_of(copy: Copy, items: Sequence[Item]) -> tuple[bytes, ...]:
    """What a sealer would have sealed of these."""
    topic = copy.manifest.topic
    return tuple(entry_of(topic, copy.partition, i.offset, i.ts_type, i.ts_ms, i.key, i.value) for i in items)


def signed(origin: str, entries: Sequence[bytes], key: Ed25519PrivateKey) -> bytes:
    """A checkpoint of these entries."""
    tree = Frontier()
    tree.extend([leaf_hash(one) for one in entries])
    text = Checkpoint(origin, tree.size, tree.root()).text
    return str(Note(text, (sign(text, origin, key),))).encode()


def renumbered(items: Sequence[Item]) -> tuple[Item, ...]:
    """As on a topic that was written anew: offsets without holes."""
    first = items[0].offset if items else 0
    return tuple(item._replace(offset=first + number) for number, item in enumerate(items))


def _sealed_items(copy: Copy, items: Sequence[Item]) -> tuple[Item, ...]:
    return tuple(items[: len(copy.entries or ())])


def _flip(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    item = copy.items[at]
    value = item.value or b"\0"
    middle = len(value) // 2
    return _with(copy, at, item._replace(value=value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]))


def _with(copy: Copy, at: int, item: Item) -> Copy:
    return copy.but(items=(*copy.items[:at], item, *copy.items[at + 1 :]))


def _delete(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return copy.but(items=copy.items[:at] + copy.items[at + 1 :])


def _cut(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return copy.but(items=copy.items[:at])


def _cut_all(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    """Records, tree and checkpoints: only somebody's earlier checkpoint knows better."""
    kept = tuple(note for note in copy.notes if _size(note) <= at)
    entries = None if copy.entries is None else copy.entries[: max((_size(n) for n in kept), default=0)]
    return copy.but(items=copy.items[:at], entries=entries, notes=kept)


def _size(note: bytes) -> int:
    try:
        return parse_checkpoint(parse_note(note).text).size
    except NoteError:
        return 0


def _swap(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    run = copy.items[at].key
    other = next((n for n in range(at + 1, len(copy.items)) if copy.items[n].key == run), None)
    if other is None:
        raise AuditError(
            f"no record of the same run stands behind offset {copy.items[at].offset}", "name an earlier one"
        )
    items = list(copy.items)
    items[at], items[other] = items[other], items[at]
    return copy.but(items=renumbered(items))


def _duplicate(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return copy.but(items=renumbered((*copy.items[: at + 1], copy.items[at], *copy.items[at + 1 :])))


def _insert(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    made = copy.items[at]._replace(key=None, value=b"not an audit record")
    return copy.but(items=renumbered((*copy.items[:at], made, *copy.items[at:])))


def rewrite(copy: Copy, at: int, change: Callable[[bytes], bytes]) -> Copy:
    """What an insider does: change one value, then compute its hash and all later ones of its run anew."""
    items, key, prev = list(copy.items), copy.items[at].key, b""
    if key is None or not is_record(key, items[at].value):
        raise AuditError(f"offset {items[at].offset} is no audit record", "name another one")
    for number in range(at, len(items)):
        item = items[number]
        if item.key != key or item.value is None:
            continue
        value = change(item.value) if number == at else item.value[:-64] + prev + item.value[-32:]
        value = value[:-32] + record_hash(copy.manifest.topic, key, value)
        items[number], prev = item._replace(value=value), value[-32:]
    return copy.but(items=tuple(items))


def _other_clock(value: bytes) -> bytes:
    """A bit in the middle of the fields: the hash is made to fit."""
    middle = (len(value) - 72) // 2
    return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]


def _chain(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return rewrite(copy, at, _other_clock)


def _tree(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    copy = _chain(copy, at, key)
    return copy.but(entries=entries_of(copy, _sealed_items(copy, copy.items)))


def _sign_all(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    """Everything anew, signed with whatever key is at hand: the sealer's, if it was stolen."""
    copy = _tree(copy, at, key)
    assert copy.entries is not None
    origin = copy.manifest.origin(copy.partition)
    return copy.but(notes=tuple(signed(origin, copy.entries[: _size(note)], key) for note in copy.notes))


def _fork(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    """Another history of as many entries as the last checkpoint has."""
    size = _size(copy.notes[-1])
    other = _tree(copy, min(at, size - 1), key)
    assert other.entries is not None
    note = signed(copy.manifest.origin(copy.partition), other.entries[:size], key)
    return copy.but(notes=(*copy.notes[:-1], note, copy.notes[-1]))


def _time(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return _with(copy, at, copy.items[at]._replace(ts_ms=copy.items[at].ts_ms + 1))


def _drop_note(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return copy.but(notes=(*copy.notes[:-2], *copy.notes[-1:]))


def _replay_note(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    return copy.but(notes=(*copy.notes, copy.notes[0]))


def _flip_note(copy: Copy, at: int, key: Ed25519PrivateKey) -> Copy:
    note = copy.notes[-1]
    return copy.but(notes=(*copy.notes[:-1], note[: len(note) // 2] + b"#" + note[len(note) // 2 + 1 :]))


FAULTS = {
    "flip": Fault("one bit of a record is flipped", "CORRUPT", _flip),
    "delete": Fault("a record is taken out", "MISSING", _delete),
    "swap": Fault("a record and the next one of its run change places", "REORDERED", _swap),
    "duplicate": Fault("a record is there twice", "DUPLICATE", _duplicate),
    "insert": Fault("something that is no audit record is put in", "UNDECIDABLE", _insert),
    "time": Fault("the broker's time of a record is changed", "ALTERED", _time),
    "chain": Fault("a record is changed, its run's chain computed anew", "ALTERED", _chain),
    "tree": Fault("and the tree computed anew too", "ALTERED", _tree),
    "sign": Fault(
        "and every checkpoint signed anew, with the key given or any other", "CORRUPT", _sign_all, 1, signs=True
    ),
    "fork": Fault("a second history is signed, for whoever is shown it", "FORKED", _fork, 1, signs=True),
    "cut": Fault("the end is cut off", "TRUNCATED", _cut),
    "cut-all": Fault("records, tree and checkpoints are cut back to the same place", "TRUNCATED", _cut_all),
    "drop-checkpoint": Fault("a checkpoint is taken out", "MISSING", _drop_note, 2, is_at_a_record=False),
    "replay-checkpoint": Fault("an old checkpoint is said again", "REORDERED", _replay_note, 2, is_at_a_record=False),
    "flip-checkpoint": Fault("a checkpoint is damaged", "CORRUPT", _flip_note, 1, is_at_a_record=False),
}


def tamper(copy: Copy, fault: str, offset: int | None, key: Ed25519PrivateKey) -> Copy:
    """A copy with this fault at a record (default: the middle one). key: for what is signed anew. Raises AuditError."""
    if fault not in FAULTS:
        raise AuditError(f'no fault "{fault}"', f"known: {', '.join(FAULTS)}")
    if not copy.items or len(copy.notes) < FAULTS[fault].checkpoints_min:
        raise AuditError(
            f"this bundle has {len(copy.items)} records and {len(copy.notes)} checkpoints, too few for that"
        )
    at = (
        len(copy.items) // 2
        if offset is None
        else next((n for n, i in enumerate(copy.items) if i.offset == offset), None)
    )
    if at is None:
        raise AuditError(f"the bundle has no record at offset {offset}")
    return FAULTS[fault].make(copy, at, key)
