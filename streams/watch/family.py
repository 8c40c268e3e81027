"""The family of an artifact: what nearly repeats what, as the links tell, over any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from streams.broker.topics import events
from streams.settings import Settings
from streams.topology import Topology


class Relative(NamedTuple):
    """near_duplicate_of, similarity: its most similar earlier one; None: it is the first."""

    artifact_id: str
    node_id: str
    seen_ms: int
    near_duplicate_of: str | None
    similarity: float | None


class Family(NamedTuple):
    """texts, nodes: how many. artifact_id, node_id: of the one that was seen first."""

    texts: int
    nodes: int
    first_ms: int
    last_ms: int
    artifact_id: str
    node_id: str


def all_families(topology: Topology, settings: Settings) -> list[Family]:
    """The largest first."""
    texts: dict[bytes, dict[bytes, Relative]] = defaultdict(dict)
    group: dict[bytes, bytes] = {}  # text -> another one of its family, at last the one that stands for it

    def of(hash_: bytes) -> bytes:
        while group.setdefault(hash_, hash_) != hash_:
            group[hash_] = group[group[hash_]]
            hash_ = group[hash_]
        return hash_

    links = [e for e, _ in events(settings, topology.topic("links").name, "link") if e["near_dedup_hash"] is not None]
    for link in links:
        group[of(link["dedup_hash"])] = of(link["near_dedup_hash"])
    for link in links:
        found = texts[of(link["dedup_hash"])]
        found[link["dedup_hash"]] = _later(link)
        found.setdefault(link["near_dedup_hash"], _earlier(link))
    families = []
    for found in texts.values():
        inside = sorted(found.values(), key=lambda one: (one.seen_ms, one.artifact_id))
        nodes = {one.node_id for one in inside}
        first, last = inside[0], inside[-1]
        families.append(Family(len(inside), len(nodes), first.seen_ms, last.seen_ms, first.artifact_id, first.node_id))
    return sorted(families, key=lambda one: (-one.texts, one.first_ms, one.artifact_id))


def family(topology: Topology, settings: Settings, hashes: Collection[bytes]) -> list[Relative]:
    """Of the artifact with these dedup_hashes, itself among them, oldest first. Empty: it repeats nothing and nothing repeats it."""
    links = [e for e, _ in events(settings, topology.topic("links").name, "link") if e["near_dedup_hash"] is not None]
    beside: dict[bytes, set[bytes]] = defaultdict(set)
    for link in links:
        one, other = link["dedup_hash"], link["near_dedup_hash"]
        beside[one].add(other)
        beside[other].add(one)
    members: set[bytes] = set()
    ahead = [hash_ for hash_ in hashes if hash_ in beside]
    while ahead:
        if (hash_ := ahead.pop()) not in members:
            members.add(hash_)
            ahead += beside[hash_]
    found: dict[bytes, Relative] = {}
    for link in links:
        if link["dedup_hash"] in members:
            _note(found, link["dedup_hash"], _later(link))
            found.setdefault(link["near_dedup_hash"], _earlier(link))
    return sorted(found.values(), key=lambda one: (one.seen_ms, one.artifact_id))


def _note(found: dict[bytes, Relative], hash_: bytes, told: Relative) -> None:
    known = found.get(hash_)
    if known is None or (known.similarity or 0) < (told.similarity or 0):
        found[hash_] = told


def _later(link: dict[str, Any]) -> Relative:
    return Relative(link["artifact_id"], link["node_id"], link["raw_ms"], link["near_duplicate_of"], link["similarity"])


def _earlier(link: dict[str, Any]) -> Relative:
    return Relative(link["near_duplicate_of"], link["near_node_id"], link["first_seen_ms"], None, None)
