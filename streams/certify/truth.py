"""What decisions must be, computed from nothing but their order: the trials' own reckoning, beside that of the stages."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from streams.certify.checks import Checks
from streams.sdk.decision import Submission

ONCE = "each is decided once"
AS_ONE = "as one worker alone would decide"
ONE_OF_EACH = "one artifact of each content"


UNDECIDED = "undecided"


def outcomes(submissions: Iterable[Submission], timeout_s: float) -> dict[str, str]:
    """artifact_id -> what its node was told, or `undecided` where that did not come in time, for all of them together: it may be lost."""
    deadline, found = time.monotonic() + timeout_s, dict[str, str]()
    for one in submissions:
        try:
            found[one.artifact_id] = one.result(max(0.01, deadline - time.monotonic())).outcome
        except TimeoutError:
            found[one.artifact_id] = UNDECIDED
    return found


def check_decisions(
    checks: Checks, decided: Sequence[dict[str, Any]], ids: Collection[str], contents: int
) -> Counter[str]:
    """decided: events, each partition in the order of its offsets. ids: of all artifacts sent; contents: how many different ones they have.

    Each artifact exactly once; exactly one UNIQUE per content; sightings of a content counted 1, 2, 3 … without hole or repeat; versions
    and best confidence as the order of the events says. Returns how many of each decision.
    """
    times = Counter(event["facts"]["artifact_id"] for event in decided)
    wrong = [f"{one}: lost" for one in ids if one not in times]
    wrong += [f"{one}: decided {number} times" for one, number in times.items() if number > 1]
    wrong += [f"{one}: decided, but never sent" for one in times if one not in set(ids)]
    checks.count(ONCE, len(ids), wrong, f"{len(ids):,} artifacts")
    best: dict[bytes, tuple[int, int, float, str]] = {}
    wrong = []
    for event in decided:
        facts = event["facts"]
        version, sightings, highest, canonical = best.get(facts["dedup_hash"], (0, 0, -1.0, facts["artifact_id"]))
        decision = "UNIQUE" if sightings == 0 else "UPGRADED" if facts["confidence"] > highest else "DUPLICATE"
        version += decision != "DUPLICATE"
        expected = (decision, sightings + 1, canonical, version)
        found = (event["decision"], event["sightings"], event["canonical_id"], event["version"])
        if found != expected:
            wrong.append(f"{facts['artifact_id']}: {found}, expected {expected}")
        best[facts["dedup_hash"]] = (version, sightings + 1, max(highest, facts["confidence"]), canonical)
    counts = Counter(event["decision"] for event in decided)
    told = ", ".join(f"{number} {name.lower()}" for name, number in sorted(counts.items()))
    checks.count(AS_ONE, len(decided), wrong, told)
    unique = counts["UNIQUE"]
    checks.count(
        ONE_OF_EACH,
        contents,
        [] if unique == len(best) == contents else [f"{unique} of {contents} contents"],
        f"{unique:,} of {len(decided):,} sightings",
    )
    return counts
