"""Consumer lag, first form: every group on the cluster, per partition; in events, and in seconds by the record's own time.

Committed offsets are read first, ends after: the other way round gives negative lags. Ends are as a reader of committed records sees
them. No commit is no figure, never 0 or -1.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import BrokerError
from streams.settings import Settings

TIMEOUT_S = 15
HELD_AFTER_S = 30  # twice as long as a transaction of ours may be open


@dataclass(frozen=True)
class Lag:
    """One group, one partition. None: not known."""

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int | None  # events
    lag_seconds: float | None  # age of the oldest record not committed, by its broker time
    status: (
        str  # OK: nothing to do; BEHIND: a live member works on it; STOP: lag, and nobody works on it; NO_COMMIT; HELD
    )
    state: str  # of the group: STABLE, EMPTY, …
    held: int = 0  # events behind an open transaction: there, but no reader may see them. HELD: for longer than any of ours lasts


def read_lag(settings: Settings, groups: Sequence[str] = ()) -> list[Lag]:
    """The lag of these groups, or of all. Raises BrokerError."""
    admin = AdminClient(settings.librdkafka())
    try:
        listed = admin.list_consumer_groups(request_timeout=TIMEOUT_S).result()
        if listed.errors:  # a broker that can't be asked may have groups: no answer is not "no lag"
            raise KafkaException(listed.errors[0])
        states = {g.group_id: g.state.name for g in listed.valid}
        names = sorted(set(groups) & set(states) if groups else states)
        futures = [
            admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]) for name in names
        ]  # one group a call
        committed = {
            name: next(iter(future.values())).result().topic_partitions
            for name, future in zip(names, futures, strict=True)
        }
        wanted = {(tp.topic, tp.partition) for tps in committed.values() for tp in tps}
        ends = _ends(admin, wanted, IsolationLevel.READ_COMMITTED)
        written = _ends(admin, wanted, IsolationLevel.READ_UNCOMMITTED)
    except KafkaException as error:
        raise BrokerError(
            f"{settings.brokers}: {error.args[0].str()}", "is the broker running? icn broker status"
        ) from error
    behind = [
        (tp.topic, tp.partition, tp.offset)
        for tps in committed.values()
        for tp in tps
        if 0 <= tp.offset < ends.get((tp.topic, tp.partition), 0)
    ]
    seen = _oldest(settings, sorted(set(behind)))
    held = {(*place, end): written[place] - end for place, end in ends.items() if written.get(place, end) > end}
    since = _oldest(settings, sorted(held), "read_uncommitted")
    rows = []
    for name in names:
        for tp in sorted(committed[name], key=lambda tp: (tp.topic, tp.partition)):
            end = ends.get((tp.topic, tp.partition))
            if end is not None:
                row = _lag(name, tp, end, seen.get((tp.topic, tp.partition, tp.offset)), states[name])
                place = (tp.topic, tp.partition, end)
                if place in held:
                    age_s = time.time() - (since.get(place) or time.time() * 1000) / 1000
                    row = replace(row, held=held[place], status="HELD" if age_s > HELD_AFTER_S else row.status)
                rows.append(row)
    return rows


def _ends(
    admin: AdminClient, partitions: set[tuple[str, int]], isolation: IsolationLevel
) -> dict[tuple[str, int], int]:
    if not partitions:
        return {}
    asked = admin.list_offsets(
        {TopicPartition(t, p): OffsetSpec.latest() for t, p in partitions},
        request_timeout=TIMEOUT_S,
        isolation_level=isolation,
    )
    ends = {}
    for tp, future in asked.items():
        try:
            ends[tp.topic, tp.partition] = future.result().offset
        except KafkaException:
            continue  # the topic is gone; its group's commits will be too
    return ends


def _oldest(
    settings: Settings, at: Sequence[tuple[str, int, int]], isolation: str = "read_committed"
) -> dict[tuple[str, int, int], int | None]:
    """(topic, partition, offset) -> broker time of the first record there, or None where only control records follow."""
    found: dict[tuple[str, int, int], int | None] = {}
    if not at:
        return found
    consumer = Consumer(
        settings.librdkafka_reader(
            **{"fetch.message.max.bytes": 1 << 16, "queued.min.messages": 1, "isolation.level": isolation}
        )
    )
    try:
        # groups of one topic may be at different offsets: one assignment per round, each partition once in it
        left = list(at)
        while left:
            now = {(t, p): o for t, p, o in reversed(left)}
            consumer.assign([TopicPartition(t, p, o) for (t, p), o in now.items()])
            open_ = set(now)
            deadline = time.monotonic() + 5
            while open_ and time.monotonic() < deadline:
                for message in consumer.consume(len(open_) * 10, 0.02):
                    key = (message.topic(), message.partition())
                    if key in open_:
                        found[(*key, now[key])] = message.timestamp()[1] if message.error() is None else None
                        open_.discard(key)
            left = [(t, p, o) for t, p, o in left if now[t, p] != o]
    finally:
        consumer.close()
    return found


def _lag(group: str, tp: TopicPartition, end: int, oldest_ms: int | None, state: str) -> Lag:
    if tp.offset < 0:
        return Lag(group, tp.topic, tp.partition, None, end, None, None, "NO_COMMIT", state)
    lag = max(0, end - tp.offset)
    if lag and oldest_ms is None:
        lag = 0  # only a transaction's control record is left, which no consumer ever sees
    seconds = 0.0 if not lag or oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
    status = "OK" if not lag else "STOP" if state in ("EMPTY", "DEAD") else "BEHIND"
    return Lag(group, tp.topic, tp.partition, tp.offset, end, lag, round(seconds, 3), status, state)
