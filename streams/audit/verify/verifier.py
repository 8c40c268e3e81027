"""Verifies one partition of the audit log. No Kafka, no clock, nothing but hashes. Begin here: `_feed` is the whole of it.

Two commitments are held against each other and against the records: the chain (chain.py), which a run makes while it writes, and the tree
(sealed.py), which a sealer signs behind the broker (checkpoints.py). What differs is told at its place (findings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from operator import itemgetter

from streams.audit.layout import (
    ENTRY,
    ENTRY_TAG,
    NOBODY,
    RUN_ID_BYTES,
    VALUE_MIN,
    Item,
    foreign_hash,
    preimage_start,
)
from streams.audit.verify.chain import Chain, Run
from streams.audit.verify.checkpoints import Checkpoints, Published
from streams.audit.verify.clocks import Clocks
from streams.audit.verify.envelope import Unreadable, read
from streams.audit.verify.findings import Finding, Findings
from streams.audit.verify.note import Checkpoint, Key
from streams.audit.verify.sealed import SealedOrder

AT_ONCE = 1_024
_MS = itemgetter(2)  # an Item's ts_ms


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
    unbelieved: int = 0  # notes that are damaged, of another log, or of no key that was given
    newest: Checkpoint | None = None
    newest_note: bytes | None = None
    first_offset: int | None = None
    last_offset: int | None = None
    last_ms: int = 0
    runs: int = 0
    findings: list[Finding] = field(default_factory=list)
    marked: dict[int, str] = field(default_factory=dict)  # offset -> what was found there
    altered_somewhere: list[str] = field(default_factory=list)  # where that is told: nobody can say which records
    low: int = 0
    has_entries: bool = False
    promised: int = 0  # entries that the largest believed checkpoint covers
    strange: set[int] = field(default_factory=set)  # offsets of what is no record, and was none when it was sealed
    pruned_ms: Sequence[int] = ()  # broker's times of sealed records that retention took


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
        visit: Callable[[int, Item, dict[str, object]], None] | None = None,
    ) -> None:
        """origin, keys: the log and who may sign it, from anywhere but the log itself. notes: in the order of publication. entries: what
        was sealed, of the tiles; None: they are not at hand. anchor: the last note that this auditor accepted, or a witness's. low: first
        offset the topic still has. types: names of the record types; without, nothing is decoded. visit: is given each record that
        counts, decoded."""
        self.topic, self.partition, self.types, self.visit = topic, partition, types, visit
        self.result = Result(topic, partition)
        self.findings = Findings(topic, partition)
        self.checkpoints = Checkpoints(self.findings, origin, keys, notes, anchor)
        sizes = {signed.size for _, signed in self.checkpoints.known}
        self.sealed = SealedOrder(self.findings, low, entries, sizes)
        self.clocks = Clocks(self.findings)
        self.chain = Chain(self.findings, low, self._decode if types else None)
        self.low = low
        self._sizes = sorted(sizes | {0})
        self._behind: dict[
            int, int
        ] = {}  # size of a checkpoint -> broker's time of the first record that it doesn't cover
        self._fed = 0
        self._starts: dict[bytes, bytes] = {}  # run -> the start of its records' preimages

    def feed(self, items: Iterable[Item]) -> None:
        """Records, in offset order."""
        rest = iter(items)
        while batch := list(islice(rest, AT_ONCE)):
            self._feed(batch)

    def _feed(self, batch: list[Item]) -> None:
        result, topic, partition, starts = self.result, self.topic, self.partition, self._starts
        if result.first_offset is None:
            result.first_offset = batch[0].offset
        result.last_offset = batch[-1].offset
        result.last_ms = max(result.last_ms, max(map(_MS, batch)))
        entries = self._follow(batch)
        whole, records, foreign = len(entries), list[tuple[Item, bytes]](), list[int]()
        for item in batch[whole:]:
            offset, ts_type, ts_ms, key, value = item
            if (
                key is not None and value is not None and len(key) == RUN_ID_BYTES and len(value) > VALUE_MIN
            ):  # is_record
                start = starts.get(key)
                if start is None:
                    start = starts[key] = preimage_start(topic, key)
                hashed = sha256(start + value[:-32]).digest()
                entries.append(ENTRY.pack(ENTRY_TAG, partition, offset, ts_type, ts_ms, key, value[-72:-64], hashed))
                records.append((item, hashed))
            else:
                hashed = foreign_hash(key, value)
                entries.append(ENTRY.pack(ENTRY_TAG, partition, offset, ts_type, ts_ms, NOBODY, bytes(8), hashed))
                foreign.append(offset)
        while self._sizes and self._sizes[0] < self._fed + len(batch):
            size = self._sizes.pop(0)
            self._behind[size] = batch[size - self._fed].ts_ms
        self._fed += len(batch)
        self.sealed.place_all(entries)
        self.chain.count(batch[:whole])
        for item, hashed in records:
            self.chain.link(item, hashed)
        for offset in foreign:
            self.result.foreign += 1
            if self.sealed.has_entries and offset not in self.findings.marked:
                self.result.strange.add(offset)
            told = "no audit record: its key is no run's id, or there is no trailer"
            self.findings.mark("UNDECIDABLE", offset, told)

    def _follow(self, batch: list[Item]) -> list[bytes]:
        """The entries of those records, from the first on, that are as they should be: each the next one of its run, hanging on the one
        before. Nearly all are, so this is where the time goes: a run's state is in locals for as long as its records follow each other."""
        runs, starts, partition, pack = self.chain.runs, self._starts, self.partition, ENTRY.pack
        entries: list[bytes] = []
        run: Run | None = None
        key: bytes | None = None
        seq, last, last_offset = 0, b"", 0
        for offset, ts_type, ts_ms, its_key, value in batch:
            if run is None or its_key != key:
                if run is not None:
                    run.next_seq, run.last_hash, run.last_offset = seq, last, last_offset
                key, run = its_key, runs.get(its_key)  # type: ignore[arg-type]  # nobody's key is None
                if key is None or run is None or run.last_hash is None:
                    run = None
                    break
                seq, last, last_offset = run.next_seq, run.last_hash, run.last_offset
                start, remember = starts[key], run.newest.append
            if value is None or len(value) <= VALUE_MIN:
                break
            hashed, number = sha256(start + value[:-32]).digest(), seq.to_bytes(8, "big")
            if value[-72:] != number + last + hashed:
                break
            entries.append(pack(ENTRY_TAG, partition, offset, ts_type, ts_ms, key, number, hashed))
            remember(hashed)
            seq, last, last_offset = seq + 1, hashed, offset
        if run is not None:
            run.next_seq, run.last_hash, run.last_offset = seq, last, last_offset
        return entries

    def _decode(self, item: Item) -> None:
        """A record that counts: whole, and for the first time."""
        offset, _, _, key, value = item
        try:
            record = read(value or b"", self.types)
        except Unreadable as error:
            kind = "UNKNOWN_TYPE" if "closed set" in str(error) else "UNDECIDABLE"
            self.findings.mark(kind, offset, str(error))
            return
        if record["run_id"] != key:
            self.findings.mark("ALTERED", offset, "its run_id is not its key")
            return
        if record["type"] == "seal":
            self.checkpoints.named_by_seal(offset, record["payload"])
        self.clocks.see(offset, record)
        if self.visit is not None:
            self.visit(self.partition, item, record)

    def finish(self) -> Result:
        """Judge what is left open."""
        result, sealed, last = self.result, self.sealed, self.result.last_offset
        sealed.finish()
        explained = self.chain.judge_gaps({(one.run, one.seq) for one in sealed.gone})
        sealed.judge_gone(explained, -1 if last is None else last)
        silent = not sealed.has_entries and self.findings.reproaches
        if self.low and not sealed.has_entries and self.checkpoints.known:
            told = "retention has taken the beginning, so the roots can't be computed without the tiles"
            self.findings.add("UNDECIDABLE", self.findings.at(self.low), told)
        else:
            result.sealed = self.checkpoints.judge_roots(sealed.roots, sealed.size, last, silent)
        self.checkpoints.judge_unpublished()
        if not self.findings.reproaches and not self.chain.duplicates:
            sealed.judge_moved()
        sealed.tell_pruned()
        if result.sealed or not self.checkpoints.unreadable:  # else whoever wrote the log is nobody that is believed
            self.clocks.finish()
        result.unsealed = sealed.unsealed if sealed.has_entries else sealed.size - result.sealed
        result.unsealed_since_ms, result.pruned = sealed.unsealed_since_ms, sealed.pruned
        if not sealed.has_entries and result.unsealed:
            result.unsealed_since_ms = self._behind.get(result.sealed)
        if not result.sealed:  # by nobody who is believed
            result.unsealed, result.unsealed_since_ms = self._fed, self._behind.get(0)
        result.unbelieved = self.checkpoints.unreadable
        result.low, result.has_entries, result.pruned_ms = self.low, sealed.has_entries, sealed.pruned_ms
        result.promised = max((signed.size for _, signed in self.checkpoints.known), default=0)
        result.records, result.duplicates = self.chain.records, self.chain.duplicates
        result.runs = len(self.chain.runs)
        result.checkpoints = len(self.checkpoints.notes)
        if (newest := self.checkpoints.newest) is not None:
            result.newest_note, result.newest = newest[0].data, newest[1]
        result.altered_somewhere = [f.where for f in self.findings.somewhere() if f.kind == "ALTERED"]
        result.findings, result.marked = self.findings.merged(), self.findings.marked
        return result
