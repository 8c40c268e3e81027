"""Reading topics to their end, and folding them: what tests compare with the truth."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, TopicPartition

from streams.broker.topics import watermarks
from streams.codec import decode_any
from streams.settings import Settings


def read_all(settings: Settings, topic: str, timeout_s: float = 30) -> list[Any]:
    """Every committed record of a topic up to its end as of now; librdkafka messages."""
    consumer = Consumer(settings.librdkafka_reader())
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {p: watermarks(consumer, topic, p) for p in partitions}
        open_ = {p for p, (low, high) in ends.items() if high > low}
        consumer.assign([TopicPartition(topic, p, ends[p][0]) for p in open_])
        messages = []
        deadline = time.monotonic() + timeout_s
        while open_:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: partitions {open_} not read to their end within {timeout_s} s")
            for message in consumer.consume(5000, 0.02):
                if message.error() is None:
                    messages.append(message)
                    if message.offset() + 1 >= ends[message.partition()][1]:
                        open_.discard(message.partition())
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
        return messages
    finally:
        consumer.close()


def events(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """The same, decoded."""
    return [decode_any(message.value())[1] for message in read_all(settings, topic)]


def events_in_order(settings: Settings, topic: str) -> list[dict[str, Any]]:
    """The same, each partition in the order of its offsets."""
    messages = sorted(read_all(settings, topic), key=lambda m: (m.partition(), m.offset()))
    return [decode_any(message.value())[1] for message in messages]
