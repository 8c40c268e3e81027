"""Verifies one partition of the audit log. No Kafka, no clock, nothing but hashes; it can be read in one sitting.

Two commitments are held against each other and against the records:
- the chain: each record hangs on the one before it in its run. It knows what a run wrote, but an insider can compute it anew;
- the tree: a sealer signed what was in the partition. Nobody without its key can change that, but it begins at the broker.

Memory is flat: a run keeps its newest hashes, the tree its peaks.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from streams.audit.envelope import Unreadable, only_string, read, seal
from streams.audit.findings import Finding
from streams.audit.layout import (
    ENTRY,
    ENTRY_TAG,
    NOBODY,
    PREV,
    SEQ,
    first_link,
    foreign_hash,
    is_record,
    preimage_start,
)
from streams.audit.merkle import EMPTY_ROOT, Frontier
from streams.audit.note import Checkpoint, Key, NoteError, parse_checkpoint, parse_note, verify

REMEMBERED = 65_536  # newest hashes of a run: what is sent again after a crash is among them
AHEAD = 4_096  # sealed entries looked at to find where a record belongs
LEAVES_AT_ONCE = 1_024


BY_THE_TREE = ("ALTERED", "REORDERED")  # what the chain says of a place is more exact


class Item(NamedTuple):
    """A message as it is on the topic."""

    offset: int
    ts_type: int
    ts_ms: int
    key: bytes | None
    value: bytes | None


class Published(NamedTuple):
    """A note, and where it was found."""

    where: str
    data: bytes


class Sealed(NamedTuple):
    """An entry of the tree, read."""

    entry: bytes
    offset: int
    run: bytes
    seq: int
    hash: bytes

    @property
    def identity(self) -> bytes:
        return self.entry[25:]


def _sealed(data: bytes) -> Sealed:
    _, _, offset, _, _, run, seq, hashed = ENTRY.unpack(data)
    return Sealed(data, offset, run, int.from_bytes(seq, "big"), hashed)


class Gap(NamedTuple):
    """seqs that are not there, and the offset of the record behind them."""

    first: int
    last: int
    offset: int


@dataclass
class Run:
    """What is known of one run."""

    next_seq: int = 0
    last_hash: bytes | None = None  # None: not known, so the next link can't be judged
    last_offset: int = -1
    gaps: list[Gap] = field(default_factory=list)
    newest: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))  # of the seqs before next_seq
    first_seq: int = 0


@dataclass
class Result:
    """Of one partition."""

    topic: str
    partition: int
    records: int = 0  # counted once
    foreign: int = 0
    duplicates: int = 0
    sealed: int = 0  # entries that a checkpoint covers
    unsealed: int = 0
    unsealed_since_ms: int | None = None
    pruned: int = 0
    checkpoints: int = 0
    newest: Checkpoint | None = None
    newest_note: bytes | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    last_ms: int = 0
    runs: int = 0
    findings: list[Finding] = field(default_factory=list)


class Verifier:
    """Feed it the records in offset order, then ask for the result."""

    def __init__(
        self,
        topic: str,
        partition: int,
        origin: str,
        keys: Sequence[Key],
        notes: Iterable[Published],
        entries: Iterable[bytes] | None,
        anchor: Published | None = None,
        low: int = 0,
        types: tuple[str, ...] = (),
        visit: Callable[[Item, dict[str, object]], None] | None = None,
    ) -> None:
        """origin, keys: the log and who may sign it, from anywhere but the log itself. notes: in the order of publication. entries: what
        was sealed, of the tiles; None: they are not at hand, then the records themselves must give the signed roots. anchor: the last
        note that this auditor accepted, or a witness's. low: first offset the topic still has. types: names of the record types; None are
        decoded without. visit: is given each record that counts, decoded."""
        self.topic, self.partition, self.origin, self.keys, self.low = topic, partition, origin, keys, low
        self.types, self.visit = types, visit
        self.result = Result(topic, partition)
        self._starts: dict[bytes, bytes] = {}
        self._runs: dict[bytes, Run] = {}
        self._orphans: list[int] = []  # offsets of corrupt records that may be anybody's
        self._marked: dict[int, str] = {}  # offset -> what was found there
        self._moved: list[int] = []
        self._gone: dict[bytes, Sealed] = {}  # identity -> sealed, and not there so far
        self._previous: list[tuple[bytes, int, int]] = []  # (run, last seq, offset of the process_start that says so)
        self._tree = Frontier()
        self._leaves: list[bytes] = []
        self._roots: dict[int, bytes] = {}
        self._have_entries = entries is not None
        self._ahead: deque[Sealed] = deque()
        self._more: Iterator[bytes] = iter(entries if entries is not None else ())
        self._read_notes(notes, anchor)

    # -- checkpoints ------------------------------------------------------

    def _read_notes(self, notes: Iterable[Published], anchor: Published | None) -> None:
        self._notes: list[tuple[Published, Checkpoint]] = []
        self._published: set[bytes] = set()
        self._unreadable = 0  # notes that are none of ours
        self._unpublished: list[tuple[int, int]] = []  # (offset, size): a seal tells of a checkpoint that isn't there
        largest = -1
        for published in notes:
            signed = self._signed(published)
            if signed is None:
                continue
            self.result.checkpoints += 1
            self._notes.append((published, signed))
            self._published.add(sha256(published.data).digest())
            if signed.size < largest:
                self._find(
                    "REORDERED",
                    published.where,
                    f"a checkpoint of {signed.size} behind one of {largest}: an old one, said again",
                )
            largest = max(largest, signed.size)
        self._anchor: tuple[Published, Checkpoint] | None = None
        if anchor is not None and (signed := self._signed(anchor)) is not None:
            self._anchor = anchor, signed
        self._stops = sorted({c.size for _, c in self._notes} | ({self._anchor[1].size} if self._anchor else set()))
        if self._notes:
            published, self.result.newest = max(self._notes, key=lambda pair: pair[1].size)
            self.result.newest_note = published.data
        if anchor is None:
            self._find("UNANCHORED", self.origin, "the first audit of this log, as far as was said")

    def _signed(self, published: Published) -> Checkpoint | None:
        try:
            note = parse_note(published.data)
            checkpoint = parse_checkpoint(note.text)
            if checkpoint.origin != self.origin:
                raise NoteError(f'of another log, "{checkpoint.origin}"; this one is "{self.origin}"')
            mine = [key for key in self.keys if key.name == self.origin]
            if not mine:
                raise NoteError(f'no key for "{self.origin}" was given')
            verify(note, mine[0])
        except NoteError as error:
            self._find("CORRUPT", published.where, f"checkpoint: {error}")
            self._unreadable += 1
            return None
        return checkpoint

    # -- records ----------------------------------------------------------

    def feed(self, items: Iterable[Item]) -> None:
        """Records, in offset order."""
        for item in items:
            self.result.first_offset = item.offset if self.result.first_offset is None else self.result.first_offset
            self.result.last_offset, self.result.last_ms = item.offset, max(self.result.last_ms, item.ts_ms)
            offset, ts_type, ts_ms, key, value = item
            if is_record(key, value):
                assert key is not None and value is not None
                start = self._starts.get(key)
                if start is None:
                    start = self._starts[key] = preimage_start(self.topic, key)
                hashed = sha256(start + value[:-32]).digest()
                entry = ENTRY.pack(ENTRY_TAG, self.partition, offset, ts_type, ts_ms, key, value[SEQ], hashed)
                self._place(entry)
                self._link(item, key, value, hashed)
            else:
                hashed = foreign_hash(key, value)
                self._place(ENTRY.pack(ENTRY_TAG, self.partition, offset, ts_type, ts_ms, NOBODY, bytes(8), hashed))
                self.result.foreign += 1
                self._mark("UNDECIDABLE", offset, "no audit record: its key is no run's id, or there is no trailer")

    # -- the tree ---------------------------------------------------------

    def _place(self, entry: bytes) -> None:
        """Where the record stands in what was sealed."""
        if not self._have_entries:
            self._leaf(entry)
            return
        ahead = self._ahead
        if not ahead and not self._fill():
            self._note_unsealed(entry)
            return
        if ahead[0].entry == entry:  # as it should be
            self._leaf(ahead.popleft().entry)
            return
        self._place_otherwise(_sealed(entry))

    def _place_otherwise(self, here: Sealed) -> None:
        self._fill()
        offset_before = self.low
        while self._ahead and self._ahead[0].offset < offset_before:  # taken by retention
            self._leaf(self._ahead.popleft().entry)
            self.result.pruned += 1
        if (late := self._gone.pop(here.identity, None)) is not None:
            if late.entry != here.entry:
                self._mark("REORDERED", here.offset, f"it was sealed at offset {late.offset}")
            return
        for number, sealed in enumerate(self._ahead):
            if sealed.identity == here.identity:
                self._pass_over(number)
                self._take()
                if sealed.entry != here.entry:
                    if sealed.offset == here.offset:
                        self._mark("ALTERED", here.offset, "the broker's time is not the one that was sealed")
                    else:
                        self._moved.append(here.offset)
                return
        for number, sealed in enumerate(self._ahead):
            if sealed.offset == here.offset or (sealed.run, sealed.seq) == (here.run, here.seq):
                self._pass_over(number)
                taken = self._take()
                self._mark("ALTERED", here.offset, f"sealed was {taken.hash.hex()}, there is {here.hash.hex()}", taken)
                return
        if self._ahead:
            self._mark("ALTERED", here.offset, "it is not among what was sealed there: put in later")
        else:
            self._note_unsealed(here.entry)

    def _pass_over(self, number: int) -> None:
        for _ in range(number):
            sealed = self._take()
            self._gone[sealed.identity] = sealed

    def _fill(self) -> bool:
        while len(self._ahead) < AHEAD and (data := next(self._more, None)) is not None:
            self._ahead.append(_sealed(data))
        return bool(self._ahead)

    def _take(self) -> Sealed:
        sealed = self._ahead.popleft()
        self._leaf(sealed.entry)
        self._fill()
        return sealed

    def _note_unsealed(self, entry: bytes) -> None:
        self.result.unsealed += 1
        if self.result.unsealed_since_ms is None:
            self.result.unsealed_since_ms = int(ENTRY.unpack(entry)[4])

    def _leaf(self, entry: bytes) -> None:
        self._leaves.append(sha256(b"\x00" + entry).digest())
        size = self._tree.size + len(self._leaves)
        if self._stops and size == self._stops[0]:
            self._grow()
            while self._stops and self._stops[0] <= size:
                self._roots[self._stops.pop(0)] = self._tree.root()
        elif len(self._leaves) >= LEAVES_AT_ONCE:
            self._grow()

    def _grow(self) -> None:
        self._tree.extend(self._leaves)
        self._leaves = []

    # -- the chain --------------------------------------------------------

    def _link(self, item: Item, key: bytes, value: bytes, hashed: bytes) -> None:
        offset, claimed, seq = item.offset, value[-32:], int.from_bytes(value[SEQ], "big")
        if claimed != hashed:
            self._corrupt(offset, key, seq, claimed)
            return
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = self._begin(item, key, value, seq)
        if seq == run.next_seq:
            if run.last_hash is not None and value[PREV] != run.last_hash:
                self._broken_link(run, offset)
            run.next_seq, run.last_hash, run.last_offset = seq + 1, hashed, offset
            run.newest.append(hashed)
            self.result.records += 1
            if self.types:
                self._show(item, key, value)
        else:
            self._out_of_order(run, item, key, value, seq, hashed)

    def _begin(self, item: Item, key: bytes, value: bytes, seq: int) -> Run:
        self.result.runs += 1
        if seq:
            run = Run(first_seq=seq, next_seq=seq)
            # with a low end above 0 retention may have taken the run's beginning
            if not self.low and not self._stand_in(-1, item.offset, seq):
                run.gaps = [Gap(0, seq - 1, item.offset)]
            return run
        run = Run(last_hash=value[PREV])
        try:
            manifest = only_string(read(value, self.types or _ANY)["payload"])
            previous = json.loads(manifest).get("previous")
        except (Unreadable, ValueError, AttributeError) as error:
            self._mark("UNDECIDABLE", item.offset, f"seq 0 has no manifest: {error}")
            return run
        run.last_hash = first_link(key, manifest.encode())
        if isinstance(previous, dict):
            self._previous.append((bytes.fromhex(str(previous["run_id"])), int(previous["seq"]), item.offset))
        return run

    def _corrupt(self, offset: int, key: bytes, seq: int, claimed: bytes) -> None:
        """Its hash does not fit, so nothing it says is believed; that it takes its run's next place is."""
        self._mark("CORRUPT", offset, "record_hash is not the hash of its bytes")
        run = self._runs.get(key)
        if run is not None and seq == run.next_seq:
            run.next_seq, run.last_hash, run.last_offset = seq + 1, None, offset
            run.newest.append(claimed)
        else:
            self._orphans.append(offset)

    def _stand_in(self, after: int, before: int, missing: int) -> bool:
        """Whether corrupt records of nobody, between these offsets, are what is missing from a run."""
        mine = [offset for offset in self._orphans if after < offset < before]
        if len(mine) < missing:
            return False
        self._orphans = [offset for offset in self._orphans if offset not in mine[:missing]]
        return True

    def _broken_link(self, run: Run, offset: int) -> None:
        if run.last_offset not in self._marked and offset not in self._marked:
            where = run.last_offset if run.last_offset >= 0 else offset
            self._mark("ALTERED", where, f"the record behind it (offset {offset}) hangs on another one")

    def _out_of_order(self, run: Run, item: Item, key: bytes, value: bytes, seq: int, hashed: bytes) -> None:
        offset = item.offset
        if seq > run.next_seq:
            missing = seq - run.next_seq
            if not self._stand_in(run.last_offset, offset, missing):
                run.gaps.append(Gap(run.next_seq, seq - 1, offset))
            run.newest.extend(b"" for _ in range(min(missing, REMEMBERED)))
            run.last_hash, run.next_seq = hashed, seq + 1
            run.last_offset = offset
            run.newest.append(hashed)
            self.result.records += 1
            if self.types:
                self._show(item, key, value)
            return
        if (gap := next((gap for gap in run.gaps if gap.first <= seq <= gap.last), None)) is not None:
            ahead = gap.offset
            run.gaps.remove(gap)
            run.gaps += [
                g for g in (Gap(gap.first, seq - 1, ahead), Gap(seq + 1, gap.last, ahead)) if g.first <= g.last
            ]
            self._marked.pop(ahead, None)
            self._mark("REORDERED", offset, f"seq {seq} stands behind offset {ahead}")
            self._marked[ahead] = "REORDERED"
            self.result.records += 1
            if self.types:
                self._show(item, key, value)
            return
        back = run.next_seq - seq
        known = run.newest[-back] if back <= len(run.newest) else None
        if known == hashed:
            self.result.duplicates += 1
            self._mark("DUPLICATE", offset, f"seq {seq} again, the same bytes")
        elif known is None:
            self._mark("REORDERED", offset, f"seq {seq} stands {back} records behind its place")
        elif offset not in self._marked or self._marked[offset] == "ALTERED":
            self._mark("FORKED", offset, f"seq {seq} of this run was there before, with other bytes")

    def _show(self, item: Item, key: bytes, value: bytes) -> None:
        try:
            record = read(value, self.types)
        except Unreadable as error:
            self._mark("UNKNOWN_TYPE" if "closed set" in str(error) else "UNDECIDABLE", item.offset, str(error))
            return
        if record["run_id"] != key:
            self._mark("ALTERED", item.offset, "its run_id is not its key")
            return
        if record["type"] == "seal":
            self._named_by_seal(item, record["payload"])
        if self.visit is not None:
            self.visit(item, record)

    def _named_by_seal(self, item: Item, payload: bytes) -> None:
        """The sealer says in the log itself which checkpoints it published."""
        try:
            origin, size, _, hashed = seal(payload)
        except Unreadable as error:
            self._mark("UNDECIDABLE", item.offset, str(error))
            return
        if origin == self.origin and hashed not in self._published:
            self._unpublished.append((item.offset, size))

    # -- in the end -------------------------------------------------------

    def finish(self) -> Result:
        """Judge what is left open."""
        while self._ahead or self._fill():
            sealed = self._take()
            if sealed.offset < self.low:
                self.result.pruned += 1
            else:
                self._gone[sealed.identity] = sealed
        self._grow()
        self._judge_roots()
        self._judge_gaps()
        self._judge_gone()
        self._judge_unpublished()
        if (
            self._moved
            and not any(not finding.is_notice for finding in self.result.findings)
            and not self.result.duplicates
        ):
            self._find(
                "ALTERED", self._at(self._moved[0]), f"{len(self._moved)} records stand elsewhere than they were sealed"
            )
        if self.result.pruned:
            self._find(
                "PRUNED",
                self._at(self.low),
                f"{self.result.pruned} sealed records before it are gone",
                self.result.pruned,
            )
        self.result.findings = _merged(self.result.findings, f"{self.topic}/{self.partition}/")
        return self.result

    def _judge_roots(self) -> None:
        """Every signed root must be that of the same tree."""
        size = self._tree.size
        good = [
            c
            for _, c in self._notes
            if c.size <= size and self._roots.get(c.size, EMPTY_ROOT if not c.size else None) == c.root
        ]
        self.result.sealed = max((c.size for c in good), default=0)
        if not self._have_entries:
            self.result.unsealed = size - self.result.sealed
        known = self._notes if self._anchor is None else [*self._notes, self._anchor]
        wrong = [(p, c) for p, c in known if c not in good and (c.size <= size and self._roots.get(c.size) != c.root)]
        beyond = [(p, c) for p, c in known if c.size > size]
        if wrong:
            self._judge_wrong_roots(wrong, good)
        if beyond:
            largest = max(c.size for _, c in beyond)
            published = next(p for p, c in beyond if c.size == largest)
            self._find(
                "TRUNCATED",
                self._at(self.result.last_offset),
                f"{largest} entries were sealed ({published.where}), {size} are there",
            )

    def _judge_wrong_roots(self, wrong: list[tuple[Published, Checkpoint]], good: list[Checkpoint]) -> None:
        touched = any(not finding.is_notice for finding in self.result.findings)
        if not self._have_entries and (touched or any(run.gaps for run in self._runs.values())):
            return  # the tree differs because a record does, and that is told
        for published, signed in wrong:
            # signed with the tree that is here, of as many entries or more: then there were two trees
            other = next((c for c in good if c.size >= signed.size), None)
            if other is not None:
                text = f"signed were both\n{signed.text}and\n{other.text}and they are not of one tree"
                self._find("FORKED", published.where, text, len(wrong))
                return
        published, signed = wrong[0]
        below = max((c.size for c in good if c.size < signed.size), default=0)
        told = f"entries {below}..{signed.size - 1} don't give the root that was signed"
        self._find("ALTERED", published.where, told, len(wrong))

    def _judge_gaps(self) -> None:
        """seq proves a hole; what was sealed tells where."""
        gone = {(sealed.run, sealed.seq) for sealed in self._gone.values()}
        explained: set[tuple[bytes, int]] = set()
        for key, run in self._runs.items():
            for first, last, offset in run.gaps:
                explained |= {(run_id, seq) for run_id, seq in gone if run_id == key and first <= seq <= last}
                if offset not in self._marked or self._marked[offset] not in ("REORDERED",):
                    self._find(
                        "MISSING",
                        self._at(offset),
                        f"seq {first}..{last} of run {key.hex()} before it",
                        last - first + 1,
                    )
        for key, last, offset in self._previous:
            known = self._runs.get(key)
            end = known.next_seq if known else 0
            orphaned = (
                self._stand_in(known.last_offset if known else -1, offset, last - end + 1) if last >= end else True
            )
            if not orphaned and (known or not self.low):
                lost = {(run_id, seq) for run_id, seq in gone if run_id == key and end <= seq <= last}
                explained |= lost
                what = "it was sealed" if lost else "the next run says so"
                self._find("MISSING", self._at(offset), f"seq {end}..{last} of run {key.hex()}: {what}", last - end + 1)
        self._gone = {i: sealed for i, sealed in self._gone.items() if (sealed.run, sealed.seq) not in explained}

    def _judge_unpublished(self) -> None:
        """Checkpoints that a seal tells of. One that can't be read, or another history, may be what became of them."""
        if any(finding.kind == "FORKED" for finding in self.result.findings):
            return
        for offset, size in self._unpublished[self._unreadable :]:
            told = f"it tells of a checkpoint of {size} entries, which was not published, or is gone"
            self._find("MISSING", self._at(offset), told)

    def _judge_gone(self) -> None:
        if not self._gone:
            return
        last = self.result.last_offset if self.result.last_offset is not None else -1
        tail = [sealed for sealed in self._gone.values() if sealed.offset > last]
        inside = [sealed for sealed in self._gone.values() if sealed.offset <= last]
        if tail:
            self._find(
                "TRUNCATED", self._at(tail[0].offset), f"{len(tail)} sealed records from it on are not there", len(tail)
            )
        for sealed in inside:
            self._find("MISSING", self._at(sealed.offset), f"sealed: seq {sealed.seq} of run {sealed.run.hex()}")

    # -- findings ---------------------------------------------------------

    def _at(self, offset: int | None) -> str:
        return f"{self.topic}/{self.partition}/{'-' if offset is None else offset}"

    def _mark(self, kind: str, offset: int, detail: str, taken: Sealed | None = None) -> None:
        """One finding for a place: what the chain says of it is more exact than what the tree says."""
        before = self._marked.get(offset)
        if before is not None:
            if before not in BY_THE_TREE or kind in BY_THE_TREE:
                return
            where = self._at(offset)
            self.result.findings = [f for f in self.result.findings if not (f.kind == before and f.where == where)]
        self._marked[offset] = kind
        self._find(kind, self._at(offset), detail)

    def _find(self, kind: str, where: str, detail: str, count: int = 1) -> None:
        self.result.findings.append(Finding(kind, where, detail, count))


