"""Is it new? Pure. Ids are UTF-8 bytes: nothing here looks into them."""

from __future__ import annotations

from typing import NamedTuple

UNIQUE, UPGRADED, DUPLICATE = "UNIQUE", "UPGRADED", "DUPLICATE"


class Canonical(NamedTuple):
    """What is remembered of one dedup_hash."""

    artifact_id: bytes  # of the first sighting
    version: int  # 1, 2, …: grows with each better sighting
    best_confidence: float  # [0..1]
    first_seen_ms: int  # broker's time; an upgrade keeps it
    sightings: int  # 1, 2, …


class Content(NamedTuple):
    """What is remembered of one content: its first report."""

    artifact_id: bytes
    node_id: bytes
    first_seen_ms: int
    source_digest: bytes
    confidence: float  # what was claimed [0..1]


def remembered(first_seen_ms: int, raw_ms: int, horizon_ms: int) -> bool:
    """Whether an entry still counts at this time; event time on both sides."""
    return raw_ms - first_seen_ms <= horizon_ms


def judge(artifact_id: bytes, confidence: float, raw_ms: int, known: Canonical | None) -> tuple[str, Canonical]:
    """The decision on one sighting, and the row after it. `known`: the row of its dedup_hash, None if there is none or it is forgotten."""
    if known is None:
        return UNIQUE, Canonical(artifact_id, 1, confidence, raw_ms, 1)
    first_id, version, best, first_seen_ms, sightings = known
    if confidence > best:
        return UPGRADED, Canonical(first_id, version + 1, confidence, first_seen_ms, sightings + 1)
    return DUPLICATE, Canonical(first_id, version, best, first_seen_ms, sightings + 1)


def is_independent(node_id: bytes, source_digest: bytes, first: Content) -> bool:
    """Independent corroboration: another node *and* another source."""
    return node_id != first.node_id and source_digest != first.source_digest
