"""Find the patterns of each window again, in the texts that its event names and after the window that it follows, and compare byte for
byte. Read only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

from confluent_kafka import Consumer

from streams.agents.s5_patterns import STAGE
from streams.agents.windows import before_of, compute, window_event
from streams.broker.topics import ends, fold
from streams.codec import Undecodable, decoder, encoder
from streams.replay.verify import Finding, Result
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


class _Windows:
    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        rule: bytes,
        span: tuple[int | None, int | None],
        progress: Callable[[str], None],
    ) -> None:
        self.topology, self.settings, self.rule = topology, settings, rule
        self.start, self.end = span
        self.progress, self.result = progress, Result(STAGE)
        self.encode = {"pattern": encoder("pattern"), "window": encoder("window")}

    def run(self) -> Result:
        decode = decoder("window")
        lows = self._lows()
        groups = self._groups()
        slot_ms, patterns = next(groups, (None, []))
        before: Written | None = []
        for message in fold(self.settings, self.topology.topic("windows").name):
            try:
                window = decode(message.value() or b"")
            except Undecodable as error:
                self._find("INVENTED", _place(message), f"no window: {error}")
                continue
            while slot_ms is not None and slot_ms < window["slot_ms"]:
                self._invented(patterns)
                slot_ms, patterns = next(groups, (None, []))
            mine = patterns if slot_ms == window["slot_ms"] else []
            if window["rule"] != self.rule:
                self._find(
                    "OTHER_RULE",
                    _place(message),
                    f"found under rule version {window['rule'].hex()}, this code and topology are {self.rule.hex()}: "
                    "verify with the release and protocol settings of then",
                )
                return self.result
            if window["before_ms"] is None:
                before = []
            if before is None or any(one["start"] < lows[one["partition"]] for one in window["ranges"]):
                self.result.left_out += 1  # its texts are gone, or the patterns that it follows
            elif self._is_inside(message):
                self._compare(message, window, mine, before)
            before = mine if len(mine) == window["patterns"] else None
            if slot_ms == window["slot_ms"]:
                slot_ms, patterns = next(groups, (None, []))
        while slot_ms is not None:
            self._invented(patterns)
            slot_ms, patterns = next(groups, (None, []))
        return self.result

    def _lows(self) -> dict[int, int]:
        consumer = Consumer(self.settings.librdkafka_reader())
        try:
            return {p: low for p, (low, _) in ends(consumer, self.topology.topic("artifacts.decided").name).items()}
        finally:
            consumer.close()

    def _groups(self) -> Iterator[tuple[int | None, Written]]:
        """(end of the window, its patterns), in order: they are written a window at a time."""
        decode = decoder("pattern")

        def read() -> Iterator[tuple[Any, dict[str, Any]]]:
            for message in fold(self.settings, self.topology.topic("patterns").name):
                try:
                    yield message, decode(message.value() or b"")
                except Undecodable as error:
                    self._find("INVENTED", _place(message), f"no pattern: {error}")

        for slot_ms, group in groupby(read(), key=lambda pair: pair[1]["slot_ms"]):
            yield slot_ms, list(group)

    def _is_inside(self, message: Any) -> bool:
        at_ms = message.timestamp()[1]
        return (self.start is None or at_ms >= self.start) and (self.end is None or at_ms < self.end)

    def _compare(self, message: Any, window: dict[str, Any], mine: Written, before: Written) -> None:
        slot_ms = window["slot_ms"]
        self.progress(f"{STAGE}: {window['texts']} texts of the window that ends at {slot_ms}")
        ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
        made, of = compute(self.topology, self.settings, ranges, slot_ms, before_of([event for _, event in before]))
        self.result.batches += 1
        self.result.decided += len(made.texts)
        event = window_event(self.topology, made, of, ranges, slot_ms, window["before_ms"], self.rule)
        self._same(_place(message), self.encode["window"](event), message.value())
        wanted = [self.encode["pattern"](pattern | {"rule": self.rule}) for pattern in made.patterns]
        for number, value in enumerate(wanted):
            there = mine[number][0] if number < len(mine) else None
            place = f"{_place(message)}: pattern {number}" if there is None else _place(there)
            self._same(place, value, None if there is None else there.value())
        self._invented(mine[len(wanted) :])

    def _invented(self, patterns: Written) -> None:
        for message, _ in patterns:
            self._find("INVENTED", _place(message), "of no window that is there")

    def _same(self, place: str, recomputed: bytes, there: bytes | None) -> None:
        self.result.compared += 1
        if recomputed != there:
            kind = "MISSING" if there is None else "DIFFERS"
            self._find(kind, place, "not what is found in the texts that the window names")

    def _find(self, kind: str, where: str, detail: str) -> None:
        self.result.findings.append(Finding(kind, where, detail))


def _place(message: Any) -> str:
    return f"{message.topic()}/{message.partition()}/{message.offset()}"
