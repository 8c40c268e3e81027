"""What an audit can find. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

INTEGRITY = ("CORRUPT", "ALTERED", "REORDERED", "FORKED", "UNDECIDABLE", "UNKNOWN_TYPE")
COMPLETENESS = ("MISSING", "TRUNCATED", "UNSEALED")
# told, and no reproach: sent twice after a crash; nobody's earlier note was there to compare with; retention; what clocks do
NOTICES = ("DUPLICATE", "UNANCHORED", "PRUNED", "CLOCK_STEP", "SUSPEND", "REBOOT")

IN_WORDS = {
    "CORRUPT": "its bytes are not those that were hashed or signed",
    "ALTERED": "it is whole, and not what was sealed or what the next record hangs on",
    "REORDERED": "it stands where another one was",
    "FORKED": "two histories were shown, both signed",
    "UNDECIDABLE": "it can't be read: no record, or of an unknown schema",
    "UNKNOWN_TYPE": "its type is not in the closed set",
    "MISSING": "what was written before it, or it tells of, is not there",
    "TRUNCATED": "the end was cut off",
    "UNSEALED": "no checkpoint covers it, for too long",
    "DUPLICATE": "the same bytes again, as after a crash; counted once",
    "UNANCHORED": "no earlier checkpoint to compare with: this audit begins the trust",
    "PRUNED": "retention has taken it; its hash is still sealed",
    "CLOCK_STEP": "the wall clock was set",
    "SUSPEND": "the machine slept",
    "REBOOT": "the machine was started anew",
}


@dataclass(frozen=True)
class Finding:
    """One thing, and the exact place."""

    kind: str
    where: str  # topic/partition/offset, or offset..offset
    detail: str
    count: int = 1  # records that it is about; 0: a checkpoint

    @property
    def is_notice(self) -> bool:
        return self.kind in NOTICES


BY_THE_TREE = ("ALTERED", "REORDERED")  # what the chain says of a place is more exact


class Findings:
    """What was found in one partition, at most one thing at a place."""

    def __init__(self, topic: str, partition: int) -> None:
        self.prefix = f"{topic}/{partition}/"
        self.all: list[Finding] = []
        self.marked: dict[int, str] = {}  # offset -> what was found there
        self._runs: dict[str, bytes] = {}  # where -> the run it is of, where that says that several are one

    def at(self, offset: int | None) -> str:
        return f"{self.prefix}{'-' if offset is None else offset}"

    def mark(self, kind: str, offset: int, detail: str, run: bytes | None = None) -> None:
        """Of a record. run: whoever changed one record of it had to change all that come after."""
        before = self.marked.get(offset)
        if before is not None:
            if before not in BY_THE_TREE or kind in BY_THE_TREE:
                return
            self.all = [f for f in self.all if not (f.kind == before and f.where == self.at(offset))]
        self.marked[offset] = kind
        if run is not None:
            self._runs[self.at(offset)] = run
        self.add(kind, self.at(offset), detail)

    def add(self, kind: str, where: str, detail: str, count: int = 1) -> None:
        """Of anything else."""
        self.all.append(Finding(kind, where, detail, count))

    @property
    def reproaches(self) -> bool:
        """Whether there is more than notices."""
        return any(not finding.is_notice for finding in self.all)

    def somewhere(self) -> list[Finding]:
        """Changes of which nobody can say which record they are of: a checkpoint tells of them."""
        return [f for f in self.all if f.kind in ("ALTERED", "FORKED") and self._first(f) not in self.marked]

    def merged(self) -> list[Finding]:
        """Neighbours of one kind are one finding, and so are all of one run: whoever computes a chain anew did one thing."""
        merged: list[Finding] = []
        for finding in sorted(self._by_run(), key=lambda f: (f.kind, *self._order(f))):
            last, here = merged[-1] if merged else None, self._first(finding)
            if last is not None and last.kind == finding.kind and here >= 0 and self._last(last) == here - 1:
                start = last.where.removeprefix(self.prefix).partition("..")[0]
                merged[-1] = Finding(
                    last.kind, f"{self.prefix}{start}..{here}", last.detail, last.count + finding.count
                )
            else:
                merged.append(finding)
        return sorted(merged, key=lambda f: (f.is_notice, *self._order(f)))

    def _by_run(self) -> list[Finding]:
        single, series = list[Finding](), dict[tuple[str, bytes], list[Finding]]()
        for finding in self.all:
            run = self._runs.get(finding.where)
            if run is None:
                single.append(finding)
            else:
                series.setdefault((finding.kind, run), []).append(finding)
        for (kind, run), found in series.items():
            found.sort(key=self._order)
            more = (
                f"\nand {len(found) - 1} more of run {run.hex()}, the last at {found[-1].where}"
                if len(found) > 1
                else ""
            )
            single.append(Finding(kind, found[0].where, found[0].detail + more, len(found)))
        return single

    def _order(self, finding: Finding) -> tuple[bool, int]:
        return not finding.where.startswith(self.prefix), self._first(finding)

    def _first(self, finding: Finding) -> int:
        text = finding.where.removeprefix(self.prefix).partition("..")[0]
        return int(text) if finding.where.startswith(self.prefix) and text.isdecimal() else -1

    def _last(self, finding: Finding) -> int:
        text = finding.where.removeprefix(self.prefix).rpartition("..")[2]
        return int(text) if finding.where.startswith(self.prefix) and text.isdecimal() else -2
