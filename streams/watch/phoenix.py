"""How the feed goes: how much, how diverse, what the gate refused, what starves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from streams.broker.topics import events
from streams.domain.diversity import effective_numbers
from streams.settings import Settings
from streams.topology import Topology

HOUR_MS = 3_600_000
REFUSED_FOR = {
    "tlp": "marked RED",
    "novelty": "too like what was fed",
    "domain": "enough of theirs was fed",
    "node": "enough of theirs was fed",
    "content_type": "enough of theirs was fed",
    "score": "too low",
    "reputation": "too low",
    "hour": "it is full",
}
LOOK_BACK = (50, 5_000, None)  # offsets of phoenix.rounds; None: all


def refused_for(reason: str) -> str:
    """A reason of the gate's, and what it means."""
    what = REFUSED_FOR.get(reason)
    return f"{reason.replace('_', ' ')} ({what})" if what else reason.replace("_", " ")


def newest_round(topology: Topology, settings: Settings) -> dict[str, Any] | None:
    """Raises BrokerError."""
    for last in LOOK_BACK:
        rounds = [event for event, _ in events(settings, topology.topic("phoenix.rounds").name, "round", last=last)]
        if rounds:
            return max(rounds, key=lambda event: event["slot_ms"])
    return None


def fed_since(topology: Topology, settings: Settings, since_ms: int) -> list[dict[str, Any]]:
    """Scenarios of slots from then on, in order, each with its coordinates as `at`. Raises BrokerError."""
    name = topology.topic("phoenix.feed").name
    broker_ms = None if topology.simulated else max(0, since_ms)  # a slot is written after its time
    return [
        event | {"at": f"{message.topic()}/{message.partition()}/{message.offset()}"}
        for event, message in events(settings, name, "scenario", since_ms=broker_ms)
        if event["slot_ms"] >= since_ms
    ]


def stats(topology: Topology, settings: Settings, hours: float) -> dict[str, Any] | None:
    """Of the hours up to the newest round; None: there is no round.

    {slot_ms, hours, fed, in_last_hour, waiting, refused_now: reason -> how many it holds back, refused: reason -> refusals written,
    diversity, mean_score, mean_novelty, largest_node_share, domains_in_last_hour: of which something was fed, domains_waiting,
    domains_starving: of those, that had nothing fed for an hour, starving: the longest of them, opens_ms: when the next one may be fed,
    where the windows let none pass}
    """
    newest = newest_round(topology, settings)
    if newest is None:
        return None
    since_ms = newest["slot_ms"] - round(hours * HOUR_MS)
    fed = fed_since(topology, settings, since_ms + 1)
    told = Counter(
        event["reason"]
        for event, _ in events(
            settings,
            topology.topic("phoenix.refused").name,
            "refusal",
            since_ms=None if topology.simulated else max(0, since_ms),
        )
        if event["slot_ms"] > since_ms
    )
    nodes = Counter(event["node_id"] for event in fed)
    last = [event for event in fed if event["slot_ms"] > newest["slot_ms"] - HOUR_MS]
    return {
        "slot_ms": newest["slot_ms"],
        "hours": hours,
        "fed": len(fed),
        "in_last_hour": len(last),
        "waiting": newest["waiting"],
        "refused_now": newest["refused"],
        "refused": dict(told.most_common()),
        "diversity": effective_numbers(fed),
        "mean_score": _mean([event["score"] for event in fed]),
        "mean_novelty": _mean([event["novelty"] for event in fed]),
        "largest_node_share": max(nodes.values()) / len(fed) if fed else None,
        "domains_waiting": newest["domains_waiting"],
        "domains_in_last_hour": len({one["domain"] for one in last}),
        "domains_starving": newest["domains_starving"],
        "opens_ms": newest["opens_ms"],
        "starving": newest["starving"],
    }


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
