"""What a trial found: checks, each with the number of facts it compared. A check that compared nothing has failed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SHOWN_MAX = 3  # of what is wrong


@dataclass
class Check:
    """says: what must hold. measured: its figure, in words. wrong: the first facts against it."""

    says: str
    facts: int = 0
    measured: str = ""
    wrong: list[str] = field(default_factory=list)
    wrong_count: int = 0

    @property
    def holds(self) -> bool:
        return self.facts > 0 and not self.wrong_count

    def json(self) -> dict[str, Any]:
        return {
            "check": self.says,
            "holds": self.holds,
            "facts": self.facts,
            "measured": self.measured,
            "wrong": self.wrong_count,
            "examples": self.wrong,
        }


@dataclass
class Checks:
    """Of one trial. faults: how often it hurt the deployment. evidence: coordinates and files at which anyone can look."""

    all: dict[str, Check] = field(default_factory=dict)
    faults: int = 0
    evidence: list[str] = field(default_factory=list)

    def same(self, says: str, found: Any, expected: Any, about: str = "") -> None:
        """One fact."""
        self.count(
            says, 1, [] if found == expected else [f"{about}: " * bool(about) + f"{found!r}, expected {expected!r}"]
        )

    def holds(self, says: str, is_so: bool, found: str) -> None:
        """One fact that is no equation. found: what was measured."""
        self.count(says, 1, [] if is_so else [found], found)

    def count(self, says: str, facts: int, wrong: list[str], measured: str = "") -> None:
        """So many facts, and those of them that are not as they should be."""
        check = self.all.setdefault(says, Check(says))
        check.facts += facts
        check.wrong_count += len(wrong)
        check.wrong += [one[:300] for one in wrong[: SHOWN_MAX - len(check.wrong)]]
        check.measured = measured or check.measured

    def measured(self, says: str, figure: str) -> None:
        """The figure of a check."""
        self.all[says].measured = figure

    @property
    def facts(self) -> int:
        return sum(check.facts for check in self.all.values())

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.all.values() if not check.holds]

    @property
    def passed(self) -> bool:
        return bool(self.all) and not self.failed
