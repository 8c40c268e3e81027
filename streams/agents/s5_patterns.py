"""Depth 5. artifacts.decided, a window at a time -> patterns, windows. Woken by the ticks on `control`.

It keeps nothing: a window's event says which offsets were read, and its patterns are found again from them and from the window before.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from streams.agents.windows import (
    Rules,
    before_of,
    compute,
    pattern_records,
    read_ranges,
    window_event,
)
from streams.agents.windows_written import newest_window
from streams.agents.woken import Writer, run
from streams.codec import encoder
from streams.runtime.rules import rule_version
from streams.settings import Settings
from streams.topology import Topology

if TYPE_CHECKING:
    from streams.domain.window import Window

STAGE = "s5_patterns"


class Patterns:
    """Writes a window's patterns, all of them or none. Raises Fatal, BrokerError."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.rules, self.rule = Rules.of(topology), rule_version(topology)
        self.every_ms = self.rules.every_ms
        self.encode_pattern, self.encode_window = encoder("pattern"), encoder("window")
        self.slot_ms: int | None = None  # of the newest window
        self.patterns: list[dict[str, Any]] = []

    def take_over(self) -> None:
        """Fence off whoever was before, and go on from what it has written."""
        self.writer = Writer(self.topology, self.settings, STAGE)
        window, self.patterns = newest_window(self.topology, self.settings)
        self.slot_ms = window["slot_ms"] if window else None

    def is_due(self, slot_ms: int) -> bool:
        return slot_ms % self.every_ms == 0 and (self.slot_ms is None or slot_ms > self.slot_ms)

    def turn(self, slots_ms: list[int]) -> str:
        """Of several that are due the newest: the others' texts are in it too."""
        window = self.make(slots_ms[-1])
        return f"{len(window.patterns)} patterns in {len(window.texts)} texts"

    def make(self, slot_ms: int) -> Window:
        """The window that ends there."""
        ranges = read_ranges(self.topology, self.settings, slot_ms)
        window, of = compute(self.topology, self.settings, ranges, slot_ms, before_of(self.patterns))
        patterns = pattern_records(self.topology, STAGE, window, self.rule, self.encode_pattern)
        values = [pattern["value"] for pattern in patterns]
        event = window_event(self.topology, window, of, ranges, slot_ms, self.slot_ms, self.rule, values)
        written = {"value": self.encode_window(event), "key": STAGE.encode()}
        self.writer.commit(slot_ms, [*(("patterns", one) for one in patterns), ("windows", written)])
        self.slot_ms, self.patterns = slot_ms, window.patterns
        return window


if __name__ == "__main__":
    sys.exit(run(STAGE, Patterns))
