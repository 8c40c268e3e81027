"""The rows that pruned decisions left, from what the decisions after them say that they read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from streams.broker.topics import fold
from streams.codec import Undecodable, decoder
from streams.domain.dedup import Canonical, Content
from streams.runtime.stage import Table
from streams.settings import Settings
from streams.tables.canonicals import CANONICALS
from streams.tables.contents import CONTENTS
from streams.tables.depth import DEPTH, HERE
from streams.tables.ids import IDS, Known
from streams.tables.ids import key as id_key
from streams.tables.inherited import INHERITED
from streams.tables.reputations import REPUTATIONS
from streams.tables.scores import SCORES, Scored
from streams.tables.standings import STANDINGS, Standing
from streams.topology import Topology

Seeds = dict[tuple[str, bytes], bytes]  # as MemoryRows keeps them: (table, key) -> packed row


def no_seeds(topology: Topology, settings: Settings, partition: int, starts: Mapping[str, int]) -> Seeds:
    """Of stages without rows, or whose rows all come from what is still there."""
    return {}


def _seed_priority(topology: Topology, settings: Settings, partition: int, starts: Mapping[str, int]) -> Seeds:
    """scores, inherited: of an artifact scored before, from its first score after that. Its row is in the event, but for when it was first
    seen: a little later than a link has made it, or the link would have changed nothing."""
    seeds: Seeds = {}
    seen: set[bytes] = set()
    for _, event in _events(settings, topology.topic("priorities").name, "priority"):
        source, hash_ = event["input_topic"], event["dedup_hash"]
        mine = event["input_partition"] == partition and event["input_offset"] >= starts.get(source, 0)
        if not mine or hash_ in seen:
            continue
        seen.add(hash_)
        if event["first_seen_ms"] >= event["raw_ms"]:  # its first sighting, and it repeats nothing
            continue
        if source == "links":
            fields = {name: event[name] for name in Scored._fields}
            _seed(seeds, SCORES, hash_, Scored(**fields | {"first_seen_ms": event["first_seen_ms"] + 1}))
        else:
            _seed(seeds, INHERITED, hash_, event["first_seen_ms"])
    return seeds


def _seed(seeds: Seeds, table: Table[Any], key: bytes, row: Any) -> None:
    seeds[table.name, key] = table.pack(row)


def _seed_intake(topology: Topology, settings: Settings, partition: int, starts: Mapping[str, int]) -> Seeds:
    """ids: from what was admitted before, and what a receipt says was read. standings, depth: from the first artifact that read them."""
    seeds: Seeds = {}
    start = starts.get("artifacts.raw", 0)
    earliest: dict[str, int] = {}  # node, or "": of all
    for facts, key in _admitted(topology, settings):
        if facts["raw_partition"] != partition:
            continue
        if facts["raw_offset"] >= start:
            _seed_read(seeds, earliest, facts)
        else:
            known = Known(key, facts["raw_offset"], facts["raw_ms"])
            _seed(seeds, IDS, id_key(facts["node_id"], facts["artifact_id"]), known)
    for _, receipt in _events(settings, topology.topic("receipts").name, "receipt"):
        if receipt["topic"] == "artifacts.raw" and receipt["partition"] == partition:
            for outcome in receipt["outcomes"]:
                read, key = outcome["read"], id_key(receipt["node_id"], outcome["artifact_id"])
                if read and outcome["offset"] >= start > read["raw_offset"] and (IDS.name, key) not in seeds:
                    _seed(seeds, IDS, key, Known(read["content_hash"], read["raw_offset"], read["raw_ms"]))
    return seeds


def _seed_read(seeds: Seeds, earliest: dict[str, int], facts: Mapping[str, Any]) -> None:
    node_id, offset = facts["node_id"], facts["raw_offset"]
    if offset < earliest.get(node_id, offset + 1):
        earliest[node_id] = offset
        row = Standing(facts["reputation_revision"], facts["effective_reputation"], facts["node_hour_limit"])
        seeds.pop((STANDINGS.name, node_id.encode()), None)
        if row.revision:
            _seed(seeds, STANDINGS, node_id.encode(), row)
    if offset < earliest.get("", offset + 1):
        earliest[""] = offset
        _seed(seeds, DEPTH, HERE, facts["undecided"])


def _admitted(topology: Topology, settings: Settings) -> Iterator[tuple[dict[str, Any], bytes]]:
    for message, event in _events(settings, topology.topic("artifacts.admitted").name, "admitted"):
        yield event["facts"], message.key()


def _events(
    settings: Settings, topic: str, schema: str, partition: int | None = None
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """What of a topic can be read; what can't is found when the outputs are compared."""
    decode = decoder(schema)
    for message in fold(settings, topic, partition):
        try:
            yield message, decode(message.value() or b"")
        except Undecodable:
            continue


def _seed_dedup(topology: Topology, settings: Settings, partition: int, starts: Mapping[str, int]) -> Seeds:
    """canonicals and contents: from the first decision that read the row, unless it found none."""
    seeds: Seeds = {}
    asked: set[tuple[str, bytes]] = set()
    start = starts.get("artifacts.admitted", 0)
    for message, event in _events(settings, topology.topic("artifacts.decided").name, "decided"):
        if event["input_partition"] != partition or event["input_offset"] < start:
            continue
        hash_, key, read, first = event["facts"]["dedup_hash"], message.key(), event["read"], event["corroborates"]
        if (CANONICALS.name, hash_) not in asked:
            asked.add((CANONICALS.name, hash_))
            if read is not None:
                row = Canonical(
                    event["canonical_id"].encode(),
                    read["version"],
                    read["best_confidence"],
                    read["first_seen_ms"],
                    read["sightings"],
                )
                _seed(seeds, CANONICALS, hash_, row)
        if event["decision"] == "UNIQUE" and (CONTENTS.name, key) not in asked:
            asked.add((CONTENTS.name, key))
            if first is not None:
                content = Content(
                    first["artifact_id"].encode(),
                    first["node_id"].encode(),
                    first["first_seen_ms"],
                    first["source_digest"],
                    first["confidence"],
                )
                _seed(seeds, CONTENTS, key, content)
    return seeds


def _seed_reputation(topology: Topology, settings: Settings, partition: int, starts: Mapping[str, int]) -> Seeds:
    """reputations: the state of each node's newest revision before the beginning. What was counted once before is forgotten."""
    seeds: Seeds = {}
    for _, event in _events(settings, topology.topic("reputation.log").name, "reputation", partition):
        if event["input_offset"] < starts.get(
            event["input_topic"], math.inf
        ):  # nothing of this topic comes later: all of it is before
            seeds[REPUTATIONS.name, event["node_id"].encode()] = event["state"]
    return seeds


SEEDS = {
    "s1_intake": _seed_intake,
    "s2_dedup": _seed_dedup,
    "s3_reputation": _seed_reputation,
    "s4_priority": _seed_priority,
}
