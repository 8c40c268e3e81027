"""One cycle of coordination after another: what is known of nodes and targets, as a fold of events, and what follows from it. Pure.

`fold` takes an event; `begin` plans a tick, `hear` judges what has come back, `end` closes the tick. The same events in the same order give
the same plans, so whoever replays the topics can check each of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.domain import targets as aims
from streams.domain.health import LAST, Attempt, Health, Limits, Seen, health
from streams.domain.plan import Choice, Job, Plan, Worker, plan
from streams.domain.targets import Assignment, Progress, Target

UNTRIED = 0.5  # usefulness of a node that has not tried yet: as its reputation begins
REMEMBERED = 10_000  # assignments that are over, so that a late answer is known as such
JOBS_MAX = 2_000  # targets that one tick plans: the most important of those that are due
ERROR_MAX = 500  # characters of a node's words

SUCCESS, UNCHANGED, EMPTY, FAILURE = "success", "unchanged", "empty", "failure"
GOOD = ("UNIQUE", "UPGRADED")


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
            aims.Rules(
                silent_ms=10 * cadence_ms, retry_min_ms=5 * cadence_ms, back_off_max_ms=max(86_400_000, cadence_ms)
            ),
            dict(needs),
        )


@dataclass
class Node:
    """capacity 0: unregistered. session: of the process that speaks for it; empty: none does."""

    generation: int = 0
    capacity: int = 0
    capabilities: frozenset[str] = frozenset()
    session: str = ""
    said_at: int = 0  # by its own clock; what is not newer was copied, and says nothing
    heartbeat_ms: int | None = None
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=LAST))
    artifacts: deque[tuple[str, bool]] = field(default_factory=lambda: deque(maxlen=LAST))  # (id, was new)
    refuted: set[str] = field(default_factory=set)
    probed_ms: int | None = None

    def quality(self) -> tuple[int, int]:
        """(its last artifacts, of which new and not refuted)."""
        good = sum(new and artifact not in self.refuted for artifact, new in self.artifacts)
        return len(self.artifacts), good


class Open(NamedTuple):
    """An assignment. slot_ms: of the tick it was made in. over: why it is, or empty."""

    target_id: str
    node_id: str
    slot_ms: int
    attempt: int = 0
    over: str = ""


@dataclass
class Made:
    """What one step makes: assignments for nodes, outcomes of collections, and what the tick's event says. Records as in schemas/, without
    where they came from."""

    assignments: list[dict[str, Any]] = field(default_factory=list)
    collections: list[dict[str, Any]] = field(default_factory=list)
    tick: dict[str, Any] = field(default_factory=dict)


class Coordination:
    """The state. Times in ms since 1970: the broker's of an event, the slot's of a tick."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.nodes: dict[str, Node] = {}
        self.targets: dict[str, Target] = {}
        self.progress: dict[str, Progress] = {}
        self.open: dict[str, Open] = {}
        self.over: dict[str, Open] = {}
        self.admitted: Counter[str] = Counter()  # assignment -> its artifacts that were admitted
        self.claims: list[tuple[dict[str, Any], int]] = []  # reports that wait for their artifacts, with their time
        self.given_up: list[dict[str, Any]] = []
        self.refused: Counter[str] = Counter()
        self.slot_ms = 0
        self.outcomes: Counter[str] = Counter()  # of this tick's assignments
        self.now_ms = 0

    # -- events -----------------------------------------------------------

    def fold(self, source: str, event: Mapping[str, Any], at_ms: int) -> None:
        """source: the topic's alias. Who said it has been checked."""
        self.now_ms = max(self.now_ms, at_ms)
        match source:
            case "control":
                self._registration(event)
            case "nodes":
                self._node(event, at_ms)
            case "targets":
                self._target(event)
            case "artifacts.decided":
                self._decided(event)
            case "votes":
                if event["outcome"] == "refuted" and event["weight"] > 0 and event["ignored"] is None:
                    self._node_of(event["node_id"]).refuted.add(event["artifact_id"])
            case "reports":
                self.claims.append((dict(event), at_ms))

    def _node_of(self, node_id: str) -> Node:
        return self.nodes.setdefault(node_id, Node())

    def _registration(self, event: Mapping[str, Any]) -> None:
        if event["kind"] not in ("node_registered", "node_unregistered"):
            return
        node = self._node_of(event["node_id"])
        if event["generation"] < node.generation:
            return
        node.generation = event["generation"]
        node.capacity = event["capacity"] if event["kind"] == "node_registered" else 0
        node.capabilities = frozenset(event["capabilities"])
        if node.capacity == 0:
            self._gone(event["node_id"], "unregistered")

    def _node(self, event: Mapping[str, Any], at_ms: int) -> None:
        node = self._node_of(event["node_id"])
        if event["said_at"] <= node.said_at:
            self.refused["nodes: repeated"] += 1
            return
        node.said_at = event["said_at"]
        if event["kind"] == "stopped":
            if event["session"] == node.session:
                node.session, node.heartbeat_ms = "", None
                self._gone(event["node_id"], "stopped")
            return
        if event["session"] != node.session:
            # whatever an earlier process of it had taken, this one does not know
            self._gone(event["node_id"], "started again")
            node.session = event["session"]
        node.heartbeat_ms = at_ms

    def _gone(self, node_id: str, why: str) -> None:
        """What it had is for others. No failure of the node, but an attempt of the target, unless it was taken off: one that brings down
        its nodes must not go from one to the next for ever."""
        for key, one in list(self.open.items()):
            if one.node_id != node_id:
                continue
            self._close(key, why)
            progress, target = self.progress[one.target_id], self.targets[one.target_id]
            if why == "unregistered":
                self.progress[one.target_id] = aims.given_up(progress, key)
            else:
                rules = self.rules.targets
                self.progress[one.target_id] = aims.failed(target, progress, key, self.now_ms, rules, at_once=True)

    def _close(self, key: str, why: str) -> Open:
        one = self.open.pop(key)._replace(over=why)
        self.over[key] = one
        if len(self.over) > REMEMBERED:
            self.admitted.pop(oldest := next(iter(self.over)), None)
            del self.over[oldest]
        if why not in (SUCCESS, UNCHANGED, EMPTY, FAILURE):
            self.given_up.append(
                {"assignment_id": key, "target_id": one.target_id, "node_id": one.node_id, "reason": why}
            )
        return one

    def _target(self, event: Mapping[str, Any]) -> None:
        key = event["target_id"]
        if event["kind"] == "added":
            self.targets[key] = aims.target_of(event)
            self.progress.setdefault(key, Progress())
        elif self.targets.pop(key, None) is not None:
            for assignment, one in list(self.open.items()):
                if one.target_id == key:
                    self._close(assignment, "target removed")
            self.progress.pop(key, None)

    def _decided(self, event: Mapping[str, Any]) -> None:
        facts = event["facts"]
        node = self._node_of(facts["node_id"])
        node.artifacts.append((facts["artifact_id"], event["decision"] in GOOD))
        assignment = facts["assignment"]
        one = self.open.get(assignment) or self.over.get(assignment)
        if one is not None and one.node_id == facts["node_id"]:
            self.admitted[assignment] += 1

    # -- a tick -----------------------------------------------------------

    def begin(self, slot: int, slot_ms: int, chosen: Sequence[Choice] | None = None) -> Made:
        """Who collects what in this tick. chosen: what was decided then, to come to the same state without deciding again."""
        self.now_ms = max(self.now_ms, slot_ms)
        self.slot_ms, self.outcomes = slot_ms, Counter()
        made = Made(collections=self._give_up_silent(slot_ms))
        told = {node_id: self.health(node_id, slot_ms) for node_id in sorted(self.nodes)}
        jobs = self._jobs(slot_ms, told)
        due = len(jobs)
        planned = plan(jobs[:JOBS_MAX], self._workers(told, slot_ms)) if chosen is None else Plan(list(chosen))
        for choice in planned.choices:
            if choice.target_id in self.targets:  # also where other rules chose
                self._assign(choice.target_id, choice.node_id, slot, slot_ms, made)
        made.tick = {
            "kind": "planned",
            "slot": slot,
            "slot_ms": slot_ms,
            "due": due,
            "choices": [
                {**vars(choice), "assignment_id": assignment_id(slot_ms, choice.target_id)}
                for choice in planned.choices
            ],
            "left": [{"target_id": target, "reason": why} for target, why in planned.left.items()],
            "risks": self._risks(planned, told, due),
            "nodes": [self._told(node_id, one, planned) for node_id, one in told.items()],
            **self._taken(),
        }
        return made

    def hear(self) -> Made:
        """What has come back, as far as its artifacts have."""
        made = Made(collections=self._judge_all(final=False))
        made.tick = {"kind": "heard", "slot": None, "slot_ms": self.slot_ms, **self._taken()}
        return made

    def end(self, slot: int) -> Made:
        """The tick is over: what has been claimed and not been admitted by now was not true; what is open is late."""
        made = Made(collections=self._judge_all(final=True))
        late = sum(one.slot_ms == self.slot_ms for one in self.open.values())
        tried = {kind: self.outcomes[kind] for kind in (SUCCESS, UNCHANGED, EMPTY, FAILURE)}
        made.tick = {
            "kind": "ended",
            "slot": slot,
            "slot_ms": self.slot_ms,
            "outcomes": tried | {"open": late},
            # a source that said "unchanged" is in no rate
            "success": tried[SUCCESS] > 0 if sum(tried.values()) - tried[UNCHANGED] + late else None,
            **self._taken(),
        }
        return made

    def _judge_all(self, final: bool) -> list[dict[str, Any]]:
        """The claims that can be; the others wait, unless this is final."""
        claims, self.claims, judged = self.claims, [], []
        for report, at_ms in claims:
            collection = self._judge(report, at_ms, final)
            if collection is None:
                self.claims.append((report, at_ms))
            else:
                judged.append(collection)
        return judged

    @property
    def is_all_back(self) -> bool:
        """Nothing of this tick is open."""
        return not self.claims and not any(one.slot_ms == self.slot_ms for one in self.open.values())

    def _taken(self) -> dict[str, Any]:
        """What was given up and refused since the last event."""
        taken = {"given_up": self.given_up, "refused": dict(sorted(self.refused.items()))}
        self.given_up, self.refused = [], Counter()
        return taken

    def _give_up_silent(self, now_ms: int) -> list[dict[str, Any]]:
        """No word for too long, or of a node that has gone: a failure of the node, and the target is for another."""
        found = []
        rules = self.rules.targets
        for key, one in list(self.open.items()):
            offline = self.health(one.node_id, now_ms).state == "offline"
            if not offline and now_ms - one.slot_ms < rules.silent_ms:
                continue
            why = "its node is offline" if offline else "no result"
            found.append(_collection(key, self._close(key, why), FAILURE, 0, 0, now_ms, 0, why))
            self._count(one.node_id, now_ms, False, self.rules.cadence_ms)
            target, progress = self.targets[one.target_id], self.progress[one.target_id]
            self.progress[one.target_id] = aims.failed(target, progress, key, now_ms, rules, at_once=True)
        return found

    def _jobs(self, now_ms: int, told: Mapping[str, Health]) -> list[Job]:
        """What is due, the most important first. Who has tried in vain is left out, as long as somebody has not."""
        jobs = []
        for key, target in sorted(self.targets.items()):
            progress = self.progress[key]
            if aims.is_due(target, progress, now_ms):
                needed = self.rules.needs.get(target.type, target.type)
                not_by = frozenset(n for n in progress.tried if not aims.may_try(progress, n, self.rules.targets))
                others = {n for n, one in told.items() if one.alive and needed in self.nodes[n].capabilities} - not_by
                jobs.append(Job(key, needed, target.priority, not_by if others else frozenset()))
        return sorted(
            jobs, key=lambda job: (-job.priority, self.progress[job.target_id].collected_ms or 0, job.target_id)
        )

    def _workers(self, told: Mapping[str, Health], now_ms: int) -> list[Worker]:
        """Those that are alive. A degraded one gets a single probe from time to time."""
        found = []
        for node_id, one in told.items():
            if not one.alive:
                continue
            node, load = self.nodes[node_id], self._load(node_id)
            free = max(0, node.capacity - load)
            if one.state == "degraded":
                probed = node.probed_ms is not None and now_ms - node.probed_ms < self.rules.health.dead_ms
                free = 0 if probed or load else 1
            useful = UNTRIED if one.usefulness is None else one.usefulness
            found.append(Worker(node_id, node.capabilities, node.capacity, free, useful))
        return found

    def _assign(self, target_id: str, node_id: str, slot: int, slot_ms: int, made: Made) -> None:
        key, target = assignment_id(slot_ms, target_id), self.targets[target_id]
        attempt = self.progress[target_id].attempts + 1
        self.open[key] = Open(target_id, node_id, slot_ms, attempt)
        self.progress[target_id] = aims.assigned(self.progress[target_id], Assignment(key, node_id, slot_ms))
        if self.health(node_id, slot_ms).state == "degraded":
            self.nodes[node_id].probed_ms = slot_ms
        made.assignments.append(
            {
                "assignment_id": key,
                "node_id": node_id,
                "slot": slot,
                "slot_ms": slot_ms,
                "deadline_ms": slot_ms + self.rules.deadline_ms,
                "attempt": attempt,
                "target_id": target_id,
                "type": target.type,
                "location": target.location,
                "metadata": dict(target.metadata),
            }
        )

    # -- what came of it --------------------------------------------------

    def _judge(self, report: Mapping[str, Any], at_ms: int, final: bool) -> dict[str, Any] | None:
        """A node's claim against what was admitted. None: wait for its artifacts."""
        key, claimed = report["assignment"], report["artifact_count"]
        one = self.open.get(key) or self.over.get(key)
        if one is None or one.node_id != report["node_id"] or one.target_id != report["target_id"]:
            self.refused["not its assignment"] += 1
            return _collection(
                key,
                Open(report["target_id"], report["node_id"], 0),
                "unknown",
                0,
                claimed,
                at_ms,
                0,
                "not its assignment",
            )
        if one.over in (SUCCESS, UNCHANGED, EMPTY, FAILURE):
            self.refused["answered before"] += 1
            return _collection(key, one, "unknown", 0, claimed, at_ms, 0, "answered before")
        outcome, admitted = report["outcome"], self.admitted[key]
        error = None if report["error"] is None else report["error"][:ERROR_MAX]
        if outcome == SUCCESS and admitted < claimed and not final:
            return None
        if outcome == SUCCESS and (admitted < claimed or admitted == 0):
            outcome, error = FAILURE, f"it claimed {claimed} artifacts, {admitted} were admitted"
        late = bool(one.over)
        collection = _collection(key, one, outcome, admitted, claimed, at_ms, report["duration_ms"], error)
        collection |= {"late": late, "simulated": report["simulated"]}
        self._settle(key, one, outcome, at_ms, report["duration_ms"], late)
        return collection

    def _settle(self, key: str, one: Open, outcome: str, at_ms: int, took_ms: int, late: bool) -> None:
        progress, target = self.progress.get(one.target_id), self.targets.get(one.target_id)
        if late:
            self.over[key] = one._replace(
                over=outcome
            )  # it has been counted as silent: now only what it brought counts
        else:
            self._close(key, outcome)
            self._count(one.node_id, at_ms, None if outcome == UNCHANGED else outcome == SUCCESS, took_ms)
            if one.slot_ms == self.slot_ms:
                self.outcomes[outcome] += 1
        if progress is None or target is None:
            return
        if outcome == SUCCESS or (outcome == UNCHANGED and not late):
            # another node may be at it: it goes on, and its answer counts for the node, while the target has what it needs
            self.progress[one.target_id] = aims.collected(progress, key, one.slot_ms)
        else:
            self.progress[one.target_id] = aims.failed(target, progress, key, at_ms, self.rules.targets)

    def _count(self, node_id: str, at_ms: int, success: bool | None, took_ms: int) -> None:
        self._node_of(node_id).attempts.append(Attempt(at_ms, success, took_ms / 1000))

    # -- nodes ------------------------------------------------------------

    def _load(self, node_id: str) -> int:
        return sum(one.node_id == node_id for one in self.open.values())

    def health(self, node_id: str, now_ms: int) -> Health:
        """Alive and useful, as of then."""
        node = self.nodes[node_id]
        artifacts, good = node.quality()
        seen = Seen(
            node.heartbeat_ms,
            node.capacity > 0,
            self._load(node_id),
            node.capacity,
            tuple(node.attempts),
            artifacts,
            good,
        )
        return health(seen, now_ms, self.rules.health)

    def _told(self, node_id: str, one: Health, planned: Plan) -> dict[str, Any]:
        assigned, _ = planned.load.get(node_id, (0, 0))
        return {
            "node_id": node_id,
            "state": one.state,
            "usefulness": one.usefulness,
            "capacity": self.nodes[node_id].capacity,
            "load": self._load(node_id),
            "assigned": assigned,
            "why": one.why,
            "advice": one.advice,
        }

    def _risks(self, planned: Plan, told: Mapping[str, Health], due: int) -> list[str]:
        alive = sum(one.alive for one in told.values())
        if not self.targets:
            return ["there is no target: icn target add"]
        if due > JOBS_MAX:
            return [f"{due - JOBS_MAX} more targets are due than one tick plans", *planned.risks]
        return planned.risks if alive else ["no node is alive", *planned.risks]


def assignment_id(slot_ms: int, target_id: str) -> str:
    """A target is assigned at most once a tick."""
    return f"{slot_ms}-{target_id}"


def _collection(
    key: str, one: Open, outcome: str, admitted: int, claimed: int, at_ms: int, took_ms: int, error: str | None
) -> dict[str, Any]:
    return {
        "collection_id": key,
        "node_id": one.node_id,
        "target_id": one.target_id,
        "assignment": key,
        "outcome": outcome,
        "artifact_count": admitted,
        "claimed": claimed,
        "ended_at": at_ms,
        "duration_ms": took_ms,
        "error": error,
        "late": False,
        "simulated": False,
    }