_ANY = tuple(str(number) for number in range(256))


def _merged(findings: list[Finding], prefix: str) -> list[Finding]:
    """Neighbours of one kind are one finding: an insider who computes the rest of a chain anew did one thing."""
    merged: list[Finding] = []
    for finding in sorted(findings, key=lambda f: (f.kind, not f.where.startswith(prefix), _offset(f, prefix))):
        last = merged[-1] if merged else None
        here = _offset(finding, prefix)
        if last is not None and last.kind == finding.kind and here >= 0 and _end(last, prefix) == here - 1:
            start = last.where.removeprefix(prefix).partition("..")[0]
            merged[-1] = Finding(last.kind, f"{prefix}{start}..{here}", last.detail, last.count + finding.count)
        else:
            merged.append(finding)
    return sorted(merged, key=lambda f: (f.is_notice, not f.where.startswith(prefix), _offset(f, prefix)))


def _offset(finding: Finding, prefix: str) -> int:
    text = finding.where.removeprefix(prefix).partition("..")[0]
    return int(text) if finding.where.startswith(prefix) and text.isdecimal() else -1


def _end(finding: Finding, prefix: str) -> int:
    text = finding.where.removeprefix(prefix).rpartition("..")[2]
    return int(text) if finding.where.startswith(prefix) and text.isdecimal() else -2
