"""A few records, written by a command that says whether they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from confluent_kafka import Producer

from streams.errors import BrokerError
from streams.settings import Settings

GIVEN_UP_S = 30


def write(settings: Settings, topic: str, records: Sequence[tuple[bytes, bytes, int]]) -> list[tuple[int, int]]:
    """records: (key, value, partition; -1: where the key puts it). Returns (partition, offset) of each, in the order of delivery. Raises
    BrokerError if one is not written."""
    producer = Producer(settings.librdkafka_producer(**{"delivery.timeout.ms": GIVEN_UP_S * 1000}))
    written: list[tuple[int, int]] = []
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            written.append((message.partition(), message.offset()))
        else:
            failed.append(error.str())

    for key, value, partition in records:
        producer.produce(topic, value, key, partition=partition, on_delivery=delivered)
    producer.flush(GIVEN_UP_S + 5)
    if len(written) < len(records):
        raise BrokerError(
            f"{topic}: {len(records) - len(written)} of {len(records)} not written: "
            f"{failed[0] if failed else 'the broker did not answer'}",
            "icn broker status",
        )
    return written
