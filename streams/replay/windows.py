"""Find the patterns of each window again, in the texts that its event names and after the window that it follows, and compare byte for
byte. Read only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer

from streams.agents.s5_patterns import STAGE
from streams.agents.windows import (
    Ranges,
    Rules,
    before_of,
    compute,
    digest_of,
    pattern_records,
    starts_since,
    window_event,
)
from streams.agents.windows_written import digests_of
from streams.broker.topics import ends, events, fold
from streams.codec import Undecodable, decoder, encoder
from streams.replay.outputs import digest
from streams.replay.recomputation import Recomputation, place_of
from streams.replay.verify import Result
from streams.runtime.reread import as_record
from streams.settings import Settings
from streams.topology import Topology

AHEAD_MAX = 1_000  # records: an intruder's, before the one that is looked for


class Written(NamedTuple):
    """A pattern that is on the topic."""

    message: Any
    event: dict[str, Any]
    digest: bytes


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
        self.encode = {"pattern": encoder("pattern"), "window": encoder("window")}
        self.rules = Rules.of(self.topology)
        self.consumer = Consumer(self.settings.librdkafka_reader())
        try:
            self._judge_all()
        finally:
            self.consumer.close()
        return self.result

    def _judge_all(self) -> None:
        decode, self.is_other_rule_new = decoder("window"), True
        names = {alias: self.topology.topic(alias).name for alias in ("windows", "patterns", "artifacts.decided")}
        bounds = {alias: ends(self.consumer, name) for alias, name in names.items()}
        self.texts = bounds["artifacts.decided"]
        self.pruned = {alias: any(low for low, _ in bounds[alias].values()) for alias in ("windows", "patterns")}
        windows = list(fold(self.settings, names["windows"]))  # before the patterns: those of each are there by then
        self.stream, self.ahead, self.is_begun = self._patterns(), deque[Written](), False
        # end of the newest window that is as it should be, and of those after it -> its patterns; None: not all are there
        self.known: dict[int, list[Written] | None] = {}
        self.newest: dict[str, Any] | None = None
        for message in windows:
            place = place_of(message)
            try:
                window = decode(message.value() or b"")
            except Undecodable as error:
                self.find("INVENTED", place, f"no window: {error}")
                continue
            mine, found = self._take(window), len(self.result.findings)
            if window["rule"] == self.rule:
                self._judge(message, place, window, mine)
            elif self.is_other_rule_new:
                self.is_other_rule_new = self.is_of_this_rule(place, window)
                found = len(self.result.findings)
            if len(self.result.findings) == found:
                self.newest, self.known = window, {}
            self.known[window["slot_ms"]] = None if None in mine else [one for one in mine if one is not None]
        self._judge_rest(windows[-1].offset() + 1 if windows else 0)

    def _judge(self, message: Any, place: str, window: dict[str, Any], mine: Sequence[Written | None]) -> None:
        wrong = self._contradiction(window)
        if wrong is not None:
            self.find("INVENTED", place, wrong)
            return
        ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
        before = [] if window["before_ms"] is None else self.known.get(window["before_ms"])
        is_gone = any(start < self.texts[partition][0] for partition, (start, _) in ranges.items())
        lacks_pruned = None in mine and self.pruned["patterns"] and not self.is_begun
        if before is None or is_gone or lacks_pruned:
            self.result.left_out += 1  # its texts are gone, or its patterns, or those that it follows
        elif self.is_inside(message):
            self._compare(place, window, message.value(), ranges, mine, before)

    def _contradiction(self, window: dict[str, Any]) -> str | None:
        """What no window of ours says."""
        slot_ms, named = window["slot_ms"], [one["partition"] for one in window["ranges"]]
        if named != sorted(self.texts):
            return f"it names partitions {named} of {len(self.texts)}"
        if any(not 0 <= one["start"] <= one["end"] <= self.texts[one["partition"]][1] for one in window["ranges"]):
            return "it names offsets that are not there"
        if slot_ms % self.rules.every_ms or window["window_ms"] != self.rules.window_ms:
            return f"windows of {self.rules.window_ms} ms end every {self.rules.every_ms} ms: {slot_ms} is no such end"
        if self.newest is None:
            if window["before_ms"] is not None and not self.pruned["windows"]:
                return f"it follows a window that ends at {window['before_ms']}: there is none"
            return None
        if slot_ms <= self.newest["slot_ms"]:
            return f"the window before ends at {self.newest['slot_ms']}, this one at {slot_ms}"
        if window["before_ms"] not in self.known:
            return f"it follows a window that ends at {window['before_ms']}, and not the one before"
        reached = {one["partition"]: one["end"] for one in self.newest["ranges"]}
        if any(one["end"] < reached.get(one["partition"], 0) for one in window["ranges"]):
            return "it ends at offsets that the window before had read"
        return None

    def _compare(
        self,
        place: str,
        window: dict[str, Any],
        written: bytes,
        ranges: Ranges,
        mine: Sequence[Written | None],
        before: list[Written],
    ) -> None:
        slot_ms = window["slot_ms"]
        since = starts_since(self.consumer, self.topology, slot_ms, self.texts)
        late = [partition for partition, (start, _) in ranges.items() if start > since[partition]]
        if late:
            self.find("DIFFERS", place, f"it leaves out texts of its time, in partitions {late}")
        self.progress(f"{STAGE}: {window['texts']} texts of the window that ends at {slot_ms}")
        made, of = compute(self.topology, self.settings, ranges, slot_ms, before_of([one.event for one in before]))
        self.result.batches += 1
        self.result.decided += len(made.texts)
        wanted = pattern_records(self.topology, STAGE, made, self.rule, self.encode["pattern"])
        values = [record["value"] for record in wanted]
        event = window_event(self.topology, made, of, ranges, slot_ms, window["before_ms"], self.rule, values)
        self.same(place, self.encode["window"](event), written)
        for number, record in enumerate(wanted):
            there = mine[number] if number < len(mine) else None
            where = f"{place}: pattern {number}" if there is None else place_of(there.message)
            self.same(where, digest(**record), None if there is None else there.digest)
        for one in mine[len(wanted) :]:
            if one is not None:
                self._invented(one)

    # -- the patterns that are on the topic ---------------------------------

    def _patterns(self) -> Iterator[Written]:
        decode = decoder("pattern")
        for message in fold(self.settings, self.topology.topic("patterns").name):
            record = as_record(message)
            try:
                event = decode(message.value() or b"")
            except Undecodable as error:
                self.find("INVENTED", place_of(message), f"no pattern: {error}")
                continue
            yield Written(message, event, digest(record.key, message.value(), record.headers or ()))

    def _take(self, window: dict[str, Any]) -> list[Written | None]:
        """Of this window, by what it says of each; None: it is not there. What lies in front of one is of no window."""
        mine: list[Written | None] = []
        for wanted in digests_of(window):
            found = next((at for at, one in enumerate(self._look_ahead()) if _is(one, window, wanted)), None)
            for _ in range(found or 0):
                self._invented(self.ahead.popleft())
            mine.append(None if found is None else self.ahead.popleft())
            self.is_begun |= found is not None
        return mine

    def _look_ahead(self) -> Iterator[Written]:
        """What is not taken yet, in order."""
        yield from list(self.ahead)
        while len(self.ahead) < AHEAD_MAX and (one := next(self.stream, None)) is not None:
            self.ahead.append(one)
            yield one

    def _judge_rest(self, next_offset: int) -> None:
        """Behind those of the last window. Of one that was written while we looked they are for the next time."""
        rest = [*self.ahead, *self.stream]
        if not rest:
            return
        name = self.topology.topic("windows").name
        newer = [w for w, _ in events(self.settings, name, "window", start={0: next_offset})]
        later = {(window["slot_ms"], one) for window in newer for one in digests_of(window)}
        for one in rest:
            if (one.event["slot_ms"], digest_of(one.message.value())) not in later:
                self._invented(one)

    def _invented(self, one: Written) -> None:
        if self.is_begun or not any(self.pruned.values()):  # else its window is gone
            self.find("INVENTED", place_of(one.message), "of no window that is there")


def _is(one: Written, window: dict[str, Any], wanted: bytes) -> bool:
    return bool(one.event["slot_ms"] == window["slot_ms"] and digest_of(one.message.value()) == wanted)
