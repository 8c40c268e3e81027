"""The rows of s4_near once retention has taken what they were folded from: of the sketches that are left, what each inherits is in its
links, and how many came before in the weights of words."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Consumer

from streams.agents.s4_near import inheriting, rows_of, text_of
from streams.broker.topics import ends, events, fold
from streams.codec import Undecodable, decoder
from streams.domain.near import NO_IDF, Idf, Text
from streams.partition import partition_of
from streams.replay.follow import Step
from streams.runtime.stage import Table
from streams.settings import Settings
from streams.topology import Topology

INFINITE = float("inf")
Rows = Mapping[Table[Any], Mapping[bytes, Any]]


class Frozen(NamedTuple):
    """An event on idf. offset: of the sketch behind which it was made."""

    offset: int
    idf: Idf


def near_beginning(topology: Topology, settings: Settings, steps: Sequence[Step], first: int) -> tuple[int, Rows]:
    """(index of the first step of which all that it compared with is left, the rows in front of it). first: the first one whose own
    inputs and outputs are there."""
    reader = _Reader(topology, settings)
    begins_ms = reader.begins_ms()
    # compared is what is not older than the horizon
    behind = max((at for at, text in reader.texts if text.raw_ms - topology.horizon_ms <= begins_ms), default=-1)
    while first < len(steps) and steps[first].event["first_offset"] <= behind:
        first += 1
    if first == len(steps):
        return first, {}
    return first, reader.rows(steps[first].event["first_offset"])


class _Reader:
    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        consumer = Consumer(settings.librdkafka_reader())
        try:
            self.lows = {
                alias: {p: low for p, (low, _) in ends(consumer, topology.topic(alias).name).items()}
                for alias in ("sketches", "links")
            }
        finally:
            consumer.close()
        self.keys: dict[int, list[bytes]] = {}
        self.texts: list[tuple[int, Text]] = []  # (offset, text)
        self.times_ms: list[float] = []  # of the broker
        self.linked_in: list[int] = []  # partition of their links
        decode = decoder("sketch")
        for message in fold(settings, topology.topic("sketches").name):
            try:
                text, keys = text_of(decode(message.value() or b""))
            except (Undecodable, ValueError):  # a dead letter
                continue
            self.texts.append((message.offset(), text))
            self.times_ms.append(message.timestamp()[1])
            self.keys[message.offset()] = keys
            self.linked_in.append(partition_of(message.key() or b"", topology.topic("links").partitions))
        self.links: dict[int, list[dict[str, Any]]] = defaultdict(list)  # offset of the later one's sketch -> in order
        self.first_linked: dict[int, int] = {}  # partition of links -> offset of the sketch of its first one
        sketched = {offset: (text.dedup_hash, p) for (offset, text), p in zip(self.texts, self.linked_in, strict=True)}
        newest: dict[int, int] = {}
        for link, message in events(settings, topology.topic("links").name, "link"):
            offset, partition = link["input_offset"], message.partition()
            if sketched.get(offset) == (link["dedup_hash"], partition) and offset >= newest.get(partition, 0):
                newest[partition] = offset  # ours come in the order of the sketches; another one's says nothing here
                self.first_linked.setdefault(partition, offset)
                self.links[offset].append(link)

    def begins_ms(self) -> float:
        """No text that came to the network later than this is gone, or may lack a link; -infinite: nothing is gone."""
        # a sketch is written after its text came; in compressed time only the texts themselves say when that was
        if self.topology.simulated:
            self.times_ms = [text.raw_ms for _, text in self.texts]
        gone = [
            at_ms
            for (offset, _), at_ms, partition in zip(self.texts, self.times_ms, self.linked_in, strict=True)
            if self.lows["links"][partition] and offset <= self.first_linked.get(partition, offset)
        ]
        if any(self.lows["sketches"].values()):
            gone += self.times_ms[:1] or [INFINITE]
        return max(gone, default=-INFINITE)

    def rows(self, start: int) -> Rows:
        """In front of the sketch at this offset."""
        originals = [offset for offset, text in self.texts if len(text.terms) and offset not in self.links]
        frozen = list(self._frozen())
        counted = [one for one in frozen if one.offset >= self.texts[0][0]]
        if counted:
            before = counted[0].idf.version - bisect_right(originals, counted[0].offset)
        else:  # how many came between those weights and what is left nobody knows: too few to make new ones
            before = frozen[-1].idf.version if frozen else 0
        in_use = [one.idf for one in frozen if one.offset < start]
        there = [
            (self._inheriting(offset, text), self.keys[offset], offset not in self.links)
            for offset, text in self.texts
            if offset < start
        ]
        return rows_of(there, max(0, before), in_use[-1] if in_use else NO_IDF)

    def _inheriting(self, offset: int, text: Text) -> Text:
        links = self.links.get(offset)
        return inheriting(text, [(link["first_seen_ms"], link["family"]) for link in links]) if links else text

    def _frozen(self) -> Iterator[Frozen]:
        """In order; what does not go on from the one before is somebody else's."""
        newest = Frozen(-1, NO_IDF)
        for event, _ in events(self.settings, self.topology.topic("idf").name, "idf"):
            with suppress(ValueError):  # whatever is no row of numbers
                terms, documents = (np.frombuffer(event[name], "<u4") for name in ("terms", "documents"))
                one = Frozen(event["input_offset"], Idf(event["version"], terms, documents, event["texts"]))
                if len(terms) == len(documents) and one.offset > newest.offset and one.idf.version > newest.idf.version:
                    newest = one
                    yield one
