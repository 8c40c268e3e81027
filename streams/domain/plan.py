"""Who collects what, at this tick: an assignment problem, solved to the optimum. Pure; numpy and scipy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

NEVER = 1e9
LOAD_COST = 0.05  # of a node's last free place, against its first
OVERLOADED = 0.9


@dataclass(frozen=True)
class Worker:
    """A node that is alive. free: collections it can take; usefulness in [0, 1]."""

    node_id: str
    capabilities: frozenset[str]
    capacity: int
    free: int
    usefulness: float


@dataclass(frozen=True)
class Job:
    """A due target. capability: what it takes; priority 1..10; not_by: nodes that have tried in vain."""

    target_id: str
    capability: str
    priority: int
    not_by: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Choice:
    """One line of the plan, and why: its cost, and that of the best other node with a free place at all."""

    target_id: str
    node_id: str
    cost: float
    next_best: str | None
    next_cost: float | None


@dataclass
class Plan:
    """choices; targets that nobody gets, with the reason; risks in words; load: node -> (assigned by this plan, free before)."""

    choices: list[Choice] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    risks: list[str] = field(default_factory=list)
    load: dict[str, tuple[int, int]] = field(default_factory=dict)


def worth(job: Job) -> float:
    """What it costs not to collect it, in [0.1, 1]."""
    return job.priority / 10


def plan(jobs: Sequence[Job], workers: Sequence[Worker]) -> Plan:
    """The cheapest assignment: each target to at most one node, each node as many as it has free places. A target that is left costs its
    worth, so more important ones go first. Order of the input decides nothing."""
    jobs = sorted(jobs, key=lambda job: job.target_id)
    workers = sorted(workers, key=lambda worker: worker.node_id)
    made = Plan(load={worker.node_id: (0, worker.free) for worker in workers})
    places = [(number, place) for number, worker in enumerate(workers) for place in range(max(0, worker.free))]
    if jobs and places:
        costs = cost_matrix(jobs, workers, places)
        # not to be collected costs 1 + worth, so nobody is left who could be served; where nobody can serve, a place stays empty
        left = np.array([1 + worth(job) for job in jobs])[:, None]
        rows, columns = linear_sum_assignment(np.where(costs < NEVER, costs - left, 0.0))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            if costs[row, column] < NEVER:
                _choose(made, jobs[row], workers, costs[row], places, column)
    chosen = {choice.target_id for choice in made.choices}
    for job in jobs:
        if job.target_id not in chosen:
            made.left[job.target_id] = _why_left(job, workers)
    made.risks = risks(jobs, workers, made)
    return made


def cost_matrix(
    jobs: Sequence[Job], workers: Sequence[Worker], places: Sequence[tuple[int, int]]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """(jobs, places): what is lost if it fails, and a little for the load, so that equal work is spread. NEVER where the node can't, or
    shall not again. places: (worker, n-th free place)."""
    able = np.array([[w.usefulness if _can(job, w) else np.nan for w in workers] for job in jobs])
    worths = np.array([worth(job) for job in jobs])
    of, place = np.array(places).T
    capacity = np.array([worker.capacity for worker in workers])
    used = np.array([worker.capacity - worker.free for worker in workers])
    load = (used[of] + place) / capacity[of]
    costs = worths[:, None] * (1 - able[:, of]) + LOAD_COST * load[None, :]
    return np.where(np.isnan(costs), NEVER, costs)


def _can(job: Job, worker: Worker) -> bool:
    return job.capability in worker.capabilities and worker.node_id not in job.not_by


def _choose(
    made: Plan,
    job: Job,
    workers: Sequence[Worker],
    costs: np.ndarray[tuple[int], np.dtype[np.float64]],
    places: Sequence[tuple[int, int]],
    column: int,
) -> None:
    worker = workers[places[column][0]]
    others = np.where([of != places[column][0] for of, _ in places], costs, NEVER)
    best = int(np.argmin(others))
    known = float(others[best]) < NEVER
    made.choices.append(
        Choice(
            job.target_id,
            worker.node_id,
            round(float(costs[column]), 9),
            workers[places[best][0]].node_id if known else None,
            round(float(others[best]), 9) if known else None,
        )
    )
    taken, free = made.load[worker.node_id]
    made.load[worker.node_id] = (taken + 1, free)


def _why_left(job: Job, workers: Sequence[Worker]) -> str:
    able = [worker for worker in workers if job.capability in worker.capabilities]
    if not able:
        return f"no live node can {job.capability}"
    if all(worker.node_id in job.not_by for worker in able):
        return f"every live node that can {job.capability} has tried in vain"
    return "no free place"


def risks(jobs: Sequence[Job], workers: Sequence[Worker], made: Plan) -> list[str]:
    """What may go wrong with this plan, in words."""
    able: Mapping[str, list[str]] = {
        capability: [worker.node_id for worker in workers if capability in worker.capabilities]
        for capability in sorted({job.capability for job in jobs})
    }
    found = [f"no live node can {capability}" for capability, nodes in able.items() if not nodes]
    found += [
        f"single point of failure: only {nodes[0]} can {capability}"
        for capability, nodes in able.items()
        if len(nodes) == 1
    ]
    for worker in workers:
        load = (worker.capacity - worker.free + made.load[worker.node_id][0]) / worker.capacity
        if load > OVERLOADED:
            found.append(f"overloaded: {worker.node_id} is at {100 * load:.0f} % of its capacity")
    return found
