"""A whole network under test: registered nodes, what they were told, and the truth about the result."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams.agents.ticks import TICK
from streams.broker.registrations import register
from streams.codec import encoder
from streams.domain.ticks import HOUR_MS
from streams.replay.conservation import Balance, balance
from streams.sdk import Node
from tests.support.fold import events
from tests.support.network import Network, lag_of, wait_until


def add_nodes(net: Network, *names: str) -> None:
    """Register; s1 reads control before raw when it starts."""
    for name in names:
        register(net.topology, net.settings, name, principal=f"p-{name}")


def node(net: Network, name: str, **options: Any) -> Node:
    """An SDK node of this deployment."""
    return Node(name, topology=net.topology, **options)


def settled(net: Network, timeout_s: float = 120) -> None:
    """Every stage is at the end of its sources."""
    for stage in net.topology.agents:
        wait_until(lambda stage=stage: lag_of(net, stage) == 0, timeout_s, f"lag 0 of {stage}")


def tick(net: Network, hour: int) -> None:
    """The hourly tick of a deployment in simulated time, as the emitter would write it: hours since 1970."""
    producer = Producer(net.settings.librdkafka_producer())
    value = encoder("control")({**TICK, "slot_ms": hour * HOUR_MS, "cadence_ms": HOUR_MS})
    producer.produce(net.topic("control"), value, b"", partition=0, timestamp=hour * HOUR_MS)
    producer.flush(10)


def check_balance(net: Network) -> Balance:
    """The conservation equation with nothing in flight."""
    sums = balance(net.topology, net.settings)
    assert (sums.residual, sums.in_flight) == (0, 0), sums
    return sums


def check_replay(net: Network, *stages: str) -> dict[str, Any]:
    """`icn replay --verify`, of all stages or these: identical, or the first difference fails the test."""
    only = [word for stage in stages for word in ("--stage", stage)]
    done = net.icn("replay", "--verify", "--json", *only, check=False)
    assert done.returncode == 0, done.stdout[:3000] + done.stderr[-3000:]
    return json.loads(done.stdout)


def decided_once(net: Network, ids: set[str]) -> Counter[str]:
    """Exactly these artifacts are decided, each once; how many of each decision."""
    decided = events(net.settings, net.topic("artifacts.decided"))
    counted = Counter(event["facts"]["artifact_id"] for event in decided)
    assert not [i for i, n in counted.items() if n > 1], "decided twice"
    assert not ids - set(counted), f"{len(ids - set(counted))} lost of {len(ids)}"
    assert not set(counted) - ids, "decided, but never sent"
    return Counter(event["decision"] for event in decided)


def jsonl(path: Path, artifacts: list[dict[str, Any]]) -> str:
    """A file for `icn produce`."""
    path.write_text("".join(json.dumps(a) + "\n" for a in artifacts))
    return str(path)
