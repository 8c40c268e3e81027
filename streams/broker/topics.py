"""Reading topics from outside the stages: to their end as of now, then stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.codec import Undecodable, decoder
from streams.errors import BrokerError
from streams.settings import Settings

CHUNK = 10_000
LEADER_S = 30.0  # longest wait for a partition's leader: a new or moving one has none for a moment, on a busy cluster for longer
WAIT_S = 0.02  # consume() waits for a whole chunk: at the end of a topic all of this is lost


def watermarks(consumer: Consumer, topic: str, partition: int, timeout_s: float = 30) -> tuple[int, int]:
    """(first offset, end) as a reader of committed records sees it; waits for a leader. Raises KafkaException."""
    deadline = time.monotonic() + LEADER_S
    while True:
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout_s)
            return low, high
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


_LEADERLESS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
)


# Not `message.headers()`: where a name is not UTF-8, confluent-kafka returns null pointers and an exception that is still pending. CPython
# notices that in a call from C; once it has specialized a call from Python it doesn't, and the exception comes up anywhere.
_headers = methodcaller("headers")


def headers(message: Any) -> Sequence[tuple[str, bytes]] | None:
    """Of a message; None: a name in them is not UTF-8. Once for each message: asked again, it hands out the null pointers."""
    try:
        return _headers(message) or ()
    except (SystemError, UnicodeDecodeError):
        return None


def ends(consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
    """partition -> (first offset, end) as a reader of committed records sees it. Raises BrokerError."""
    try:
        about = consumer.list_topics(topic, timeout=10).topics[topic]
        if about.error is not None:
            raise BrokerError(f'topic "{topic}": {about.error.str()}', "icn topics apply makes what is missing")
        return {p: watermarks(consumer, topic, p, 10) for p in about.partitions}
    except KafkaException as error:
        raise BrokerError(f"{topic}: {error.args[0].str()}", "is the broker running? icn broker status") from error


def ends_of(
    admin: AdminClient, partitions: Sequence[TopicPartition], wait_s: float = LEADER_S
) -> dict[TopicPartition, int]:
    """The end of each as a reader of committed records sees it, in one question; waits for leaders. Raises BrokerError."""
    asked = {at: OffsetSpec.latest() for at in partitions}
    deadline = time.monotonic() + wait_s
    while True:
        futures = admin.list_offsets(asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=wait_s)
        try:
            return {at: future.result().offset for at, future in futures.items()}
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise BrokerError(error.args[0].str(), "is the broker running? icn broker status") from error
            time.sleep(0.1)


def fold(
    settings: Settings,
    topic: str,
    partition: int | None = None,
    last: int | None = None,
    since_ms: int | None = None,
    start: Mapping[int, int] | None = None,
    until: Mapping[int, int] | None = None,
    progress: Callable[[int, int], None] | None = None,
    check_crcs: bool = False,
) -> Iterator[Any]:
    """Every committed record up to the end as of the call; within a partition in order, between partitions not.

    partition: only this one. last: only the last so many offsets of each. since_ms: from this broker time on. start, until: offsets by
    partition, `until` excluded. check_crcs: librdkafka doesn't look at checksums unless told so. progress: called with (read, total)
    offsets now and then. Yields librdkafka messages. Raises BrokerError.
    """
    consumer = Consumer(settings.librdkafka_reader(**{"check.crcs": check_crcs}))
    try:
        bounds = {p: b for p, b in ends(consumer, topic).items() if partition is None or p == partition}
        if since_ms is not None:
            asked = [TopicPartition(topic, p, since_ms) for p in bounds]
            try:
                times = consumer.offsets_for_times(asked, timeout=10)
            except KafkaException as error:
                raise BrokerError(
                    f"{topic}: {error.args[0].str()}", "is the broker running? icn broker status"
                ) from error
            for at in times:
                low, high = bounds[at.partition]
                bounds[at.partition] = (max(low, at.offset) if at.offset >= 0 else high, high)
        if last is not None:
            bounds = {p: (max(low, high - last), high) for p, (low, high) in bounds.items()}
        if start is not None:
            bounds = {p: (max(low, start.get(p, low)), high) for p, (low, high) in bounds.items()}
        if until is not None:
            bounds = {p: (low, min(high, until.get(p, high))) for p, (low, high) in bounds.items()}
        yield from _read(consumer, topic, {p: b for p, b in bounds.items() if b[1] > b[0]}, progress)
    finally:
        consumer.close()


def events(settings: Settings, topic: str, schema: str, **how: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """(event, message) of each record that is one of this schema, as `fold` reads them; others tell a view nothing. Raises BrokerError."""
    decode = decoder(schema)
    for message in fold(settings, topic, **how):
        with contextlib.suppress(Undecodable):
            yield decode(message.value() or b""), message


def _read(
    consumer: Consumer, topic: str, bounds: dict[int, tuple[int, int]], progress: Callable[[int, int], None] | None
) -> Iterator[Any]:
    if not bounds:
        return
    consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in bounds.items()])
    total = sum(high - low for low, high in bounds.values())
    at = {p: low for p, (low, _) in bounds.items()}
    open_ = set(bounds)
    silent_since = time.monotonic()
    while open_:
        messages = consumer.consume(CHUNK, WAIT_S)
        if messages:
            silent_since = time.monotonic()
        elif time.monotonic() - silent_since > 30:
            raise BrokerError(
                f"{topic}: nothing came for 30 s, at {at}, wanted {bounds}", "is the broker running? icn broker status"
            )
        for message in messages:
            partition, error = message.partition(), message.error()
            if error is None:
                if message.offset() < bounds[partition][1]:
                    yield message
                at[partition] = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                at[partition] = bounds[partition][1]
            elif not error.retriable():
                raise BrokerError(f"{topic}/{partition}: {error.str()}")
            if at[partition] >= bounds[partition][1]:
                open_.discard(partition)
        if progress is not None:
            progress(sum(at[p] - bounds[p][0] for p in bounds), total)
