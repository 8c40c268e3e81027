"""When the records that groups wait for were written: one read each, at the committed offset, remembered."""

from __future__ import annotations

import time
from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from streams.settings import Settings

READ_S = 5.0
AT_ONCE = 500  # partitions; more are read at the next looks
At = tuple[str, int, int]  # topic, partition, offset


class Oldest:
    """isolation: read_committed, or read_uncommitted for what an open transaction holds."""

    def __init__(self, settings: Settings, isolation: str = "read_committed") -> None:
        self.settings, self.isolation = settings, isolation
        self._known: dict[At, int | None] = {}

    def look(self, places: Iterable[At]) -> dict[At, int | None]:
        """Broker time of the first record there [ms]; None where only control records follow, which no reader ever sees. Without those
        that could not be read in time."""
        wanted = sorted(set(places))
        self._known = {at: self._known[at] for at in wanted if self._known.get(at) is not None}
        self._read([at for at in wanted if at not in self._known][:AT_ONCE])
        return dict(self._known)

    def _read(self, left: list[At]) -> None:
        if not left:
            return
        few = {"fetch.message.max.bytes": 1 << 16, "queued.min.messages": 1, "isolation.level": self.isolation}
        consumer = Consumer(self.settings.librdkafka_reader(**few))
        try:
            # groups of one topic may be at different offsets: one assignment per round, each partition once in it
            while left:
                now = {(t, p): o for t, p, o in reversed(left)}
                consumer.assign([TopicPartition(t, p, o) for (t, p), o in now.items()])
                open_ = set(now)
                deadline = time.monotonic() + READ_S
                while open_ and time.monotonic() < deadline:
                    for message in consumer.consume(len(open_) * 10, 0.02):
                        key = (message.topic(), message.partition())
                        if key in open_:
                            self._known[(*key, now[key])] = message.timestamp()[1] if message.error() is None else None
                            open_.discard(key)
                if len(open_) == len(now):  # nothing came: no broker answers
                    break
                left = [(t, p, o) for t, p, o in left if now[t, p] != o]
        finally:
            consumer.close()
