"""A whole network under test: registered nodes, what they were told, and the truth about the result."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from streams.domain.ticks import HOUR_MS
from streams.replay.conservation import Balance, balance
from streams.sdk import Node
from tests.support.fold import events
from tests.support.network import Network


def add_nodes(net: Network, *names: str) -> None:
    """Register; s1 reads control before raw when it starts."""
    net.register(*names)


def node(net: Network, name: str, **options: Any) -> Node:
    """An SDK node of this deployment."""
    return net.node(name, **options)


def settled(net: Network, timeout_s: float = 120) -> None:
    """Every stage is at the end of its sources."""
    net.settled(timeout_s)


def tick(net: Network, hour: int) -> None:
    """The hourly tick of a deployment in simulated time: hours since 1970."""
    net.tick(hour * HOUR_MS, HOUR_MS)


def check_balance(net: Network) -> Balance:
    """The conservation equation with nothing in flight."""
    sums = balance(net.topology, net.settings)
    assert (sums.residual, sums.in_flight) == (0, 0), sums
    return sums


def check_replay(net: Network, *stages: str) -> dict[str, Any]:
    """`icn replay --verify`, of all stages or these: identical, or the first difference fails the test."""
    code, found = net.replay(*stages)
    assert code == 0, json.dumps(found)[:3000]
    return found


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
