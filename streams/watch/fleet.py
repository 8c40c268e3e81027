"""The fleet and its targets as the coordinator's newest words have them. Read only."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from streams.broker.registrations import registered
from streams.broker.targets import targets
from streams.broker.topics import events
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms
from streams.watch.presence import ONLY_SENDS, presence

SILENT_CADENCES = 3
LOOK_BACK = 200  # steps, to find the last plan: one tick makes a few of them
NEVER = {"state": "unknown", "usefulness": None, "load": 0, "why": "no tick has been planned yet", "advice": ""}


def newest_plan(topology: Topology, settings: Settings) -> dict[str, Any] | None:
    """The last `planned` event, with `at`: where it is. None: there is none among the last steps."""
    found, look_back = None, LOOK_BACK
    while found is None:
        number = 0
        for step, message in events(settings, topology.topic("ticks").name, "tick", last=look_back):
            number += 1
            if step["kind"] == "planned":
                found = step | {"at": f"{message.topic()}/{message.partition()}/{message.offset()}"}
        if number < look_back // 2 or look_back > 1 << 20:
            break
        look_back *= 10
    return found


def standstill(topology: Topology, plan: Mapping[str, Any] | None) -> str:
    """What to say where what is shown is old; empty: it isn't."""
    cadence_ms = duration_ms(topology.protocol["coordination"]["cadence"])
    silent_ms = 0 if plan is None else time.time_ns() // 1_000_000 - plan["slot_ms"]
    if silent_ms < SILENT_CADENCES * cadence_ms:
        return ""
    late = f"the last tick was {silent_ms / 1000:,.0f} s ago, and one in {cadence_ms / 1000:g} s should come"
    return f"{late}: does icn up, or icn worker, run?"


def fleet(topology: Topology, settings: Settings) -> list[dict[str, Any]]:
    """Each registered node: registration, state, usefulness, load, and what to do about it."""
    plan = newest_plan(topology, settings)
    told = {} if plan is None else {node["node_id"]: node for node in plan["nodes"]}
    rows = []
    for name, about in sorted(registered(topology, settings).items()):
        state = {**NEVER, **told.get(name, {})}
        state["state"] = presence(told.get(name), about["capabilities"])
        if state["state"] == ONLY_SENDS:
            state |= {"why": "it has no capability, and never sent a heartbeat", "advice": ""}
        rows.append(
            {key: about[key] for key in ("node_id", "principal", "generation", "capabilities", "capacity")}
            | {key: state[key] for key in ("state", "usefulness", "load", "why", "advice")}
            | {"registered_ms": about["registered_ms"]}
        )
    return rows


def collections_of(topology: Topology, settings: Settings, node_id: str, count: int) -> list[dict[str, Any]]:
    """Its newest, newest first."""
    found = _collections(topology, settings)
    return [one for one in found if one["node_id"] == node_id][-count:][::-1]


def _collections(topology: Topology, settings: Settings) -> list[dict[str, Any]]:
    return [one for one, _ in events(settings, topology.topic("collections").name, "collection")]


def target_list(topology: Topology, settings: Settings) -> list[dict[str, Any]]:
    """Each target, with what its last collection came to."""
    last: dict[str, dict[str, Any]] = {}
    success: dict[str, int] = {}
    for one in _collections(topology, settings):
        if one["outcome"] == "unknown":
            continue
        last[one["target_id"]] = one
        if one["outcome"] in ("success", "unchanged"):
            success[one["target_id"]] = one["ended_at"]
    rows = []
    for key, target in targets(topology, settings).items():
        ended = last.get(key)
        rows.append(
            {
                "target_id": key,
                "type": target.type,
                "location": target.location,
                "priority": target.priority,
                "interval_ms": target.interval_ms,
                "retry_ms": target.retry_ms,
                "metadata": dict(target.metadata),
                "last_outcome": None if ended is None else ended["outcome"],
                "last_ms": None if ended is None else ended["ended_at"],
                "last_node": None if ended is None else ended["node_id"],
                "last_error": None if ended is None else ended["error"],
                "collected_ms": success.get(key),
            }
        )
    return sorted(rows, key=lambda row: (-int(str(row["priority"])), str(row["type"]), str(row["location"])))
