"""Which records the judge may use, and how many it has to do without: what the verifier found, as the judge needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from streams.audit.judge.evidence import Evidence, Hole
from streams.audit.verify.findings import Finding
from streams.audit.verify.verifier import Result

NOT_BELIEVED = ("ALTERED", "FORKED", "CORRUPT", "UNDECIDABLE", "UNKNOWN_TYPE")
LOST = ("MISSING", "TRUNCATED")
NEVER_MS = 1 << 62


@dataclass
class Believed:
    """holes: with their place in time. unplaced: records that are gone, nobody knows when. withheld: why no figure is given at all."""

    dropped: dict[int, set[int]] = field(default_factory=dict)  # partition -> offsets
    holes: list[Hole] = field(default_factory=list)
    unplaced: int = 0
    withheld: list[str] = field(default_factory=list)

    @property
    def lost(self) -> int:
        return self.unplaced + sum(hole.records for hole in self.holes)


def believe(evidence: Evidence, results: Sequence[Result], more: Sequence[Finding] = ()) -> Believed:
    """Each record that is gone, corrupt or altered is a hole: the worst is assumed of it. Two signed histories, or a change that can't be
    placed, leave nothing to judge."""
    told = Believed(holes=list(evidence.holes))
    gone, unsealed_ms = 0, NEVER_MS
    for result in results:
        told.dropped[result.partition] = {o for o, kind in result.marked.items() if kind in NOT_BELIEVED}
        if result.records and not result.sealed:
            told.withheld.append(f"{result.topic}/{result.partition}: no checkpoint by a key you believe covers it")
        for finding in result.findings:
            gone += finding.count if finding.kind in LOST else 0
            if finding.kind == "UNSEALED" and result.unsealed_since_ms is not None:
                unsealed_ms = min(unsealed_ms, result.unsealed_since_ms)
            if finding.kind == "FORKED" or (finding.kind == "ALTERED" and _offset(finding) not in result.marked):
                told.withheld.append(f"{finding.kind} {finding.where}")
    told.withheld += [f"{finding.kind} {finding.where}" for finding in more if not finding.is_notice]
    told.unplaced = max(0, gone - sum(hole.records for hole in evidence.holes))
    for run, offset, ts_ms in zip(evidence.run, evidence.offset, evidence.ts_ms, strict=True):
        dropped = told.dropped[evidence.partition_of[run]]
        if ts_ms >= unsealed_ms:  # too old to be unsealed: whoever can write the topic may have written it
            dropped.add(offset)
        if offset in dropped:
            told.holes.append(Hole(run, 1, ts_ms, ts_ms))
    return told


def _offset(finding: Finding) -> int:
    first = finding.where.rpartition("/")[2].partition("..")[0]
    return int(first) if first.isdecimal() else -1
