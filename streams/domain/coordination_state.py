"""What is known of nodes and targets, and who is at which: a fold of events. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from streams.domain import targets as aims
from streams.domain.health import Limits
from streams.domain.nodes import REPEATED, Node
from streams.domain.outcomes import OUTCOMES, Assigned
from streams.domain.targets import Progress, Target

REMEMBERED = 10_000  # assignments that are over, so that a late answer is known as such


class Rules(NamedTuple):
    """All in ms; what belongs to ticks is a multiple of the cadence: 60 s gives 55 s, 300 s, 10 min, 1 h."""

    cadence_ms: int
    deadline_ms: int  # of a tick's collections
    health: Limits
    targets: aims.Rules
    needs: Mapping[str, str]  # type of a target -> capability that it takes

    @classmethod
    def of(cls, cadence_ms: int, needs: Mapping[str, str], overlong_percent: int) -> Rules:
        """needs: `protocol.coordination.needs` of topology.yaml."""
        return cls(
            cadence_ms,
            cadence_ms * overlong_percent // 100,
            Limits(heartbeat_ms=5 * cadence_ms, dead_ms=60 * cadence_ms, slow_ms=cadence_ms),
            aims.Rules(silent_ms=10 * cadence_ms, retry_min_ms=5 * cadence_ms),
            dict(needs),
        )


class State:
    """Times in ms since 1970: the broker's of an event, the slot's of a tick."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.nodes: dict[str, Node] = {}
        self.targets: dict[str, Target] = {}
        self.progress: dict[str, Progress] = {}
        self.open: dict[str, Assigned] = {}
        self.over: dict[str, Assigned] = {}
        self.admitted: Counter[str] = Counter()  # assignment -> its artifacts that were admitted
        self.claims: list[tuple[dict[str, Any], int]] = []  # reports that wait for their artifacts, with their time
        self.given_up: list[dict[str, Any]] = []
        self.refused: Counter[str] = Counter()
        self.slot_ms = 0
        self.outcomes: Counter[str] = Counter()  # of this tick's assignments
        self.now_ms = 0

    def fold(self, source: str, event: Mapping[str, Any], at_ms: int) -> None:
        """source: the topic's alias. Who said it has been checked."""
        self.now_ms = max(self.now_ms, at_ms)
        match source:
            case "control":
                self._registration(event)
            case "nodes":
                self._word(event, at_ms)
            case "targets":
                self._target(event)
            case "artifacts.decided":
                self._decided(event)
            case "votes":
                if event["outcome"] == "refuted" and event["weight"] > 0 and event["ignored"] is None:
                    self._node(event["node_id"]).refuted.append(event["artifact_id"])
            case "reports":
                self.claims.append((dict(event), at_ms))

    def _node(self, node_id: str) -> Node:
        return self.nodes.setdefault(node_id, Node())

    def _registration(self, event: Mapping[str, Any]) -> None:
        if event["kind"] in ("node_registered", "node_unregistered"):
            node = self._node(event["node_id"])
            node.is_registered(event)
            if node.capacity == 0:
                for key in self._open_of(event["node_id"]):
                    one = self._close(key, "unregistered")
                    self.progress[one.target_id] = aims.given_up(self.progress[one.target_id], key)

    def _word(self, event: Mapping[str, Any], at_ms: int) -> None:
        said = self._node(event["node_id"]).says(event, at_ms)
        if said == REPEATED:
            self.refused["nodes: repeated"] += 1
        elif said:
            # no failure of the node, but an attempt of the target: one that brings down its nodes must not go round for ever
            for key in self._open_of(event["node_id"]):
                self._has_failed(key, self._close(key, said), self.now_ms, at_once=True)

    def _open_of(self, node_id: str) -> list[str]:
        return [key for key, one in self.open.items() if one.node_id == node_id]

    def _close(self, key: str, why: str) -> Assigned:
        one = self.over[key] = self.open.pop(key)._replace(over=why)
        if len(self.over) > REMEMBERED:
            self.admitted.pop(oldest := next(iter(self.over)), None)
            del self.over[oldest]
        if why not in OUTCOMES:
            told = {"assignment_id": key, "target_id": one.target_id, "node_id": one.node_id, "reason": why}
            self.given_up.append(told)
        return one

    def _has_failed(self, key: str, one: Assigned, at_ms: int, at_once: bool = False) -> None:
        target, progress = self.targets[one.target_id], self.progress[one.target_id]
        self.progress[one.target_id] = aims.failed(target, progress, key, at_ms, self.rules.targets, at_once)

    def _target(self, event: Mapping[str, Any]) -> None:
        target_id = event["target_id"]
        if event["kind"] == "added":
            self.targets[target_id] = aims.target_of(event)
            self.progress.setdefault(target_id, Progress())
        elif self.targets.pop(target_id, None) is not None:
            for key in [key for key, one in self.open.items() if one.target_id == target_id]:
                self._close(key, "target removed")
            del self.progress[target_id]

    def _decided(self, event: Mapping[str, Any]) -> None:
        facts = event["facts"]
        self._node(facts["node_id"]).has_brought(facts["artifact_id"], event["decision"])
        one = self._assigned(facts["assignment"])
        if one is not None and one.node_id == facts["node_id"]:
            self.admitted[facts["assignment"]] += 1

    def _assigned(self, key: str) -> Assigned | None:
        return self.open.get(key) or self.over.get(key)
