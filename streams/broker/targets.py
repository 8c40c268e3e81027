"""Targets as the topic tells of them, and how one is added, changed or removed. For the CLI and tests; the coordinator folds for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from streams.broker.topics import events
from streams.broker.write import write
from streams.codec import encoder
from streams.domain.targets import Target, target_of
from streams.errors import IcnError
from streams.settings import Settings
from streams.topology import Topology

LOCATION_MAX = 2_000  # characters
METADATA_MAX = 64
INTERVAL_MIN_MS, INTERVAL_MAX_MS = 1_000, 366 * 86_400_000
WITH_URL = ("http", "feed", "taxii")


def check(target: Target) -> None:
    """Raises IcnError for one that nobody could collect, or that couldn't be told from another."""
    name = f"target {target.type}:{target.location}"[:200]
    if not target.type or not target.type.isprintable() or ":" in target.type or len(target.type) > METADATA_MAX:
        raise IcnError(
            f"type {target.type!r}: 1 to {METADATA_MAX} characters, none of them a colon", "icn target add --help"
        )
    if not target.location.strip() or not target.location.isprintable() or len(target.location) > LOCATION_MAX:
        raise IcnError(f"location {target.location!r:.80}: 1 to {LOCATION_MAX} printable characters")
    if target.type in WITH_URL:
        try:
            parts = urlsplit(target.location)
            fits = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:
            fits = False
        if not fits:
            raise IcnError(f"{name}: no http(s) URL", "for example: https://example.org/feed.xml")
    if not 1 <= target.priority <= 10:
        raise IcnError(f"{name}: priority {target.priority}; it must be from 1 to 10, 10 first")
    for what, value in (("interval", target.interval_ms), ("retry", target.retry_ms)):
        if not INTERVAL_MIN_MS <= value <= INTERVAL_MAX_MS:
            raise IcnError(f"{name}: {what} of {value / 1000:g} s; it must be from 1 s to 366 days")
    if len(target.metadata) > METADATA_MAX or any(len(k) + len(v) > LOCATION_MAX for k, v in target.metadata):
        raise IcnError(f"{name}: at most {METADATA_MAX} metadata entries of {LOCATION_MAX} characters")


def targets(topology: Topology, settings: Settings) -> dict[str, Target]:
    """id -> target, those that are not removed."""
    found: dict[str, Target] = {}
    for event, _ in events(settings, topology.topic("targets").name, "target"):
        found.pop(event["target_id"], None)
        if event["kind"] == "added":
            found[event["target_id"]] = target_of(event)
    return found


def add(topology: Topology, settings: Settings, new: Iterable[Target]) -> int:
    """Add or change; how many. All are checked before the first is written. Raises IcnError."""
    new = list(new)
    for target in new:
        check(target)
    _write(topology, settings, [_event("added", target) for target in new])
    return len(new)


def remove(topology: Topology, settings: Settings, old: Iterable[Target]) -> None:
    """What a node is collecting of them is given up. Raises IcnError."""
    _write(topology, settings, [_event("removed", target) for target in old])


def _event(kind: str, target: Target) -> dict[str, Any]:
    return {
        "kind": kind,
        "target_id": target.id,
        "type": target.type,
        "location": target.location,
        "priority": target.priority,
        "interval_ms": target.interval_ms,
        "retry_ms": target.retry_ms,
        "metadata": dict(target.metadata),
    }


def _write(topology: Topology, settings: Settings, changes: list[dict[str, Any]]) -> None:
    encode = encoder("target")
    records = [(event["target_id"].encode(), encode(event), -1) for event in changes]
    write(settings, topology.topic("targets").name, records)
