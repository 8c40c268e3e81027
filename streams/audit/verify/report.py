"""What an audit found, of all partitions. Standard library only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from streams.audit.verify.findings import COMPLETENESS, INTEGRITY, Finding
from streams.audit.verify.verifier import Result


@dataclass
class Report:
    """What an audit found."""

    of: str
    at_ms: int
    keys: list[str]
    results: list[Result]
    more: list[Finding] = field(default_factory=list)
    decoded: bool = True  # else what the records tell of missing checkpoints is not known

    @property
    def findings(self) -> list[Finding]:
        """Reproaches first."""
        found = [*self.more, *(finding for result in self.results for finding in result.findings)]
        return sorted(found, key=lambda finding: finding.is_notice)

    @property
    def records(self) -> int:
        return sum(result.records for result in self.results)

    def _verdict(self, kinds: Iterable[str], good: str) -> str:
        found = sorted({finding.kind for finding in self.findings} & set(kinds))
        return ", ".join(found) if found else good if self.records else "NOT EVALUABLE"

    @property
    def integrity(self) -> str:
        return self._verdict(INTEGRITY, "VERIFIED")

    @property
    def completeness(self) -> str:
        return self._verdict(COMPLETENESS, "COMPLETE" if self.decoded else "NOT JUDGED")

    @property
    def exit_code(self) -> int:
        """0 clean, 1 a finding, 2 nothing to judge."""
        if any(not finding.is_notice for finding in self.findings):
            return 1
        return 0 if self.records else 2

    def json(self) -> dict[str, Any]:
        return {
            "of": self.of,
            "at_ms": self.at_ms,
            "keys": self.keys,
            "integrity": self.integrity,
            "completeness": self.completeness,
            "partitions": [
                {
                    k: v
                    for k, v in asdict(r).items()
                    if k not in ("findings", "marked", "strange", "pruned_ms", "newest", "newest_note")
                }
                | {"newest": None if r.newest is None else {"size": r.newest.size, "root": r.newest.root}}
                for r in self.results
            ],
            "findings": [asdict(finding) for finding in self.findings],
        }
