"""Dead letters, sent again to the topic they came from. Each once, whoever does it and however often it is broken off."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from confluent_kafka import KafkaException, Producer

from streams.agents.deadletters import REDRIVEN
from streams.agents.letters import Letter, redriven
from streams.codec import encoder
from streams.errors import BrokerError, IcnError
from streams.settings import Settings
from streams.topology import Topology

AT_ONCE = 100  # letters in a transaction
TIMEOUT_S = 30


class Plan(NamedTuple):
    """left: why -> how many are not sent."""

    chosen: list[Letter]
    left: Counter[str]


def plan(
    topology: Topology,
    letters: Sequence[Letter],
    reasons: Sequence[str] = (),
    attempts_max: int = 3,
    limit: int | None = None,
) -> Plan:
    """Which are sent. reasons: only those; none: all. Pure."""
    left, chosen = Counter[str](), list[Letter]()
    for one in letters:
        if not one.is_open:
            left["sent again before"] += 1
        elif not topology.topics[one.source].clock:
            left[f"of {one.source}, which only stages write: a record that no batch explains is an invented one"] += 1
        elif reasons and one.about["reason"] not in reasons:
            left["for another reason"] += 1
        elif one.attempt > attempts_max:
            left[f"failed {one.attempt} times: more often than --attempts"] += 1
        elif one.about["partition"] not in range(topology.topics[one.source].partitions):
            left["without a partition that it came from"] += 1
        elif limit is not None and len(chosen) >= limit:
            left["beyond --limit"] += 1
        else:
            chosen.append(one)
    return Plan(chosen, left)


def redrive(
    topology: Topology, settings: Settings, chosen: Sequence[Letter], per_second: float, say: Callable[[int], None]
) -> int:
    """How many were sent: those that somebody else has sent meanwhile are not. Raises BrokerError, IcnError where another redrive runs."""
    producer = Producer(
        settings.librdkafka_producer(
            **{"transactional.id": f"{topology.deployment}-redrive", "client.id": "icn-redrive"}
        )
    )
    sent = 0
    try:
        producer.init_transactions(TIMEOUT_S)
        done = redriven(topology, settings)  # only now: another one that ran before has ended, or is fenced off
        left = [one for one in chosen if (one.alias, one.partition, one.offset) not in done]
        began = time.monotonic()
        for some in _in_parts(left, max(1, min(AT_ONCE, round(per_second)))):
            _send(topology, producer, some)
            sent += len(some)
            say(sent)
            time.sleep(max(0.0, began + sent / per_second - time.monotonic()) if sent < len(left) else 0)
    except KafkaException as error:
        if error.args[0].fatal():
            raise IcnError(
                f"{sent} were sent; another redrive has taken over", "look at what is left: icn dlq redrive --dry-run"
            ) from error
        raise BrokerError(
            f"{sent} were sent, then: {error.args[0].str()}", "once it answers again, the same command sends the rest"
        ) from error
    return sent


def _in_parts(letters: Sequence[Letter], size: int) -> Iterator[Sequence[Letter]]:
    for at in range(0, len(letters), size):
        yield letters[at : at + size]


def _send(topology: Topology, producer: Producer, letters: Sequence[Letter]) -> None:
    """With the word of it, all or nothing."""
    encode, log = encoder("redrive"), topology.topic("redrives").name
    producer.begin_transaction()
    for one in letters:
        topic = topology.topics[one.source]
        headers = [(name, value) for name, value in one.headers if name != REDRIVEN]
        # in a simulated deployment the producer says what time it is, and it was then
        when = {"timestamp": one.about["timestamp_ms"]} if topology.simulated else {}
        producer.produce(
            topic.name,
            one.value,
            one.key,
            partition=one.about["partition"],
            headers=[*headers, (REDRIVEN, str(one.attempt).encode())],
            **when,
        )
        said = {
            "topic": one.source,
            "partition": one.partition,
            "offset": one.offset,
            "attempt": one.attempt,
            "reason": str(one.about["reason"]),
        }
        producer.produce(log, encode(said), one.source.encode())
        producer.poll(0)
    producer.commit_transaction(TIMEOUT_S)
