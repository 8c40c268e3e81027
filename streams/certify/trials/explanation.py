"""Scores recomputed from their factors, shares added up, coordinates looked up: with arithmetic of our own."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from typing import Any

from streams.certify.checks import Checks
from streams.certify.flood import flood
from streams.certify.stand import Stand
from streams.codec import decode_any
from streams.watch.records import record_at

EXACT = 1e-9
LIVES, MEMBERS = 6, 3


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Of everything that was ranked; of some artifacts their whole life, of a pattern some members."""
    made = flood(stand, checks, rng)
    priorities = stand.read("priorities")
    weights = stand.topology.protocol["priority"]
    wrong = [at for event, at in priorities if abs(_score(weights, event) - event["score"]) > EXACT]
    checks.count("the factors make the score", len(priorities), wrong, f"{len(priorities):,} scores, to {EXACT:g}")
    revisions = {(e["node_id"], e["revision"]): e["effective"] for e, _ in stand.read("reputation.log")}
    ranked = [(e, at) for e, at in priorities if e["reputation_revision"] > 0]
    wrong = [
        at for e, at in ranked if revisions.get((e["node_id"], e["reputation_revision"])) != e["effective_reputation"]
    ]
    checks.count("the reputation used is the one of its revision", len(ranked), wrong)
    scenarios = [scenario for scenario, _ in made.scenarios]
    for scenario in rng.sample(scenarios, LIVES):
        _life(stand, checks, scenario["sent_id"])
    patterns = json.loads(stand.icn("patterns", "list", "--json").stdout)["patterns"]
    pattern = max(patterns, key=lambda one: one["size"])
    for member in rng.sample(pattern["members"], min(MEMBERS, len(pattern["members"]))):
        told = json.loads(stand.icn("patterns", "explain", pattern["pattern_id"], member, "--json").stdout)
        total = sum(word["share"] for word in told["words"])
        checks.count(
            "the words' shares add up to the margin", len(told["words"]),
            [] if abs(total - told["margin"]) <= EXACT else [f"{member}: {total} and {told['margin']}"], f"to {EXACT:g}",
        )  # fmt: skip


def _score(weights: dict[str, Any], event: dict[str, Any]) -> float:
    """score = (0.4·threat/10 + 0.3·opportunity/10 + 0.2·confidence) · reputation · 2^(−age/24 h), in [0, 1]."""
    claimed = weights["threat_weight"] * event["threat_level"] / 10
    claimed += weights["opportunity_weight"] * event["opportunity_value"] / 10
    claimed += weights["confidence_weight"] * event["confidence"]
    age_ms = max(0, event["raw_ms"] - event["first_seen_ms"])
    made = claimed * event["effective_reputation"] * 2 ** (-age_ms / 86_400_000)
    return float(round(min(1.0, max(0.0, made)), 9))


def _life(stand: Stand, checks: Checks, artifact_id: str) -> None:
    """Each step's coordinates hold the event that is told."""
    told = json.loads(stand.icn("artifact", "show", artifact_id, "--json").stdout)
    steps = {step["step"] for step in told["steps"]}
    needed = {"sent", "admitted", "decided", "scored", "fed"}
    checks.count("a life has all its steps", len(needed), sorted(f"{artifact_id}: {one}" for one in needed - steps))
    for step in told["steps"]:
        topic, partition, offset = step["at"].rsplit("/", 2)
        record = record_at(stand.settings, topic, int(partition), int(offset))
        held = {} if record is None else decode_any(record.value())[1]
        is_there = bool(held) and _same(held, step["event"])
        checks.count("its coordinates hold it", 1, [] if is_there else [step["at"]])
        checks.evidence += [step["at"]][: max(0, 3 - len(checks.evidence))]


def _same(held: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """In numbers and words, also of what is nested; JSON shows bytes in its own way."""
    plain = [told.get(name) == value for name, value in held.items() if isinstance(value, int | float | str)]
    nested = [_same(value, told[name]) for name, value in held.items() if isinstance(value, dict)]
    return all(plain) and all(nested) and bool(plain or nested)
