"""The family of an artifact: what nearly repeats what, as the links tell, over any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
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
    families = []
    for inside in map(_in_order, _groups(topology, settings)):
        first, last, nodes = inside[0], inside[-1], {one.node_id for one in inside}
        families.append(Family(len(inside), len(nodes), first.seen_ms, last.seen_ms, first.artifact_id, first.node_id))
    return sorted(families, key=lambda one: (-one.texts, one.first_ms, one.artifact_id))


def family(topology: Topology, settings: Settings, hashes: Collection[bytes]) -> list[Relative]:
    """Of the artifact with these dedup_hashes, itself among them, oldest first. Empty: it repeats nothing and nothing repeats it."""
    mine = [group for group in _groups(topology, settings) if not group.keys().isdisjoint(hashes)]
    return _in_order({hash_: one for group in mine for hash_, one in group.items()})


def _groups(topology: Topology, settings: Settings) -> list[dict[bytes, Relative]]:
    """The texts, by dedup_hash, that links lead from one to another of."""
    links = [e for e, _ in events(settings, topology.topic("links").name, "link") if e["near_dedup_hash"] is not None]
    beside: dict[bytes, set[bytes]] = defaultdict(set)
    found: dict[bytes, Relative] = {}
    for link in links:
        one, other = link["dedup_hash"], link["near_dedup_hash"]
        beside[one].add(other)
        beside[other].add(one)
        _note(found, one, _later(link))
        found.setdefault(other, _earlier(link))
    groups, seen = [], set[bytes]()
    for start in beside:
        members, ahead = set[bytes](), [start]
        while ahead:
            if (hash_ := ahead.pop()) not in seen:
                seen.add(hash_)
                members.add(hash_)
                ahead += beside[hash_]
        if members:
            groups.append({hash_: found[hash_] for hash_ in members})
    return groups


def _in_order(group: Mapping[bytes, Relative]) -> list[Relative]:
    return sorted(group.values(), key=lambda one: (one.seen_ms, one.artifact_id))


def _note(found: dict[bytes, Relative], hash_: bytes, told: Relative) -> None:
    known = found.get(hash_)
    if known is None or (known.similarity or 0) < (told.similarity or 0):
        found[hash_] = told


def _later(link: dict[str, Any]) -> Relative:
    return Relative(link["artifact_id"], link["node_id"], link["raw_ms"], link["near_duplicate_of"], link["similarity"])


def _earlier(link: dict[str, Any]) -> Relative:
    return Relative(link["near_duplicate_of"], link["near_node_id"], link["first_seen_ms"], None, None)
