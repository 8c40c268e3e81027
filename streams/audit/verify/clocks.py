"""What the records say of clocks: the wall clock was set, the machine slept, it started anew. Told, no reproach. Standard library only."""

from __future__ import annotations

from typing import Any, NamedTuple

from streams.audit.verify.findings import Findings

STEP_NS = 1_000_000_000
SLEWED_PER_NS = 500e-6  # as fast as a kernel steers a clock without setting it

AT_A_TIME = 64  # changes that several runs may still be about to tell of


class Change(NamedTuple):
    """Seen by one run between two of its records: on the boot clock, later than `after`, not later than `upto`."""

    boot_id: bytes
    after_ns: int
    upto_ns: int
    by_ns: int
    before: int  # offset of the one record, and of the other
    offset: int


class Clocks:
    """Give it the records that count. All that run on one machine see the same change: it is told once."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._last: dict[bytes, tuple[int, int, int, int]] = {}  # run -> wall - boot, boot - mono, boot, offset
        self._boots: dict[str, bytes] = {}  # producer -> its boot id
        self._rebooted: set[bytes] = set()
        self._steps: list[Change] = []
        self._sleeps: list[Change] = []

    def see(self, offset: int, record: dict[str, Any]) -> None:
        """In offset order."""
        run, boot_ns = record["run_id"], record["boot_ns"]
        set_to, slept = record["wall_ns"] - boot_ns, boot_ns - record["mono_ns"]
        before = self._last.get(run)
        self._last[run] = (set_to, slept, boot_ns, offset)
        if before is None:
            self._begin(offset, record)
            return
        moved, asleep = set_to - before[0], slept - before[1]
        if abs(moved) > STEP_NS + SLEWED_PER_NS * (boot_ns - before[2]):
            self._steps.append(Change(record["boot_id"], before[2], boot_ns, moved, before[3], offset))
        if abs(asleep) > STEP_NS:
            self._sleeps.append(Change(record["boot_id"], before[2], boot_ns, asleep, before[3], offset))

    def _begin(self, offset: int, record: dict[str, Any]) -> None:
        boot_id, producer = record["boot_id"], record["producer_id"]
        before = self._boots.get(producer)
        self._boots[producer] = boot_id
        if before is not None and before != boot_id and boot_id not in self._rebooted:
            self._rebooted.add(boot_id)
            self.findings.add("REBOOT", self.findings.at(offset), f"{producer!r} runs on boot {boot_id.hex()[:8]} now")

    def finish(self) -> None:
        """Tell each change once. What a record says that was altered is no clock's."""
        doubtful = self.findings.marked
        if self.findings.somewhere():
            return
        for kind, changes, told in (
            ("CLOCK_STEP", self._steps, "the wall clock went by {:+.1f} s"),
            ("SUSPEND", self._sleeps, "asleep for {:.1f} s"),
        ):
            sound = [c for c in changes if c.before not in doubtful and c.offset not in doubtful]
            for change in _once(sound):
                self.findings.add(kind, self.findings.at(change.offset), told.format(change.by_ns / 1e9))


def _once(changes: list[Change]) -> list[Change]:
    """Of those of one boot that may be the same moment and are equally large: the first that saw it."""
    told: list[Change] = []
    for change in changes:
        for at in range(max(0, len(told) - AT_A_TIME), len(told)):
            known = told[at]
            same = known.boot_id == change.boot_id and abs(known.by_ns - change.by_ns) < STEP_NS
            after, upto = max(known.after_ns, change.after_ns), min(known.upto_ns, change.upto_ns)
            if same and after < upto:
                told[at] = known._replace(after_ns=after, upto_ns=upto)
                break
        else:
            told.append(change)
    return told
