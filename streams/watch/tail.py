"""Follows topics as they grow: each time it is asked, what came since."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.broker.topics import ends_of
from streams.errors import BrokerError
from streams.settings import Settings
from streams.watch.answers import why

CHUNK = 10_000
WAIT_S = 0.02
SILENT_S = 10.0
Place = tuple[str, int]  # topic, partition


class Recreated(BrokerError):
    """A topic ends before what was read of it: it is another one now, and what was folded of it is no longer true."""


class Tail:
    """Of topics by their full names, from their beginning or from `start`; new partitions from theirs. A topic that is missing has no
    records. Not for several threads."""

    def __init__(self, settings: Settings, topics: Sequence[str], start: Mapping[Place, int] | None = None) -> None:
        self.settings, self.topics, self.start = settings, list(topics), dict(start or {})
        self.admin = AdminClient(settings.librdkafka())
        self.consumer = Consumer(settings.librdkafka_reader())
        self.at: dict[Place, int] = {}  # the next offset of each
        self._held = deque[Any]()  # fetched, and not taken

    def news(self, chunk: int = CHUNK) -> Iterator[Any]:
        """Committed records up to the end as of now: librdkafka messages, of each partition in order. Raises BrokerError; then, and when it
        isn't read to its end, the next call goes on behind the last record that was taken."""
        ends = self._ends()
        self._assign(ends)
        open_ = {place for place, end in ends.items() if end > self.at[place]}
        heard = time.monotonic()
        while open_:
            if not self._held:
                self._held.extend(self.consumer.consume(chunk, WAIT_S))
            if self._held:
                heard = time.monotonic()
            elif time.monotonic() - heard > SILENT_S:
                raise BrokerError(f"{min(open_)[0]}: nothing came for {SILENT_S:.0f} s", "is the broker running?")
            while self._held:
                message = self._held.popleft()
                place, error = (message.topic(), message.partition()), message.error()
                if error is None:
                    self.at[place] = message.offset() + 1
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    self.at[place] = max(self.at[place], min(message.offset(), ends.get(place, 0)))
                elif not error.retriable():
                    raise BrokerError(f"{place[0]}/{place[1]}: {error.str()}")
                if self.at[place] >= ends.get(place, 0):
                    open_.discard(place)

    def _ends(self) -> dict[Place, int]:
        try:
            known = self.admin.list_topics(timeout=SILENT_S).topics
            places = [
                TopicPartition(name, partition)
                for name in self.topics
                if name in known and known[name].error is None
                for partition in known[name].partitions
            ]
            found = ends_of(self.admin, places, SILENT_S) if places else {}
        except (KafkaException, BrokerError) as error:
            cause = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(cause, KafkaException):
                raise
            raise BrokerError(why(self.settings.brokers, cause), "is the broker running?") from error
        return {(tp.topic, tp.partition): end for tp, end in found.items()}

    def _assign(self, ends: Mapping[Place, int]) -> None:
        for place, end in ends.items():
            if end < self.at.get(place, 0):
                raise Recreated(f"{place[0]} was made again: it ends at {end}, and was read to {self.at[place]}")
        new = [place for place in ends if place not in self.at]
        if not new:
            return
        self.at |= {place: self.start.get(place, 0) for place in new}
        self.consumer.assign([TopicPartition(*place, offset) for place, offset in self.at.items()])

    def close(self) -> None:
        self.consumer.close()
