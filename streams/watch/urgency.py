"""The order of the top list. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from streams.domain.priority import ranked

Event = dict[str, Any]


def most_urgent(priorities: Iterable[Event], reputations: Mapping[str, Event], count: int) -> list[Event]:
    """Of priority events, best first, each with its node's reputation of now. reputations: node -> its newest revision.

    Order: rank_key + log2(effective reputation), which time doesn't change; ties by canonical_id. The reputation is the node's newest
    revision, not the one that was stamped on the artifact: a demoted node's artifacts sink, all of them. Score 0 is unranked.
    """
    eligible = []
    for event in priorities:
        revision = reputations.get(event["node_id"])
        if revision is not None and revision["revision"] > event["reputation_revision"]:
            now = {"effective_reputation": revision["effective"], "reputation_revision": revision["revision"]}
            event = event | now
        if event["rank_key"] is not None and event["effective_reputation"] > 0:
            eligible.append(event)
    return heapq.nsmallest(
        count,
        eligible,
        key=lambda e: (-ranked(e["rank_key"], e["effective_reputation"]), e["canonical_id"], e["dedup_hash"]),
    )
