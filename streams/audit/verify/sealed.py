"""The tree: where each record stands in what was sealed. Standard library only.

Where the sealed entries are at hand, they are walked beside the records; else the records themselves must give the signed roots.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from streams.audit.layout import ENTRY
from streams.audit.verify.findings import Findings
from streams.audit.verify.merkle import Frontier

AHEAD = 4_096  # sealed entries looked at to find where a record belongs
LEAVES_AT_ONCE = 1_024


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


class SealedOrder:
    """What was sealed, beside what is there. `roots`: of the tree at the sizes that were asked for."""

    def __init__(self, findings: Findings, low: int, entries: Iterable[bytes] | None, sizes: Collection[int]) -> None:
        self.findings, self.low, self.has_entries = findings, low, entries is not None
        self.roots: dict[int, bytes] = {0: Frontier().root()}
        self.unsealed = 0
        self.unsealed_since_ms: int | None = None
        self.pruned_ms = array("q")  # broker's times
        self._sizes = sorted(size for size in sizes if size)
        self._tree, self._leaves = Frontier(), list[bytes]()
        self._moved: list[int] = []
        self._replaced: set[bytes] = set()  # identities of sealed ones at whose place another one is
        self._gone: dict[bytes, Sealed] = {}  # identity -> sealed, and not there so far
        self._ahead: deque[bytes] = deque()
        self._more: Iterator[bytes] = iter(entries if entries is not None else ())

    @property
    def pruned(self) -> int:
        """Sealed records that retention took."""
        return len(self.pruned_ms)

    @property
    def size(self) -> int:
        return self._tree.size + len(self._leaves)

    @property
    def gone(self) -> list[Sealed]:
        """Sealed, and not there."""
        return list(self._gone.values())

    def place_all(self, entries: list[bytes]) -> None:
        """Where these records, in offset order, stand in what was sealed."""
        if not self.has_entries:
            self._add_leaves(entries)
            return
        ahead = self._ahead
        if len(ahead) < len(entries):
            more = list(islice(self._more, len(entries) - len(ahead)))
            if not ahead and more == entries:  # as it should be
                self._add_leaves(entries)
                return
            ahead.extend(more)
        if len(ahead) >= len(entries) and list(islice(ahead, len(entries))) == entries:
            for _ in entries:
                ahead.popleft()
            self._add_leaves(entries)
            return
        for entry in entries:
            self._place(entry)

    def _place(self, entry: bytes) -> None:
        ahead = self._ahead
        if not ahead and not self._fill():
            self._note_unsealed(entry)
        elif ahead[0] == entry:
            self._add_leaves([ahead.popleft()])
        else:
            self._place_otherwise(_sealed(entry))

    def _place_otherwise(self, here: Sealed) -> None:
        self._fill()
        while self._ahead and _sealed(self._ahead[0]).offset < self.low:  # taken by retention
            self.pruned_ms.append(ENTRY.unpack(self._take().entry)[4])
        if here.identity in self._replaced:  # it is still there, so the one before it was put in and replaced nothing
            self._replaced.discard(here.identity)
            self._moved.append(here.offset)
            return
        if (late := self._gone.pop(here.identity, None)) is not None:
            if late.entry != here.entry:
                self.findings.mark("REORDERED", here.offset, f"it was sealed at offset {late.offset}")
            return
        for number, sealed in enumerate(map(_sealed, self._ahead)):
            if sealed.identity == here.identity:
                self._pass_over(number)
                self._take()
                if sealed.entry != here.entry:
                    if sealed.offset == here.offset:
                        self.findings.mark("ALTERED", here.offset, "the broker's time is not the one that was sealed")
                    else:
                        self._moved.append(here.offset)
                return
        for number, sealed in enumerate(map(_sealed, self._ahead)):
            if sealed.offset == here.offset or (sealed.run, sealed.seq) == (here.run, here.seq):
                self._pass_over(number)
                taken = self._take()
                self._replaced.add(taken.identity)
                told = f"sealed was {taken.hash.hex()}, there is {here.hash.hex()}"
                self.findings.mark("ALTERED", here.offset, told, taken.run)
                return
        if self._ahead and (len(self._ahead) >= AHEAD or here.offset <= _sealed(self._ahead[-1]).offset):
            self.findings.mark("ALTERED", here.offset, "it is not among what was sealed there: put in later")
        else:
            self._note_unsealed(here.entry)

    def _pass_over(self, number: int) -> None:
        for _ in range(number):
            sealed = self._take()
            self._gone[sealed.identity] = sealed

    def _fill(self) -> bool:
        while len(self._ahead) < AHEAD and (data := next(self._more, None)) is not None:
            self._ahead.append(data)
        return bool(self._ahead)

    def _take(self) -> Sealed:
        data = self._ahead.popleft()
        self._add_leaves([data])
        self._fill()
        return _sealed(data)

    def _note_unsealed(self, entry: bytes) -> None:
        self.unsealed += 1
        if self.unsealed_since_ms is None:
            self.unsealed_since_ms = int(ENTRY.unpack(entry)[4])

    def _add_leaves(self, entries: list[bytes]) -> None:
        self._leaves += [sha256(b"\x00" + entry).digest() for entry in entries]
        size = self.size
        while self._sizes and self._sizes[0] <= size:
            wanted = self._sizes.pop(0)
            here = wanted - self._tree.size
            self._tree.extend(self._leaves[:here])
            self._leaves = self._leaves[here:]
            self.roots[wanted] = self._tree.root()
        if len(self._leaves) >= LEAVES_AT_ONCE:
            self._grow()

    def _grow(self) -> None:
        self._tree.extend(self._leaves)
        self._leaves = []

    def finish(self) -> None:
        """Everything is read: what is left ahead is not there."""
        while self._ahead or self._fill():
            sealed = self._take()
            if sealed.offset < self.low:
                self.pruned_ms.append(ENTRY.unpack(sealed.entry)[4])
            else:
                self._gone[sealed.identity] = sealed
        self._grow()

    def judge_gone(self, explained: Collection[tuple[bytes, int]], last: int) -> None:
        """explained: (run, seq) that the chain has told of; last: offset of the last record."""
        gone = [sealed for sealed in self.gone if (sealed.run, sealed.seq) not in explained]
        tail = [sealed for sealed in gone if sealed.offset > last]
        if tail:
            told = f"{len(tail)} sealed records from it on are not there"
            self.findings.add("TRUNCATED", self.findings.at(tail[0].offset), told, len(tail))
        for sealed in gone:
            if sealed.offset <= last:
                told = f"sealed: seq {sealed.seq} of run {sealed.run.hex()}"
                self.findings.add("MISSING", self.findings.at(sealed.offset), told)

    def judge_moved(self) -> None:
        """Whatever was put in or taken out moves all that comes after it, so this is told only where nothing else is."""
        if self._moved:
            told = f"{len(self._moved)} records stand elsewhere than they were sealed"
            self.findings.add("ALTERED", self.findings.at(self._moved[0]), told)

    def tell_pruned(self) -> None:
        """What retention took is neither verified nor wrong."""
        if self.pruned:
            told = f"{self.pruned} sealed records before it are gone"
            self.findings.add("PRUNED", self.findings.at(self.low), told, self.pruned)
