"""The top list: a fold of `priorities`, and of what is thought of each node now."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from streams.broker.topics import fold
from streams.codec import Undecodable, decoder
from streams.domain.priority import score_now
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms
from streams.watch.reputation import reputations
from streams.watch.urgency import most_urgent

TOP_MAX = 1000


def top(
    topology: Topology,
    settings: Settings,
    count: int,
    now_ms: int,
    node_id: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """The highest priorities in the order of `most_urgent`: each the newest priority event with `rank`, `score_now` and its coordinates.
    node_id: only its artifacts among the first thousand.
    """
    decode = decoder("priority")
    newest: dict[bytes, dict[str, Any]] = {}
    name = topology.topic("priorities").name
    for message in fold(settings, name, progress=progress):
        try:
            event = decode(message.value() or b"")
        except Undecodable:  # not ours; icn replay says where it is
            continue
        newest[event["dedup_hash"]] = event | {"at": f"{name}/{message.partition()}/{message.offset()}"}
    best = most_urgent(newest.values(), reputations(topology, settings), TOP_MAX if node_id else min(count, TOP_MAX))
    half_life_ms = duration_ms(topology.protocol["priority"]["half_life"])
    for rank, event in enumerate(best, 1):
        base = math.fsum((event["threat_term"], event["opportunity_term"], event["confidence_term"]))
        event["rank"] = rank
        event["score_now"] = score_now(
            base, event["effective_reputation"], event["first_seen_ms"], now_ms, half_life_ms
        )
    return best if node_id is None else [event for event in best if event["node_id"] == node_id][:count]
