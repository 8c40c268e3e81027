"""A collecting node that does what a test tells it, and what the coordinator has put on record."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.broker.registrations import kept_token, register
from streams.codec import decoder
from streams.domain.targets import Target
from streams.sdk.voice import Voice
from tests.support.fold import events
from tests.support.network import Network

CADENCE_MS = 1_000
FAST = {"protocol__coordination__cadence": "1s"}


class FakeNode:
    """Says that it is there; `work` gives each assignment to `does`. Nothing is collected, nothing submitted."""

    def __init__(self, net: Network, name: str, *capabilities: str) -> None:
        register(net.topology, net.settings, name, f"p-{name}", capabilities or ("http", "feed"))
        self.net, self.name = net, name
        self.voice = Voice(net.topology, net.settings, name, kept_token(net.settings, name, None))
        self.consumer = Consumer(net.settings.librdkafka_reader(**{"enable.partition.eof": False}))
        self.consumer.assign([TopicPartition(net.topic("assignments"), 0, 0)])
        self.decode = decoder("assignment")
        self.voice.say("started")
        self.voice.flush(10)

    def work(self, seconds: float, does: Callable[[dict[str, Any]], None]) -> int:
        """So long; how many assignments came."""
        until, beat, number = time.monotonic() + seconds, 0.0, 0
        while time.monotonic() < until:
            if time.monotonic() > beat:
                self.voice.say("heartbeat")
                beat = time.monotonic() + CADENCE_MS / 1000
            for message in self.consumer.consume(100, 0.05):
                if message.error() is None and message.key() == self.name.encode():
                    number += 1
                    does(self.decode(message.value()))
            self.voice.flush(1)
        return number

    def close(self) -> None:
        self.consumer.close()


def pages(count: int, **fields: Any) -> list[Target]:
    return [
        Target("http", f"https://example.org/{number}", **{"interval_ms": 1_000, **fields}) for number in range(count)
    ]


def told(net: Network, alias: str) -> list[dict[str, Any]]:
    """What is on a topic of the coordinator."""
    return list(events(net.settings, net.topic(alias)))
