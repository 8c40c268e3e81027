"""The chain: each record hangs on the one before it in its run, so seq proves a hole and a hash a change. Standard library only.

What a run writes it knows; an insider who can write the topic can compute it anew. Memory is flat: a run keeps its newest hashes.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.audit.layout import PREV, SEQ, Item, first_link
from streams.audit.verify.envelope import Unreadable, only_string, read
from streams.audit.verify.findings import Findings

REMEMBERED = 65_536  # newest hashes of a run: what is sent again after a crash is among them
_ANY = tuple(str(number) for number in range(256))


class Gap(NamedTuple):
    """seqs that are not there, and the offset of the record behind them."""

    first: int
    last: int
    offset: int


@dataclass(slots=True)
class Run:
    """What is known of one run."""

    next_seq: int = 0
    last_hash: bytes | None = None  # None: not known, so the next link can't be judged
    last_offset: int = -1
    gaps: list[Gap] = field(default_factory=list)
    newest: deque[bytes] = field(default_factory=lambda: deque(maxlen=REMEMBERED))  # of the seqs before next_seq


class Chain:
    """All runs of a partition. records: those that count, once; each is given to `visit`."""

    def __init__(self, findings: Findings, low: int, visit: Callable[[Item], None] | None) -> None:
        self.findings, self.low, self.visit = findings, low, visit
        self.records = 0
        self.runs: dict[bytes, Run] = {}
        self.duplicates = 0
        self._orphans: list[int] = []  # offsets of corrupt records that may be anybody's
        self._previous: list[tuple[bytes, int, int]] = []  # (run, last seq, offset of the process_start that says so)

    def count(self, items: Sequence[Item]) -> None:
        """They count."""
        self.records += len(items)
        if self.visit is not None:
            for item in items:
                self.visit(item)

    def counted(self, item: Item) -> None:
        """It counts."""
        self.records += 1
        if self.visit is not None:
            self.visit(item)

    def link(self, item: Item, hashed: bytes) -> None:
        """One that may be anything, in offset order. hashed: the hash that its bytes have."""
        offset, key, value = item.offset, item.key or b"", item.value or b""
        claimed, seq = value[-32:], int.from_bytes(value[SEQ], "big")
        if claimed != hashed:
            self._corrupt(offset, key, seq, claimed)
            return
        run = self.runs.get(key)
        if run is None:
            run = self.runs[key] = self._begin(offset, key, value, seq)
        if seq == run.next_seq:
            if run.last_hash is not None and value[PREV] != run.last_hash:
                self._broken_link(run, offset)
            run.next_seq, run.last_hash, run.last_offset = seq + 1, hashed, offset
            run.newest.append(hashed)
            self.counted(item)
        else:
            self._out_of_order(run, item, seq, hashed)

    def _begin(self, offset: int, key: bytes, value: bytes, seq: int) -> Run:
        if seq:
            run = Run(next_seq=seq)
            # with a low end above 0 retention may have taken the run's beginning
            if not self.low and not self._stand_in(-1, offset, seq):
                run.gaps = [Gap(0, seq - 1, offset)]
            return run
        run = Run(last_hash=value[PREV])
        try:
            manifest = only_string(read(value, _ANY)["payload"])
            previous = json.loads(manifest).get("previous")
            named = (bytes.fromhex(previous["run_id"]), _seq(previous["seq"])) if previous else None
        except (Unreadable, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
            self.findings.mark("UNDECIDABLE", offset, f"seq 0 has no manifest: {error}")
            return run
        run.last_hash = first_link(key, manifest.encode())
        if named is not None:
            self._previous.append((*named, offset))
        return run

    def _corrupt(self, offset: int, key: bytes, seq: int, claimed: bytes) -> None:
        """Its hash does not fit, so nothing it says is believed; that it takes its run's next place is."""
        self.findings.mark("CORRUPT", offset, "record_hash is not the hash of its bytes")
        run = self.runs.get(key)
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
        if run.last_offset not in self.findings.marked and offset not in self.findings.marked:
            where = run.last_offset if run.last_offset >= 0 else offset
            self.findings.mark("ALTERED", where, f"the record behind it (offset {offset}) hangs on another one")

    def _out_of_order(self, run: Run, item: Item, seq: int, hashed: bytes) -> None:
        offset = item.offset
        if seq > run.next_seq:
            missing = seq - run.next_seq
            if not self._stand_in(run.last_offset, offset, missing):
                run.gaps.append(Gap(run.next_seq, seq - 1, offset))
            run.newest.extend(b"" for _ in range(min(missing, REMEMBERED)))
            run.last_hash, run.next_seq = hashed, seq + 1
            run.last_offset = offset
            run.newest.append(hashed)
            self.counted(item)
            return
        if (gap := next((gap for gap in run.gaps if gap.first <= seq <= gap.last), None)) is not None:
            ahead = gap.offset
            run.gaps.remove(gap)
            run.gaps += [
                g for g in (Gap(gap.first, seq - 1, ahead), Gap(seq + 1, gap.last, ahead)) if g.first <= g.last
            ]
            self.findings.marked.pop(ahead, None)
            self.findings.mark("REORDERED", offset, f"seq {seq} stands behind offset {ahead}")
            self.findings.marked[ahead] = "REORDERED"
            self.counted(item)
            return
        back = run.next_seq - seq
        known = run.newest[-back] if back <= len(run.newest) else None
        if known == hashed:
            self.duplicates += 1
            self.findings.mark("DUPLICATE", offset, f"seq {seq} again, the same bytes")
        elif known is None:
            self.findings.mark("REORDERED", offset, f"seq {seq} stands {back} records behind its place")
        elif offset not in self.findings.marked or self.findings.marked[offset] == "ALTERED":
            self.findings.mark("FORKED", offset, f"seq {seq} of this run was there before, with other bytes")

    def judge_gaps(self, gone: Collection[tuple[bytes, int]]) -> set[tuple[bytes, int]]:
        """seq proves a hole. gone: (run, seq) that were sealed and are not there; returns those that a hole explains."""
        explained: set[tuple[bytes, int]] = set()
        for key, run in self.runs.items():
            for first, last, offset in run.gaps:
                explained |= {(run_id, seq) for run_id, seq in gone if run_id == key and first <= seq <= last}
                if self.findings.marked.get(offset) != "REORDERED":
                    self.findings.add(
                        "MISSING",
                        self.findings.at(offset),
                        f"seq {first}..{last} of run {key.hex()} before it",
                        last - first + 1,
                    )
        for key, last, offset in self._previous:
            known = self.runs.get(key)
            end = known.next_seq if known else 0
            orphaned = (
                self._stand_in(known.last_offset if known else -1, offset, last - end + 1) if last >= end else True
            )
            if not orphaned and (known or not self.low):
                lost = {(run_id, seq) for run_id, seq in gone if run_id == key and end <= seq <= last}
                explained |= lost
                what = "it was sealed" if lost else "the next run says so"
                self.findings.add(
                    "MISSING", self.findings.at(offset), f"seq {end}..{last} of run {key.hex()}: {what}", last - end + 1
                )
        return explained


def _seq(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"no seq: {str(value)[:40]}")
    return value
