"""What an audit can find. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

INTEGRITY = ("CORRUPT", "ALTERED", "REORDERED", "FORKED", "UNDECIDABLE", "UNKNOWN_TYPE")
COMPLETENESS = ("MISSING", "TRUNCATED", "UNSEALED")
# told, and no reproach: sent twice after a crash; nobody's earlier note was there to compare with; retention; what clocks do
NOTICES = ("DUPLICATE", "UNANCHORED", "PRUNED", "CLOCK_STEP", "SUSPEND")

IN_WORDS = {
    "CORRUPT": "its bytes are not those that were hashed: bits have changed",
    "ALTERED": "it is whole, and not what was sealed or what the next record hangs on",
    "REORDERED": "it stands where another one was",
    "FORKED": "two histories were shown, both signed",
    "UNDECIDABLE": "it can't be read: no record, or of an unknown schema",
    "UNKNOWN_TYPE": "its type is not in the closed set",
    "MISSING": "it was written, and is not there",
    "TRUNCATED": "the end was cut off",
    "UNSEALED": "no checkpoint covers it, for too long",
    "DUPLICATE": "the same bytes again, as after a crash; counted once",
    "UNANCHORED": "no earlier checkpoint to compare with: this audit begins the trust",
    "PRUNED": "retention has taken it; its hash is still sealed",
    "CLOCK_STEP": "the wall clock was set",
    "SUSPEND": "the machine slept",
}


@dataclass(frozen=True)
class Finding:
    """One thing, and the exact place."""

    kind: str
    where: str  # topic/partition/offset, or offset..offset
    detail: str
    count: int = 1

    @property
    def is_notice(self) -> bool:
        return self.kind in NOTICES
