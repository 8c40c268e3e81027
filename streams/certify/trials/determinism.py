"""Everything that was decided so far, recomputed twice; and the bytes that were there before, read again."""

from __future__ import annotations

import hashlib
import random
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from streams.broker.topics import fold
from streams.certify import mixed
from streams.certify.checks import Checks
from streams.certify.stand import Stand

Ends = Mapping[int, int]  # partition -> offset behind the last record


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Each replay is a process of its own."""
    mixed.send(stand, f"replayed-{stand.topology.simulated:d}", rng)
    topics = [name for name, topic in stand.topology.topics.items() if topic.cleanup == "delete"]
    before = {alias: _digest(stand, alias, None) for alias in topics}
    # what hours of a simulated deployment come to takes minutes: there, once
    found = [stand.replay() for _ in range(1 if stand.topology.simulated else 2)]
    mixed.send(stand, f"replayed-{stand.topology.simulated:d}-again", rng)
    for code, document in found:
        compared = sum(stage["compared"] for stage in document["stages"])
        wrong = [f"{f['kind']} {f['where']}: {f['detail']}" for stage in document["stages"] for f in stage["findings"]]
        says = "replay gives the same bytes"
        told = f"{compared:,} outputs of {sum(stage['decided'] for stage in document['stages']):,} inputs"
        checks.count(says, compared, wrong or [f"exit code {code}"] * bool(code), told)
    for _, other in found[1:]:
        checks.same("two replays say the same", _judged(other), _judged(found[0][1]))
    for alias, (digest, ends, records) in before.items():
        again, _, _ = _digest(stand, alias, ends)
        checks.count("what was written stays as it was", records, [] if again == digest else [stand.topic(alias)])


def _judged(document: dict[str, Any]) -> list[tuple[str, int]]:
    """Per stage what was recomputed and found. While a deployment runs it may have ticked in between."""
    return [(stage["stage"], len(stage["findings"])) for stage in document["stages"]]


def _digest(stand: Stand, alias: str, until: Ends | None) -> tuple[str, dict[int, int], int]:
    """SHA-256 over every record of a topic up to those ends (None: all of now), the ends, and how many records."""
    hashes: dict[int, hashlib._Hash] = defaultdict(hashlib.sha256)
    ends, records = dict[int, int](), 0
    for message in fold(stand.settings, stand.topic(alias), until=until):
        if until is not None and message.offset() >= until.get(message.partition(), 0):
            continue
        for part in (
            b"%d" % message.offset(),
            message.key() or b"",
            message.value() or b"",
            b"%d" % message.timestamp()[1],
        ):
            hashes[message.partition()].update(len(part).to_bytes(8, "big") + part)
        ends[message.partition()] = message.offset() + 1
        records += 1
    return "".join(f"{p}:{hashes[p].hexdigest()}" for p in sorted(hashes)), ends, records
