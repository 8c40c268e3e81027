"""One cycle of coordination after another: what follows from what is known. Pure.

`fold` takes an event; `begin` plans a tick, `hear` judges what has come back, `end` closes the tick. The same events in the same order give
the same plans, so whoever replays the topics can check each of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.domain import targets as aims
from streams.domain.coordination_state import State
from streams.domain.health import Health
from streams.domain.outcomes import FAILURE, OUTCOMES, SUCCESS, UNCHANGED, UNKNOWN, Assigned, collection, judge
from streams.domain.plan import Choice, Job, Plan, plan
from streams.domain.targets import Assignment

JOBS_MAX = 2_000  # targets that one tick plans: the most important of those that are due


@dataclass
class Made:
    """What one step makes: assignments for nodes, outcomes of collections, and what the tick's event says. Records as in schemas/, without
    where they came from."""

    assignments: list[dict[str, Any]] = field(default_factory=list)
    collections: list[dict[str, Any]] = field(default_factory=list)
    tick: dict[str, Any] = field(default_factory=dict)


class Coordination(State):
    """The state, and what is made of it."""

    # -- a tick -----------------------------------------------------------

    def begin(self, slot: int, slot_ms: int, chosen: Sequence[Choice] | None = None) -> Made:
        """Who collects what in this tick. chosen: what was decided then, to come to the same state without deciding again."""
        self.now_ms = max(self.now_ms, slot_ms)
        self.slot_ms, self.outcomes = slot_ms, Counter()
        made = Made(collections=self._give_up_silent(slot_ms))
        load, limits = self._load(), self.rules.health
        told = {name: node.health(load[name], slot_ms, limits) for name, node in sorted(self.nodes.items())}
        jobs = self._jobs(slot_ms, told)
        if chosen is None:
            alive = {name: state for name, state in told.items() if state.alive}
            workers = [self.nodes[n].worker(n, state, load[n], slot_ms, limits) for n, state in alive.items()]
            planned = plan(jobs[:JOBS_MAX], workers)
        else:
            planned = Plan(list(chosen))
        for choice in planned.choices:
            if choice.target_id in self.targets:  # also where other rules chose
                made.assignments.append(self._assign(choice, slot, slot_ms, told))
        made.tick = {
            "kind": "planned",
            "slot": slot,
            "slot_ms": slot_ms,
            "due": len(jobs),
            "choices": [{**vars(c), "assignment_id": assignment_id(slot_ms, c.target_id)} for c in planned.choices],
            "left": [{"target_id": target, "reason": why} for target, why in planned.left.items()],
            "risks": self._risks(planned, told, len(jobs)),
            "nodes": self._told(told, planned),
            **self._taken(),
        }
        return made

    def hear(self) -> Made:
        """What has come back, as far as its artifacts have."""
        made = Made(collections=self._judge_claims(final=False))
        made.tick = {"kind": "heard", "slot": None, "slot_ms": self.slot_ms, **self._taken()}
        return made

    def end(self, slot: int) -> Made:
        """The tick is over: what has been claimed and not been admitted by now was not true; what is open is late."""
        made = Made(collections=self._judge_claims(final=True))
        late = len(self.open_now())
        tried = {kind: self.outcomes[kind] for kind in OUTCOMES}
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

    def open_now(self) -> list[Assigned]:
        """Of this tick."""
        return [one for one in self.open.values() if one.slot_ms == self.slot_ms]

    @property
    def is_all_back(self) -> bool:
        """Nothing of this tick is open."""
        return not self.claims and not self.open_now()

    def _taken(self) -> dict[str, Any]:
        """What was given up and refused since the last event."""
        taken = {"given_up": self.given_up, "refused": dict(sorted(self.refused.items()))}
        self.given_up, self.refused = [], Counter()
        return taken

    # -- who collects what ------------------------------------------------

    def _load(self) -> Counter[str]:
        return Counter(one.node_id for one in self.open.values())

    def _give_up_silent(self, now_ms: int) -> list[dict[str, Any]]:
        """No word for too long, or of a node that has gone: a failure of the node, and the target is for another."""
        found, rules = [], self.rules
        offline = {
            name
            for name, load in self._load().items()
            if self.nodes[name].health(load, now_ms, rules.health).state == "offline"
        }
        for key, one in list(self.open.items()):
            if one.node_id in offline or now_ms - one.slot_ms >= rules.targets.silent_ms:
                why = "its node is offline" if one.node_id in offline else "no result"
                self._has_failed(key, self._close(key, why), now_ms, at_once=True)
                self.nodes[one.node_id].has_tried(now_ms, False, rules.cadence_ms)
                found.append(collection(key, one.node_id, one.target_id, FAILURE, now_ms, why))
        return found

    def _jobs(self, now_ms: int, told: Mapping[str, Health]) -> list[Job]:
        """What is due, the most important first. Who has tried in vain is left out, as long as somebody has not."""
        jobs = []
        for key, target in self.targets.items():
            progress = self.progress[key]
            if aims.is_due(target, progress, now_ms):
                needed = self.rules.needs.get(target.type, target.type)
                not_by = frozenset(n for n in progress.tried if not aims.may_try(progress, n, self.rules.targets))
                if not_by:
                    able = {n for n, one in told.items() if one.alive and needed in self.nodes[n].capabilities}
                    not_by = not_by if able - not_by else frozenset()
                jobs.append(Job(key, needed, target.priority, not_by))
        return sorted(
            jobs, key=lambda job: (-job.priority, self.progress[job.target_id].collected_ms or 0, job.target_id)
        )

    def _assign(self, choice: Choice, slot: int, slot_ms: int, told: Mapping[str, Health]) -> dict[str, Any]:
        target_id, node_id = choice.target_id, choice.node_id
        key, target, progress = assignment_id(slot_ms, target_id), self.targets[target_id], self.progress[target_id]
        attempt = progress.attempts + 1
        self.open[key] = Assigned(target_id, node_id, slot_ms, attempt)
        self.progress[target_id] = aims.assigned(progress, Assignment(key, node_id, slot_ms))
        if told[node_id].state == "degraded":
            self.nodes[node_id].probed_ms = slot_ms
        return {
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

    def _told(self, told: Mapping[str, Health], planned: Plan) -> list[dict[str, Any]]:
        load = self._load()
        return [
            {
                "node_id": name,
                "state": state.state,
                "usefulness": state.usefulness,
                "capacity": self.nodes[name].capacity,
                "load": load[name],
                "assigned": planned.load.get(name, (0, 0))[0],
                "why": state.why,
                "advice": state.advice,
            }
            for name, state in told.items()
        ]

    def _risks(self, planned: Plan, told: Mapping[str, Health], due: int) -> list[str]:
        if not self.targets:
            return ["there is no target: icn target add"]
        if due > JOBS_MAX:
            return [f"{due - JOBS_MAX} more targets are due than one tick plans", *planned.risks]
        is_anybody = any(state.alive for state in told.values())
        return planned.risks if is_anybody else ["no node is alive", *planned.risks]

    # -- what came of it --------------------------------------------------

    def _judge_claims(self, final: bool) -> list[dict[str, Any]]:
        """Those that can be; the others wait, unless this is final."""
        claims, self.claims, judged = self.claims, [], []
        for report, at_ms in claims:
            key = report["assignment"]
            found = judge(report, self._assigned(key), self.admitted[key], at_ms, final)
            if found is None:
                self.claims.append((report, at_ms))
                continue
            judged.append(found)
            if found["outcome"] == UNKNOWN:
                self.refused[found["error"]] += 1
            else:
                self._settle(key, found)
        return judged

    def _settle(self, key: str, found: Mapping[str, Any]) -> None:
        outcome, at_ms, target_id = found["outcome"], found["ended_at"], found["target_id"]
        if found["late"]:  # it has been counted when it was given up: now only what it brought counts
            one = self.over[key] = self.over[key]._replace(over=outcome)
        else:
            one = self._close(key, outcome)
            success = None if outcome == UNCHANGED else outcome == SUCCESS
            self.nodes[one.node_id].has_tried(at_ms, success, found["duration_ms"])
            self.outcomes[outcome] += one.slot_ms == self.slot_ms
        if target_id not in self.targets:
            return
        if outcome == SUCCESS or (outcome == UNCHANGED and not found["late"]):
            # another node may be at it: it goes on, and its answer counts for the node, while the target has what it needs
            self.progress[target_id] = aims.collected(self.progress[target_id], key, one.slot_ms)
        else:
            self._has_failed(key, one, at_ms)

    def health(self, node_id: str, now_ms: int) -> Health:
        """Of one node, as of then."""
        return self.nodes[node_id].health(self._load()[node_id], now_ms, self.rules.health)


def assignment_id(slot_ms: int, target_id: str) -> str:
    """A target is assigned at most once a tick."""
    return f"{slot_ms}-{target_id}"
