"""How urgent is it? Pure. The one place that computes published floats, with `math` and never `numpy`: they differ in the last bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Weights:
    """From topology's protocol.priority."""

    threat: float
    opportunity: float
    confidence: float
    half_life_ms: int

    @classmethod
    def of(cls, section: Mapping[str, Any], half_life_ms: int) -> Weights:
        """From the YAML section."""
        return cls(section["threat_weight"], section["opportunity_weight"], section["confidence_weight"], half_life_ms)


class Score(NamedTuple):
    """A score with all that made it. score = (threat + opportunity + confidence term) · reputation · decay, in [0, 1]."""

    score: float
    rank_key: int | None
    threat_term: float
    opportunity_term: float
    confidence_term: float
    decay: float


def published(value: float) -> float:
    """Every float in an event: rounded to 1e-9."""
    return round(value, 9)


def claim(weights: Weights, threat_level: float, opportunity_value: float, confidence: float) -> int:
    """What an artifact claims to be worth, before anybody is believed [millionths, 0..1e6]."""
    return round(
        1e6
        * (
            weights.threat * threat_level / 10
            + weights.opportunity * opportunity_value / 10
            + weights.confidence * confidence
        )
    )


def score(
    weights: Weights,
    threat_level: float,
    opportunity_value: float,
    confidence: float,
    reputation: float,
    first_seen_ms: int,
    raw_ms: int,
) -> Score:
    """Score at arrival (`raw_ms`); age counts from the first sighting.

    rank_key = round(1e6 · (log2(base) + first_seen / half-life)): every score decays with the same half-life, so this order never
    changes with time. Reputation is left out, so that a changed one re-ranks by adding round(1e6 · log2(reputation)).
    """
    threat, opportunity, sure = (
        weights.threat * threat_level / 10,
        weights.opportunity * opportunity_value / 10,
        weights.confidence * confidence,
    )
    base = threat + opportunity + sure
    decay = 2.0 ** (-max(0, raw_ms - first_seen_ms) / weights.half_life_ms)
    value = min(1.0, max(0.0, base * reputation * decay))
    key = round(1e6 * (math.log2(base) + first_seen_ms / weights.half_life_ms)) if base > 0 else None
    return Score(published(value), key, published(threat), published(opportunity), published(sure), published(decay))


def ranked(rank_key: int, effective_reputation: float) -> int:
    """The full order key: what the queue is sorted by, highest first."""
    return rank_key + round(1e6 * math.log2(effective_reputation))


def score_now(base: float, reputation: float, first_seen_ms: int, now_ms: int, half_life_ms: int) -> float:
    """The score as it has decayed by now."""
    return published(min(1.0, max(0.0, base * reputation * 2.0 ** (-max(0, now_ms - first_seen_ms) / half_life_ms))))
