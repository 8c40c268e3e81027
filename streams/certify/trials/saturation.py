"""Two floods' worth of artifacts at a feed that may give 100 an hour, and is killed three times."""

from __future__ import annotations

import random
from collections import Counter

from streams.certify.checks import Checks
from streams.certify.flood import FIRST_MS, KILLED_AT, MINUTES, flood
from streams.certify.stand import Stand
from streams.domain.ticks import HOUR_MS

GREEDY_SHARE_MIN = 0.85


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """A window ends at each scenario; both ends count."""
    made = flood(stand, checks, rng)
    slots = [one.slot_ms for one in made.fed]
    most = {slot: sum(slot - HOUR_MS <= other <= slot for other in slots) for slot in set(slots)}
    limit = stand.topology.protocol["phoenix"]["per_hour"]
    checks.count(
        "at most 100 in any 60 minutes", len(most),
        [f"{count} in the 60 minutes before {slot}" for slot, count in sorted(most.items()) if count > limit],
        f"at most {max(most.values(), default=0)}, of {made.sent:,} artifacts",
    )  # fmt: skip
    first = sum(slot < FIRST_MS + HOUR_MS for slot in slots)
    checks.holds("it is fed all it may have", first == limit, f"{first} in the first hour")
    hashes = Counter(scenario["dedup_hash"] for scenario, _ in made.scenarios)
    novelty = Counter((one.content_type, one.domain, one.text) for one in made.fed)
    wrong = [f"{key}: {count} times" for key, count in [*hashes.items(), *novelty.items()] if count > 1]
    checks.count("none is fed twice", len(hashes), wrong, f"{len(hashes)} scenarios")
    rounds = [event["slot_ms"] for event in made.rounds]
    checks.same("each minute has one round", len(rounds), len(set(rounds)))
    checks.same("each minute has one round", len(rounds), MINUTES)
    mean, greedy = (sum(one.score for one in of) / max(1, len(of)) for of in (made.fed, made.urgent))
    checks.holds(
        "it is as urgent as can be", mean >= GREEDY_SHARE_MIN * greedy,
        f"mean priority {mean:.3f}, {mean / greedy:.0%} of what urgency alone would give",
    )  # fmt: skip
    checks.holds("the feed was killed on the way", made.kills >= len(KILLED_AT), f"{made.kills} kills")
    checks.evidence += [at for _, at in made.scenarios[:3]]
