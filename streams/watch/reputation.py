"""What is thought of each node: folds of `reputation` and `reputation.log`."""

from __future__ import annotations

from collections import Counter
from typing import Any

from streams.broker.topics import events, fold
from streams.codec import Undecodable, decoder
from streams.settings import Settings
from streams.topology import Topology


def reputations(topology: Topology, settings: Settings) -> dict[str, dict[str, Any]]:
    """node_id -> its newest revision, with its coordinates as `at`: from the log, which a replay checks record by record; from the view
    where the log has none left."""
    newest: dict[str, dict[str, Any]] = {}
    for event in _revisions(topology, settings, "reputation.log"):
        if event["revision"] >= newest.get(event["node_id"], event)["revision"]:
            newest[event["node_id"]] = event
    for event in _revisions(topology, settings, "reputation"):
        newest.setdefault(event["node_id"], event)
    return newest


def story(topology: Topology, settings: Settings, node_id: str) -> list[dict[str, Any]]:
    """Every revision of one node that is left on the log, oldest first."""
    found = [event for event in _revisions(topology, settings, "reputation.log") if event["node_id"] == node_id]
    return sorted(found, key=lambda event: event["revision"])


def pending(topology: Topology, settings: Settings, node_id: str, since_ms: int) -> dict[str, int]:
    """What judges have said of a node since that broker time, and no revision has told yet: outcome, or why ignored -> how many."""
    found = Counter[str]()
    for vote, message in events(settings, topology.topic("votes").name, "vote", since_ms=since_ms):
        if vote["node_id"] == node_id and message.timestamp()[1] > since_ms:
            found[vote["ignored"] or vote["outcome"]] += 1
    return dict(found)


def votes_of(topology: Topology, settings: Settings, judge: str) -> list[dict[str, Any]]:
    """What became of a judge's verdicts, oldest first, each with `voted_ms` and its coordinates as `at`. Raises BrokerError."""
    return [
        vote | {"voted_ms": message.timestamp()[1], "at": f"{message.topic()}/{message.partition()}/{message.offset()}"}
        for vote, message in events(settings, topology.topic("votes").name, "vote")
        if vote["judge"] == judge
    ]


def _revisions(topology: Topology, settings: Settings, alias: str) -> list[dict[str, Any]]:
    decode, found = decoder("reputation"), []
    for message in fold(settings, topology.topic(alias).name):
        try:
            event = decode(message.value() or b"")
        except Undecodable:  # not ours; icn replay says where it is
            continue
        at = f"{message.topic()}/{message.partition()}/{message.offset()}"
        found.append(event | {"at": at, "published_ms": message.timestamp()[1]})
    return found
