"""Find the patterns of each window again, in the texts that its event names and after the window that it follows, and compare byte for
byte. Read only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer

from streams.agents.s5_patterns import STAGE
from streams.agents.windows import before_of, compute, window_event
from streams.broker.topics import ends, fold
from streams.codec import Undecodable, decoder, encoder
from streams.replay.recomputation import Recomputation, place_of
from streams.replay.verify import Result
from streams.settings import Settings
from streams.topology import Topology

Written = list[tuple[Any, dict[str, Any]]]  # (message, event) of each pattern of a window


def verify_windows(
    topology: Topology,
    settings: Settings,
    rule: bytes,
    from_ms: int | None = None,
    to_ms: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Windows recorded in [from, to) of broker time. A window is a batch of the result, a text an input. Raises BrokerError."""
    return _Windows(topology, settings, rule, (from_ms, to_ms), progress).run()


class _Windows(Recomputation):
    stage, differs = STAGE, "not what is found in the texts that the window names"

    def run(self) -> Result:
        decode = decoder("window")
        self.encode = {"pattern": encoder("pattern"), "window": encoder("window")}
        self.groups = self._groups()
        self.ahead = next(self.groups, None)
        lows = self._lows()
        before: Written | None = []
        for message in fold(self.settings, self.topology.topic("windows").name):
            place = place_of(message)
            try:
                window = decode(message.value() or b"")
            except Undecodable as error:
                self.find("INVENTED", place, f"no window: {error}")
                continue
            mine = self._patterns_of(window["slot_ms"])
            if not self.is_of_this_rule(place, window):
                return self.result
            if window["before_ms"] is None:
                before = []
            if before is None or any(one["start"] < lows[one["partition"]] for one in window["ranges"]):
                self.result.left_out += 1  # its texts are gone, or the patterns that it follows
            elif self.is_inside(message):
                self._compare(place, window, message.value(), mine, before)
            before = mine if len(mine) == window["patterns"] else None
        self._patterns_of(math.inf)
        return self.result

    def _patterns_of(self, slot_ms: float) -> Written:
        """Of the window that ends there. Those in front of them are of no window."""
        while self.ahead is not None and self.ahead[0] < slot_ms:
            self._invented(self.ahead[1])
            self.ahead = next(self.groups, None)
        if self.ahead is None or self.ahead[0] != slot_ms:
            return []
        mine = self.ahead[1]
        self.ahead = next(self.groups, None)
        return mine

    def _lows(self) -> dict[int, int]:
        consumer = Consumer(self.settings.librdkafka_reader())
        try:
            return {p: low for p, (low, _) in ends(consumer, self.topology.topic("artifacts.decided").name).items()}
        finally:
            consumer.close()

    def _groups(self) -> Iterator[tuple[int, Written]]:
        """(end of the window, its patterns), in order: they are written a window at a time."""
        decode = decoder("pattern")

        def read() -> Iterator[tuple[Any, dict[str, Any]]]:
            for message in fold(self.settings, self.topology.topic("patterns").name):
                try:
                    yield message, decode(message.value() or b"")
                except Undecodable as error:
                    self.find("INVENTED", place_of(message), f"no pattern: {error}")

        for slot_ms, group in groupby(read(), key=lambda pair: pair[1]["slot_ms"]):
            yield slot_ms, list(group)

    def _compare(self, place: str, window: dict[str, Any], written: bytes, mine: Written, before: Written) -> None:
        slot_ms = window["slot_ms"]
        self.progress(f"{STAGE}: {window['texts']} texts of the window that ends at {slot_ms}")
        ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
        made, of = compute(self.topology, self.settings, ranges, slot_ms, before_of([event for _, event in before]))
        self.result.batches += 1
        self.result.decided += len(made.texts)
        event = window_event(self.topology, made, of, ranges, slot_ms, window["before_ms"], self.rule)
        self.same(place, self.encode["window"](event), written)
        wanted = [self.encode["pattern"](pattern | {"rule": self.rule}) for pattern in made.patterns]
        for number, value in enumerate(wanted):
            there = mine[number][0] if number < len(mine) else None
            where = f"{place}: pattern {number}" if there is None else place_of(there)
            self.same(where, value, None if there is None else there.value())
        self._invented(mine[len(wanted) :])

    def _invented(self, patterns: Written) -> None:
        for message, _ in patterns:
            self.find("INVENTED", place_of(message), "of no window that is there")
