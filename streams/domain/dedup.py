"""Is it new? Pure."""

from __future__ import annotations

from typing import NamedTuple

UNIQUE, UPGRADED, DUPLICATE = "UNIQUE", "UPGRADED", "DUPLICATE"


class Canonical(NamedTuple):
    """What is remembered of one dedup_hash."""

    artifact_id: str         # of the first sighting
    version: int             # 1, 2, …: grows with each better sighting
    best_confidence: float   # [0..1]
    first_seen_ms: int       # broker's time; an upgrade keeps it
    sightings: int           # 1, 2, …


class Content(NamedTuple):
    """What is remembered of one content: its first report."""

    artifact_id: str
    node_id: str
    first_seen_ms: int
    source_digest: bytes


class Sighting(NamedTuple):
    """One admitted artifact, as far as this decision goes."""

    artifact_id: str
    node_id: str
    confidence: float
    raw_ms: int
    source_digest: bytes


def remembered(first_seen_ms: int, raw_ms: int, horizon_ms: int) -> bool:
    """Whether an entry still counts at this time; event time on both sides."""
    return raw_ms - first_seen_ms <= horizon_ms


def judge(sighting: Sighting, known: Canonical | None) -> tuple[str, Canonical]:
    """The decision, and the row after it. `known`: the row of its dedup_hash, None if there is none or it is forgotten."""
    if known is None:
        return UNIQUE, Canonical(sighting.artifact_id, 1, sighting.confidence, sighting.raw_ms, 1)
    artifact_id, version, best, first_seen_ms, sightings = known
    if sighting.confidence > best:
        return UPGRADED, Canonical(artifact_id, version + 1, sighting.confidence, first_seen_ms, sightings + 1)
    return DUPLICATE, Canonical(artifact_id, version, best, first_seen_ms, sightings + 1)


def is_independent(sighting: Sighting, first: Content) -> bool:
    """Independent corroboration: another node *and* another source."""
    return sighting.node_id != first.node_id and sighting.source_digest != first.source_digest
