"""A look at a network with something of everything, as the page gets it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from streams.watch.figures import Figures
from streams.watch.highlights import Highlights
from streams.watch.looking import Sight, Tables
from tests.exporter.looks import HOSTILE, NOW_MS, TABLES, figures, picture

SECRET = "words-of-a-text"


def priority(number: int, node: str = HOSTILE, key: int = 0) -> dict[str, Any]:
    """rank_key grows with the number."""
    return {
        "dedup_hash": number.to_bytes(16, "big"), "canonical_id": f"artifact-{number}", "node_id": node, "rank_key": 1000 * number + key,
        "threat_term": 0.3, "opportunity_term": 0.1, "confidence_term": 0.1, "effective_reputation": 0.5, "reputation_revision": 1,
        "first_seen_ms": NOW_MS - 60_000,
    }  # fmt: skip


def highlights() -> Highlights:
    told = Highlights()
    for number in range(1, 5):
        told.take("priorities", priority(number), f"d.priorities/0/{number}")
    for revision in range(5):
        told.take("reputation.log", {"node_id": HOSTILE, "at_ms": NOW_MS, "effective": 0.1 * revision}, "-")
    scenario = {
        "artifact_id": "fed-1",
        "slot_ms": NOW_MS,
        "domain": "finance",
        "node_id": HOSTILE,
        "tlp": "AMBER",
        "score": 0.4,
        "novelty": 0.9,
    }
    told.take("phoenix.feed", scenario, "-")
    for number, words in enumerate(("bank", "leak", "storm")):
        pattern = {
            "slot_ms": NOW_MS, "pattern_id": f"p{number}", "name": f"{SECRET} {words}", "size": 10 + number,
            "trend": "growing", "nodes": 1 + number, "confidence": 0.5,
            "centroid": [{"words": words, "weight": 1.0}, {"words": "all", "weight": 0.1 * number}],
        }  # fmt: skip
        told.take("patterns", pattern, "-")
    return told


def sight(full: bool = True) -> Sight:
    """full False: of a cluster with nothing of ours on it."""
    following: Any = SimpleNamespace(
        figures=figures() if full else Figures(),
        highlights=highlights() if full else Highlights(),
        residual=0 if full else None,
    )
    return Sight(picture(), following, TABLES if full else Tables({}, {}), 0.1, 0)
