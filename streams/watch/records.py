"""Single records by their coordinates, and the life of one artifact from topic to topic."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer

from streams.broker.registrations import registered
from streams.broker.topics import ends, fold
from streams.codec import Undecodable, decoder
from streams.domain.admiralty import credibility
from streams.sdk.artifacts import uuid7_ms
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.reputation import reputations

# how far before the id's time to start
WIDEN_MS = {600_000: "ten minutes before the id's time", 86_400_000: "a day before it", None: "the beginning"}


def record_at(settings: Settings, topic: str, partition: int, offset: int) -> Any | None:
    """The record at these coordinates, None if it is gone."""
    return next(iter(fold(settings, topic, partition, start={partition: offset}, until={partition: offset + 1})), None)


def last_records(settings: Settings, topic: str, count: int, partition: int | None = None) -> Iterator[Any]:
    """The last `count` records of each partition, or of one. Offsets can't tell: transaction markers and compaction take some."""
    consumer = Consumer(settings.librdkafka_reader())
    try:
        bounds = ends(consumer, topic)
    finally:
        consumer.close()
    for at, (low, high) in sorted(bounds.items()):
        if partition not in (None, at):
            continue
        span = count
        while True:
            start = max(low, high - span)
            found = deque(fold(settings, topic, at, start={at: start}, until={at: high}), maxlen=count)
            if len(found) == count or start == low:
                break
            span *= 4
        yield from found


def life(topology: Topology, settings: Settings, wanted: str, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every event about an artifact, in the order of time, then of the stages: [{step, at, time_ms, event}]. Empty if nothing is known.

    wanted: an artifact_id (any version), or a content hash [64 hex]. Topics are read from the time in the id on, then wider.
    """
    by_hash = bytes.fromhex(wanted) if len(wanted) == 64 and set(wanted) <= set("0123456789abcdef") else None
    base = wanted.split("_v")[0]
    since = uuid7_ms(base)
    for before in WIDEN_MS if since is not None else (None,):
        start = None if since is None or before is None else max(0, since - before)
        progress(f"reading topics from {WIDEN_MS[before]} …")
        steps = _steps(topology, settings, base, by_hash, start)
        if any(step["step"] != "sent" for step in steps) or start is None:
            return steps
    return []


def rating(topology: Topology, settings: Settings, steps: list[dict[str, Any]]) -> dict[str, Any] | None:
    """How the artifact of a life is rated on the two axes of the Admiralty: its node's reliability, its own credibility. None: not
    decided. {node_id, grade, credibility, principals, repeated_by, confirmed, refuted}"""
    decided = [step["event"] for step in steps if step["step"] == "decided"]
    if not decided:
        return None
    first = decided[0]["facts"]
    principal_of = {name: node["principal"] for name, node in registered(topology, settings).items()}
    own = principal_of.get(first["node_id"])
    corroborated = [step["event"] for step in steps if step["step"] == "corroborated"]
    principals = {principal_of.get(event["by_node_id"]) for event in corroborated} - {own, None}
    repeated = {event["facts"]["node_id"] for event in decided} - {first["node_id"]}
    first_votes: dict[str, str] = {}  # a judge may have judged several sightings: it is one voice all the same
    for vote in (step["event"] for step in steps if step["step"] == "voted" and step["event"]["ignored"] is None):
        first_votes.setdefault(vote["judge"], vote["outcome"])
    votes = Counter(first_votes.values())
    revision = reputations(topology, settings).get(first["node_id"])
    confirmed, refuted = votes["confirmed"], votes["refuted"]
    return {
        "node_id": first["node_id"],
        "grade": revision["grade"] if revision else "F",
        "credibility": credibility(len(principals), len(repeated), confirmed, refuted),
        "principals": len(principals),
        "repeated_by": len(repeated),
        "confirmed": confirmed,
        "refuted": refuted,
    }


def _steps(
    topology: Topology, settings: Settings, base: str, by_hash: bytes | None, since_ms: int | None
) -> list[dict[str, Any]]:
    decoded = _found(
        topology,
        settings,
        "artifacts.decided",
        "decided",
        since_ms,
        lambda m, e: (
            m.key() == by_hash if by_hash is not None else base in (e["facts"]["artifact_id"], e["canonical_id"])
        ),
    )
    ids = (
        {e["facts"]["artifact_id"] for _, e in decoded}
        | {e["canonical_id"] for _, e in decoded}
        | ({base} if by_hash is None else set())
    )
    admitted = _found(
        topology, settings, "artifacts.admitted", "admitted", since_ms, lambda m, e: e["facts"]["artifact_id"] in ids
    )
    raw = _found(topology, settings, "artifacts.raw", "artifact", since_ms, lambda m, e: e["artifact_id"] in ids)
    receipts = [
        (m, {**e, "outcomes": kept})
        for m, e in _found(topology, settings, "receipts", "receipt", since_ms, lambda m, e: True)
        if (kept := [o for o in e["outcomes"] if o["artifact_id"] in ids])
    ]
    priorities = _found(topology, settings, "priorities", "priority", since_ms, lambda m, e: e["canonical_id"] in ids)
    links = _found(
        topology,
        settings,
        "links",
        "link",
        since_ms,
        lambda m, e: bool({e["artifact_id"], e["near_duplicate_of"]} & ids),
    )
    verdicts = _found(topology, settings, "verdicts", "verdict", since_ms, lambda m, e: e["artifact_id"] in ids)
    votes = _found(topology, settings, "votes", "vote", since_ms, lambda m, e: e["artifact_id"] in ids)
    corroborated = _found(
        topology,
        settings,
        "corroborations",
        "corroboration",
        since_ms,
        lambda m, e: bool({e["artifact_id"], e["by_artifact_id"]} & ids),
    )
    fed = _found(topology, settings, "phoenix.feed", "scenario", since_ms, lambda m, e: e["artifact_id"] in ids)
    refused = _found(topology, settings, "phoenix.refused", "refusal", since_ms, lambda m, e: e["artifact_id"] in ids)
    parts = (
        ("sent", raw),
        ("admitted", admitted),
        ("decided", decoded),
        ("receipt", receipts),
        ("corroborated", corroborated),
        ("linked", links),
        ("scored", priorities),
        ("refused", refused),
        ("fed", fed),
        ("judged", verdicts),
        ("voted", votes),
    )
    steps = [
        {"step": step, "at": f"{m.topic()}/{m.partition()}/{m.offset()}", "time_ms": m.timestamp()[1], "event": e}
        for step, found in parts
        for m, e in sorted(found, key=lambda pair: pair[0].offset())
    ]
    return sorted(steps, key=lambda step: step["time_ms"])


def _found(
    topology: Topology,
    settings: Settings,
    alias: str,
    schema: str,
    since_ms: int | None,
    matches: Callable[[Any, Mapping[str, Any]], bool],
) -> list[tuple[Any, dict[str, Any]]]:
    decode = decoder(schema)
    found = []
    for message in fold(settings, topology.topic(alias).name, since_ms=since_ms):
        try:
            event = decode(message.value())
        except Undecodable:
            continue
        if matches(message, event):
            found.append((message, event))
    return found
