"""What the coordinator and the feed read: several topics, each partition in order, and between them an order that does not depend on who
was faster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.broker.topics import ends, ends_of
from streams.errors import BrokerError
from streams.runtime.reread import as_record
from streams.runtime.stage import Record
from streams.settings import Settings
from streams.topology import Topology

CHUNK = 2_000
SILENT_S = 30.0


class Letter(NamedTuple):
    """A record, and where it came from."""

    source: str  # the topic's alias
    partition: int
    record: Record


class Inbox:
    """reader: whose. sources: aliases, in the order in which what arrived together is taken. since_ms: source -> broker's time from which
    it is read; of others from the beginning. Raises BrokerError."""

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        reader: str,
        sources: Sequence[str],
        since_ms: Mapping[str, int] | None = None,
    ) -> None:
        self.sources = sources
        self.alias = {topology.topic(alias).name: alias for alias in sources}
        self.names = {alias: name for name, alias in self.alias.items()}
        self.admin = AdminClient(
            settings.librdkafka()
        )  # of its own: a question to the consumer's broker waits behind its long fetches
        self.consumer = Consumer(
            settings.librdkafka_reader(**{"client.id": f"icn-{reader}", "enable.partition.eof": False})
        )
        self.waiting: dict[tuple[str, int], deque[Record]] = {}
        self.read: dict[tuple[str, int], int] = {}
        for name, alias in self.alias.items():
            for partition, (low, _) in ends(self.consumer, name).items():
                self.waiting[alias, partition], self.read[alias, partition] = deque(), low
        for alias, at_ms in (since_ms or {}).items():
            self._start(topology.topic(alias).name, alias, at_ms)
        self.consumer.assign([TopicPartition(topology.topic(a).name, p, low) for (a, p), low in self.read.items()])

    def _start(self, name: str, alias: str, at_ms: int) -> None:
        asked = [TopicPartition(name, p, max(0, at_ms)) for a, p in self.read if a == alias]
        before = ends(self.consumer, name)  # what comes while we ask is behind them
        try:
            found = self.consumer.offsets_for_times(asked, timeout=30)
        except KafkaException as error:
            raise BrokerError(f"{name}: {error.args[0].str()}", "is the broker running? icn broker status") from error
        for at in found:
            self.read[alias, at.partition] = at.offset if at.offset >= 0 else before[at.partition][1]

    def poll(self, timeout_s: float) -> set[str]:
        """Take in what has come; of which sources something is waiting."""
        for message in self.consumer.consume(CHUNK, timeout_s):
            if message.error() is not None:
                continue  # librdkafka goes on by itself once the broker is back
            self.waiting[self.alias[message.topic()], message.partition()].append(as_record(message))
        return {alias for (alias, _), records in self.waiting.items() if records}

    def take(self, until: Mapping[str, int] | None = None, most: int | None = None) -> Iterator[Letter]:
        """What is waiting: source by source, partition by partition. until: as `position` gave it; waits for all of it. most: the rest
        is left.

        Raises BrokerError.
        """
        if until is not None:
            self._wait_for(until)
        left = most
        for alias in self.sources:
            for (name, partition), records in sorted(self.waiting.items()):
                end = None if until is None else until.get(f"{alias}/{partition}", 0)
                while name == alias and records and (end is None or records[0].offset < end):
                    if left is not None:
                        if left == 0:
                            return
                        left -= 1
                    record = records.popleft()
                    self.read[alias, partition] = record.offset + 1
                    yield Letter(alias, partition, record)

    def position(self) -> dict[str, int]:
        """source/partition -> first offset that was not taken."""
        return {f"{alias}/{partition}": offset for (alias, partition), offset in sorted(self.read.items())}

    def catch_up(self) -> None:
        """Take in all there is by now. Raises BrokerError."""
        self._wait_for(self.ends())

    def ends(self) -> dict[str, int]:
        """source/partition -> end, as of now. Raises BrokerError."""
        found = ends_of(self.admin, [TopicPartition(self.names[alias], p) for alias, p in self.read])
        return {f"{self.alias[at.topic]}/{at.partition}": end for at, end in found.items()}

    def _wait_for(self, until: Mapping[str, int]) -> None:
        missing = {key: until.get(f"{key[0]}/{key[1]}", 0) for key in self.read}
        silent_since = time.monotonic()
        while True:
            at = {(self.alias[p.topic], p.partition): p.offset for p in self._positions()}
            behind = [key for key, end in missing.items() if max(at.get(key, 0), self.read[key]) < end]
            if not behind:
                return
            before = sum(map(len, self.waiting.values()))
            self.poll(0.05)
            if sum(map(len, self.waiting.values())) > before:
                silent_since = time.monotonic()
            elif time.monotonic() - silent_since > SILENT_S:
                raise BrokerError(
                    f"nothing came of {behind} for {SILENT_S:.0f} s", "is the broker running? icn broker status"
                )

    def _positions(self) -> list[Any]:
        """Behind what was delivered; librdkafka says so, also where the last of it was no record."""
        try:
            return list(self.consumer.position(self.consumer.assignment()))
        except KafkaException as error:
            raise BrokerError(error.args[0].str(), "is the broker running? icn broker status") from error

    def close(self) -> None:
        self.consumer.close()
