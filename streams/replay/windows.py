"""Find the patterns of each window again, in the texts that its event names and after the window that it follows, and compare byte for
byte. Read only."""

from __future__ import annotations

import time
from collections.abc import Sequence
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


class Place(NamedTuple):
    """Where a pattern is on the topic, and the digest of its whole record."""

    partition: int
    offset: int
    digest: bytes


class _Windows(Recomputation):
    """A window is a batch of the result, a text an input."""

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
        decode, told_rules = decoder("window"), set[bytes]()
        names = {alias: self.topology.topic(alias).name for alias in ("windows", "patterns", "artifacts.decided")}
        bounds = {alias: ends(self.consumer, name) for alias, name in names.items()}
        self.name = names["patterns"]
        self.texts = bounds["artifacts.decided"]
        self.pruned = {alias: any(low for low, _ in bounds[alias].values()) for alias in ("windows", "patterns")}
        self.latest_ms = time.time_ns() // 1_000_000 + self.rules.every_ms
        windows = list(fold(self.settings, names["windows"]))  # before the patterns: those of each are there by then
        self._read_patterns()
        # end of the newest window that is as it should be, and of those after it -> its patterns; None: not all are there
        self.known: dict[int, list[Place] | None] = {}
        self.newest: dict[str, Any] | None = None
        for message in windows:
            place = place_of(message)
            try:
                window = decode(message.value() or b"")
            except Undecodable as error:
                self.find("INVENTED", place, f"no window: {error}")
                continue
            mine, lacks_pruned = self._take(window)
            is_ours, found = window["rule"] == self.rule, len(self.result.findings)
            if (wrong := self._contradiction(window, is_ours)) is not None:
                self.find("INVENTED", place, wrong)
                there = [one for one in mine if one is not None]
                for one in there:
                    self.find("INVENTED", self._where(one), "of a window that is none")
                self.known.setdefault(window["slot_ms"], there)  # s5 may have followed it
                continue
            if is_ours:
                self._judge(message, place, window, mine, lacks_pruned)
            elif window["rule"] not in told_rules:
                told_rules.add(window["rule"])
                self.is_of_this_rule(place, window)
                found = len(self.result.findings)
            if len(self.result.findings) == found:
                self.newest, self.known = window, {}
            self.known[window["slot_ms"]] = None if None in mine else [one for one in mine if one is not None]
        self._judge_rest(windows[-1].offset() + 1 if windows else 0)

    def _judge(
        self, message: Any, place: str, window: dict[str, Any], mine: Sequence[Place | None], lacks_pruned: bool
    ) -> None:
        ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
        before = [] if window["before_ms"] is None else self.known.get(window["before_ms"])
        is_gone = any(start < self.texts[partition][0] for partition, (start, _) in ranges.items())
        if before is None or is_gone or lacks_pruned:
            self.result.left_out += 1  # its texts are gone, or its patterns, or those that it follows
        elif self.is_inside(message):
            self._compare(place, window, message.value(), ranges, mine, before)

    def _contradiction(self, window: dict[str, Any], is_ours: bool) -> str | None:
        """What no window says; what another rule's may say is not asked."""
        slot_ms, named = window["slot_ms"], [one["partition"] for one in window["ranges"]]
        if named != sorted(self.texts):
            return f"it names partitions {named} of {len(self.texts)}"
        if any(not 0 <= one["start"] <= one["end"] <= self.texts[one["partition"]][1] for one in window["ranges"]):
            return "it names offsets that are not there"
        if not 0 < slot_ms <= self.latest_ms:
            return f"it ends at {slot_ms}: before all time, or in the future"
        if is_ours and (slot_ms % self.rules.every_ms or window["window_ms"] != self.rules.window_ms):
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
        mine: Sequence[Place | None],
        before: Sequence[Place],
    ) -> None:
        slot_ms = window["slot_ms"]
        since = starts_since(self.consumer, self.topology, slot_ms, self.texts)
        late = [partition for partition, (start, _) in ranges.items() if start > since[partition]]
        if late:
            self.find("DIFFERS", place, f"it leaves out texts of its time, in partitions {late}")
        self.progress(f"{STAGE}: {window['texts']} texts of the window that ends at {slot_ms}")
        made, of = compute(self.topology, self.settings, ranges, slot_ms, before_of(self._events(before)))
        self.result.batches += 1
        self.result.decided += len(made.texts)
        wanted = pattern_records(self.topology, STAGE, made, self.rule, self.encode["pattern"])
        values = [record["value"] for record in wanted]
        event = window_event(self.topology, made, of, ranges, slot_ms, window["before_ms"], self.rule, values)
        self.same(place, self.encode["window"](event), written)
        for number, record in enumerate(wanted):
            there = mine[number] if number < len(mine) else None
            where = f"{place}: pattern {number}" if there is None else self._where(there)
            self.same(where, digest(**record), None if there is None else there.digest)
        for one in mine[len(wanted) :]:
            if one is not None:
                self._invented(one)

    # -- the patterns that are on the topic ---------------------------------

    def _read_patterns(self) -> None:
        """Where each is: by the end of its window, and its value's digest."""
        decode = decoder("pattern")
        self.open: dict[tuple[int, bytes], Place] = {}  # of no window so far
        self.claimed: dict[int, int] = {}  # partition -> the first offset that a window took
        again: list[Place] = []
        for message in fold(self.settings, self.name):
            record = as_record(message)
            value = message.value() or b""
            try:
                identity = decode(value)["slot_ms"], digest_of(value)
            except Undecodable as error:
                self.find("INVENTED", place_of(message), f"no pattern: {error}")
                continue
            place = Place(message.partition(), message.offset(), digest(record.key, value, record.headers or ()))
            if identity in self.open:
                again.append(place)
            else:
                self.open[identity] = place
        for place in again:
            self.find("INVENTED", self._where(place), "it is there before")

    def _take(self, window: dict[str, Any]) -> tuple[list[Place | None], bool]:
        """Of this window, by what it says of each; None: it is not there. And whether that may be since retention took it."""
        mine = [self.open.pop((window["slot_ms"], wanted), None) for wanted in digests_of(window)]
        lacks_pruned = None in mine and self.pruned["patterns"] and not self.claimed
        for one in mine:
            if one is not None:
                self.claimed.setdefault(one.partition, one.offset)
        return mine, lacks_pruned

    def _events(self, places: Sequence[Place]) -> list[dict[str, Any]]:
        """They are no longer at hand: all patterns of all windows would not fit."""
        if not places:
            return []
        partitions = {one.partition for one in places}
        first = {p: min(one.offset for one in places if one.partition == p) for p in partitions}
        end = {p: max(one.offset for one in places if one.partition == p) + 1 for p in partitions}
        others = {p: 0 for p, _ in ends(self.consumer, self.name).items() if p not in partitions}
        found = events(self.settings, self.name, "pattern", start=first, until=end | others)
        there = {(message.partition(), message.offset()): event for event, message in found}
        return [there[one.partition, one.offset] for one in places]

    def _judge_rest(self, next_offset: int) -> None:
        """Of no window. Those of one that was written while we looked are for the next time."""
        if not self.open:
            return
        name = self.topology.topic("windows").name
        newer = [window for window, _ in events(self.settings, name, "window", start={0: next_offset})]
        later = {(window["slot_ms"], one) for window in newer for one in digests_of(window)}
        for identity, one in self.open.items():
            if identity not in later:
                self._invented(one)

    def _invented(self, one: Place) -> None:
        # in front of all that a window took its window may be gone
        if not any(self.pruned.values()) or one.offset > self.claimed.get(one.partition, one.offset):
            self.find("INVENTED", self._where(one), "of no window that is there")

    def _where(self, one: Place) -> str:
        return f"{self.name}/{one.partition}/{one.offset}"


verify_windows = _Windows.verify
