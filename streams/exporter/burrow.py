"""The last look as Burrow's HTTP API tells it (its v3), for the tools that ask Burrow. Read only: Burrow's DELETE is not there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from streams.domain.lag import OK, RING, UNKNOWN, Reading, lag_of
from streams.watch.cluster import Member, Place
from streams.watch.lag import ABANDONED, Lag, Picture

Document = dict[str, Any]
# what Burrow has no word for: held up is a stall to it; the others tell of no trouble
WORDS = {"HELD": "STALL", "NO_COMMIT": OK, UNKNOWN: OK, "CLOSED": OK, ABANDONED: OK}
NOBODY = Member("", "", "")


class Seen(NamedTuple):
    """rings: of what is behind, the first and last reading, and how many there are. topics: all of the cluster's."""

    picture: Picture
    rings: Mapping[str, Mapping[Place, tuple[Reading, Reading, int]]]
    topics: Collection[str] = ()


class NotThere(Exception):
    """Answered with 404 and these words."""


def clusters(cluster: str) -> Document:
    return {"message": "cluster list returned", "clusters": [cluster]}


def cluster_detail(brokers: str, every_s: float) -> Document:
    module = {
        "class-name": "kafka",
        "servers": brokers.split(","),
        "topic-refresh": round(every_s),
        "offset-refresh": round(every_s),
    }
    return {"message": "cluster module detail returned", "module": module}


def topics(seen: Seen) -> Document:
    return {
        "message": "topic list returned",
        "topics": sorted({*seen.topics, *(topic for topic, _ in seen.picture.look.ends)}),
    }


def topic_detail(seen: Seen, topic: str) -> Document:
    """End offsets, by partition; none of a topic that no group works on: its ends were not asked for."""
    ends = {partition: end for (name, partition), end in seen.picture.look.ends.items() if name == topic}
    if not ends and topic not in seen.topics:
        raise NotThere("cluster or topic not found")
    offsets = [ends.get(p, -1) for p in range(max(ends, default=-1) + 1)]
    return {"message": "topic offsets returned", "offsets": offsets}


def topic_consumers(seen: Seen, topic: str) -> Document:
    groups = seen.picture.look.groups.items()
    return {
        "message": "consumers of topic returned",
        "consumers": sorted(name for name, group in groups if any(at[0] == topic for at in group.committed)),
    }


def consumers(seen: Seen) -> Document:
    return {"message": "consumer list returned", "consumers": sorted(seen.picture.look.groups)}


def consumer_detail(seen: Seen, group: str) -> Document:
    """Partitions by topic, each with the commits that are known: at most the first and the last."""
    by_topic: dict[str, list[Document]] = {}
    for one in _partitions(seen, group):
        told = _partition(seen, one)
        offsets = [told["start"], *([told["end"]] if told["end"] != told["start"] else [])]
        by_topic.setdefault(one.topic, []).append(
            {
                "offsets": offsets,
                "owner": told["owner"],
                "client_id": told["client_id"],
                "current-lag": told["current_lag"],
            }
        )
    return {"message": "consumer detail returned", "topics": by_topic}


def status(cluster: str, seen: Seen, group: str, whole: bool) -> Document:
    """whole: of every partition (Burrow's /lag), else of those in trouble (/status)."""
    partitions = _partitions(seen, group)
    told = [(one, _partition(seen, one)) for one in partitions]
    mine = next(one for one in seen.picture.groups if one.group == group)
    complete = sum(part["complete"] >= 1 for _, part in told) / len(told) if told else 0.0
    most = max(told, key=lambda pair: pair[1]["current_lag"], default=None)
    return {
        "message": "consumer status returned",
        "status": {
            "cluster": cluster,
            "group": group,
            "status": WORDS.get(mine.status, mine.status),
            "complete": complete,
            "partitions": [part for _, part in told if whole or part["status"] != OK],
            "partition_count": len(partitions),
            "maxlag": most[1] if most is not None else None,
            "totallag": mine.lag or 0,
        },
    }


def not_found_status(cluster: str, group: str) -> Document:
    """What Burrow says of a group that it doesn't know."""
    empty = {"complete": 1.0, "partitions": [], "partition_count": 0, "maxlag": None, "totallag": 0}
    return {
        "message": "consumer status returned",
        "status": {"cluster": cluster, "group": group, "status": "NOTFOUND", **empty},
    }


def _partitions(seen: Seen, group: str) -> Sequence[Lag]:
    """Those with a commit: Burrow knows of no others."""
    if group not in seen.picture.look.groups:
        raise NotThere("cluster or consumer not found")
    return [one for one in seen.picture.partitions_of(group) if one.committed is not None]


def _partition(seen: Seen, one: Lag) -> Document:
    at, place = seen.picture.at_ms, (one.topic, one.partition)
    owner = seen.picture.look.groups[one.group].owners.get(place, NOBODY)
    ring = seen.rings.get(one.group, {}).get(place)
    still = _offset(one.committed or 0, at, one.lag)
    first, last, complete = still, still, 1.0  # at its end, as it was at the looks before
    if ring is not None:
        first, last = (_offset(r.committed or 0, r.at_ms, lag_of(r)) for r in ring[:2])
        complete = min(1.0, ring[2] / RING)
    return {
        "topic": one.topic,
        "partition": one.partition,
        "owner": owner.host,
        "client_id": owner.client_id,
        "status": WORDS.get(one.status, one.status),
        "start": first,
        "end": last,
        "current_lag": one.lag or 0,
        "complete": complete,
    }


def _offset(offset: int, at_ms: int, lag: int | None) -> Document:
    """timestamp: of the look that saw it, for the cluster tells of no commit's own time."""
    return {"offset": offset, "timestamp": at_ms, "observedAt": at_ms, "lag": lag}
