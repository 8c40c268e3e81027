"""The windows that are on the topics, each with the patterns that it says are its own: for s5_patterns, replay and people."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from streams.agents.windows import DIGEST_BYTES, SLACK_MS, Rules, digest_of
from streams.broker.topics import events
from streams.settings import Settings
from streams.topology import Topology

LOOK_BACK = (20, 2_000, None)  # offsets of windows; a transaction's marker takes one too. None: all


def newest_window(topology: Topology, settings: Settings) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The newest window's event, and its patterns'. Raises BrokerError."""
    every_ms = Rules.of(topology).every_ms
    ahead_ms = time.time_ns() // 1_000_000 + every_ms
    for last in LOOK_BACK:
        newest = None
        for event, message in events(settings, topology.topic("windows").name, "window", last=last):
            # no end of a window, or one to come, hides a true one; nor does one that is said again
            is_one = event["slot_ms"] % every_ms == 0 and event["slot_ms"] <= ahead_ms
            if is_one and (newest is None or event["slot_ms"] > newest[0]["slot_ms"]):
                newest = event, message.timestamp()[1]
        if newest is not None:
            window, written_ms = newest
            return window, patterns_of(topology, settings, [window], written_ms)
    return None, []


def history(topology: Topology, settings: Settings, since_ms: int) -> list[dict[str, Any]]:
    """Every pattern of every window written since then, in order. Raises BrokerError."""
    windows = [event for event, _ in events(settings, topology.topic("windows").name, "window", since_ms=since_ms)]
    return patterns_of(topology, settings, windows, since_ms)


def patterns_of(
    topology: Topology, settings: Settings, windows: Iterable[dict[str, Any]], since_ms: int
) -> list[dict[str, Any]]:
    """Those that one of these windows, written since then, says are its own, in the order of the topic."""
    wanted = {(window["slot_ms"], digest) for window in windows for digest in digests_of(window)}
    found = []
    for event, message in events(
        settings, topology.topic("patterns").name, "pattern", since_ms=max(0, since_ms - SLACK_MS)
    ):
        identity = event["slot_ms"], digest_of(message.value())
        if identity in wanted:
            wanted.remove(identity)  # said again by somebody, it is no second one
            found.append(event)
    return found


def digests_of(window: dict[str, Any]) -> list[bytes]:
    """Of its patterns' values, in order."""
    digests = window["digests"]
    return [digests[at : at + DIGEST_BYTES] for at in range(0, len(digests), DIGEST_BYTES)]
