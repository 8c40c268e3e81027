"""What was promised before it began: the ticks of a run, from the manifest of whoever emits them. So a tick that never came is expected
all the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from streams.audit.files import write_whole
from streams.audit.record.methodology import OVERLONG_PERCENT
from streams.clock import Steady, boot_id
from streams.words import YEAR_9999_MS

MS = 1_000_000  # ns
NAME_MAX = 100
CADENCE_MIN_MS = 100
TOLERANCE_MAX_MS = 2_000


class Schedule(NamedTuple):
    """Slot k begins at t0 + k * cadence. Times in ms since 1970, UTC, and on the boot clock once it is anchored."""

    name: str
    t0_ms: int
    cadence_ms: int
    slots: int | None  # None: without an end
    tolerance_ms: int

    @classmethod
    def aligned(cls, name: str, not_before_ms: int, cadence_ms: int, slots: int | None) -> Schedule:
        """Begins at the first full cadence that is not before."""
        t0_ms = -(-not_before_ms // cadence_ms) * cadence_ms
        return cls(name, t0_ms, cadence_ms, slots, min(TOLERANCE_MAX_MS, cadence_ms // 2))

    def text(self) -> str:
        """For people."""
        much = "without an end" if self.slots is None else f"{self.slots} ticks"
        return f"{self.name}: {much}, one in {self.cadence_ms / 1000:g} s"

    def slot_at(self, wall_ms: float) -> int:
        """The slot that a time lies in; below 0: before it begins."""
        return int((wall_ms - self.t0_ms) // self.cadence_ms)

    def expected(self, cut_ms: int) -> int:
        """Slots that are over at the cut."""
        over = max(0, self.slot_at(cut_ms))
        return over if self.slots is None else min(over, self.slots)

    @property
    def overlong_ms(self) -> int:
        """A tick and its jobs may take so long."""
        return self.cadence_ms * OVERLONG_PERCENT // 100

    def json(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return self._asdict()


def read_schedule(value: object) -> Schedule | None:
    """None: a manifest without one, or with one that can't be."""
    if not isinstance(value, Mapping) or set(value) != set(Schedule._fields):
        return None
    numbers = [value[name] for name in ("t0_ms", "cadence_ms", "tolerance_ms")]
    slots = value["slots"]
    if not all(type(number) is int and 0 <= number < YEAR_9999_MS for number in numbers):
        return None
    if not isinstance(value["name"], str) or not value["name"].isprintable() or len(value["name"]) > NAME_MAX:
        return None
    if slots is not None and (type(slots) is not int or not 0 < slots < 1 << 31):
        return None
    if value["cadence_ms"] < CADENCE_MIN_MS or value["t0_ms"] + (slots or 1) * value["cadence_ms"] > YEAR_9999_MS:
        return None
    t0_ms, cadence_ms, tolerance_ms = numbers
    return Schedule(value["name"], t0_ms, cadence_ms, slots, tolerance_ms)


class KeptSchedule:
    """A schedule in a file of the state folder, with the clock that it goes by. Whoever starts again after a crash goes on with the same:
    what it missed is missed, and a wall clock that was set meanwhile changes nothing. A clean stop ends it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.steady = Steady()

    def resume_or_begin(self, fresh: Schedule) -> Schedule:
        """The one that was not ended, if it is of the same name and cadence; else the fresh one."""
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            kept = json.loads(self.path.read_text())
            schedule = read_schedule(kept["schedule"])
            if schedule is not None and (schedule.name, schedule.cadence_ms) == (fresh.name, fresh.cadence_ms):
                if kept["boot_id"] == boot_id().hex() and any(boot_id()):  # after a reboot it is anchored anew
                    self.steady = Steady(int(kept["zero_ns"]))
                else:
                    self.keep(schedule)
                return schedule
        self.keep(fresh)
        return fresh

    def keep(self, schedule: Schedule) -> None:
        """Whoever starts next goes on with this one."""
        kept = {"schedule": schedule.json(), "boot_id": boot_id().hex(), "zero_ns": self.steady.zero_ns}
        write_whole(self.path, json.dumps(kept).encode())

    def end(self) -> None:
        """It was stopped, and says so."""
        self.path.unlink(missing_ok=True)
