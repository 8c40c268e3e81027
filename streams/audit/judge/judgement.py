"""What the judge has to say of one run, before it is put into words."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.audit.judge.components import Component
from streams.audit.judge.composite import Composite
from streams.audit.judge.numbers import NineNumbers
from streams.audit.judge.outages import Outage
from streams.audit.judge.slots import Slots
from streams.audit.record.schedule import Schedule
from streams.audit.verify.findings import Finding


@dataclass(frozen=True)
class Equation:
    """left = the sum of right, or something is wrong."""

    left: str
    value: int
    right: dict[str, int]

    @property
    def residual(self) -> int:
        return self.value - sum(self.right.values())


WIDE = 0.2  # an interval: more says little


@dataclass
class Judgement:
    """Of one schedule."""

    of: str
    at_ms: int
    integrity: str
    completeness: str
    root: str  # of the newest checkpoint, base16; empty: nobody sealed
    schedule: Schedule | None
    others: list[str]  # schedules of the same log that aren't judged here
    slots: Slots | None
    numbers: NineNumbers
    types: dict[str, int]
    artifacts: dict[str, int]  # by type of record
    parts: list[Component]
    figure: Composite
    outages: list[Outage]
    overlap: dict[str, int]
    sensitivity: list[tuple[str, float, float]]
    equations: list[Equation]
    findings: list[Finding]
    anomalies: dict[str, int]
    lost: int
    distrust: list[str]  # why nothing that is in the log can be believed
    hosts: list[str]
    simulated: bool
    methodology: str  # as it was sealed: "v1" or what is wrong with it
    crashes: int  # ends of whoever emits the ticks without an exit
    unsigned: int  # exits that no run signed
    warnings: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def worst(self) -> Component | None:
        """The component with the lowest value."""
        known = [part for part in self.parts if part.value is not None]
        return min(known, key=lambda part: part.value or 0.0) if known else None

    @property
    def doubt(self) -> str:
        """What belongs in the same line as the verdict; empty: nothing."""
        wrong = [one for one, good in ((self.integrity, "VERIFIED"), (self.completeness, "COMPLETE")) if one != good]
        said = f", of a log that is {', '.join(wrong)}" if wrong else ""
        if self.figure.high is not None and self.figure.low is not None and self.figure.high - self.figure.low > WIDE:
            said += "; too few outages to tell, see the interval"
        return said

    @property
    def coverage(self) -> tuple[float, float | None] | None:
        """Hours that were judged, and hours that were planned."""
        if self.slots is None:
            return None
        schedule, hours = self.slots.schedule, self.slots.schedule.cadence_ms / 3_600_000
        return len(self.slots) * hours, None if schedule.slots is None else schedule.slots * hours
