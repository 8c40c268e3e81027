"""A little of everything that may become of an artifact, and how much of each: the trial's own bookkeeping."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

from confluent_kafka import Producer

from streams.certify.stand import Stand

UNIQUE, DUPLICATE, UPGRADED, RESENT, REUSED, DEAD = 120, 60, 20, 25, 10, 15


def send(stand: Stand, name: str, rng: random.Random) -> Counter[str]:
    """By a new node of that name; settled. Returns outcomes as conservation counts them."""
    stand.register(name)
    at = {"collected_at": 5_000 * 3_600_000} if stand.topology.simulated else {}
    mark = rng.random()

    def one(number: int, confidence: float = 0.3, **more: Any) -> dict[str, Any]:
        return {"content": f"{name} {number} {mark}", "source": name, "confidence": confidence, **at, **more}

    with stand.node(name) as node:
        first = node.submit_many(one(number) for number in range(UNIQUE))
        for future in first:
            future.result(120)
        rest = node.submit_many(one(number) for number in range(DUPLICATE))
        rest += node.submit_many(one(number, 0.4) for number in range(DUPLICATE, DUPLICATE + UPGRADED))
        rest += node.submit_many(one(n, artifact_id=first[n].artifact_id) for n in range(RESENT))
        rest += node.submit_many(
            one(n, artifact_id=first[n - UNIQUE + RESENT].artifact_id) for n in range(UNIQUE, UNIQUE + REUSED)
        )
        for future in rest:
            future.result(120)
    producer = Producer(stand.settings.librdkafka_producer())
    for number in range(DEAD):
        producer.produce(
            stand.topic("artifacts.raw"), b"no record %d" % number, name.encode(), timestamp=at.get("collected_at", 0)
        )
    producer.flush(30)
    stand.settled()
    return Counter(
        unique=UNIQUE, duplicate=DUPLICATE, upgraded=UPGRADED, resent=RESENT, rejected=REUSED, dead_lettered=DEAD
    )
