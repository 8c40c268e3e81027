"""Who collects what: to the optimum, explained, and in time for a tick."""

from __future__ import annotations

import itertools
import random
import time

import pytest

from streams.domain.plan import LOAD_COST, Choice, Job, Plan, Worker, plan, worth

CAPABILITIES = ("feed", "file", "http", "stix")


def fleet(seed: int, targets: int, nodes: int) -> tuple[list[Job], list[Worker]]:
    """Random capabilities, priorities, health and load."""
    chance = random.Random(seed)
    workers = [
        Worker(
            f"n{n}",
            frozenset(chance.sample(CAPABILITIES, chance.randint(1, 3))),
            3,
            chance.randint(0, 3),
            chance.random(),
        )
        for n in range(nodes)
    ]
    jobs = [
        Job(f"t{n}", chance.choice(CAPABILITIES), chance.randint(1, 10), frozenset({f"n{chance.randrange(nodes)}"}))
        for n in range(targets)
    ]
    return jobs, workers


def can(job: Job, worker: Worker) -> bool:
    return job.capability in worker.capabilities and worker.node_id not in job.not_by


def cost(job: Job, worker: Worker, place: int) -> float:
    """Of a target on the n-th free place of a node, one by one."""
    load = (worker.capacity - worker.free + place) / worker.capacity
    return worth(job) * (1 - worker.usefulness) + LOAD_COST * load


def total(jobs: list[Job], made: dict[str, str], workers: list[Worker]) -> float:
    """Of an assignment; each node's jobs on its places in the order of the jobs. What is left costs 1 + its worth."""
    known, taken = {w.node_id: w for w in workers}, dict.fromkeys((w.node_id for w in workers), 0)
    sum_ = 0.0
    for job in jobs:
        node = made.get(job.target_id)
        if node is None:
            sum_ += 1 + worth(job)
        else:
            sum_ += cost(job, known[node], taken[node])
            taken[node] += 1
    return sum_


def greedy(jobs: list[Job], workers: list[Worker]) -> dict[str, str]:
    """First come, first served, by the node that is best for it just now."""
    taken, made = dict.fromkeys((w.node_id for w in workers), 0), {}
    for job in jobs:
        free = [w for w in workers if can(job, w) and taken[w.node_id] < w.free]
        if free:
            best = min(free, key=lambda w: cost(job, w, taken[w.node_id]))
            made[job.target_id], taken[best.node_id] = best.node_id, taken[best.node_id] + 1
    return made


def chosen(made: Plan) -> dict[str, str]:
    return {choice.target_id: choice.node_id for choice in made.choices}


def test_a_plan_keeps_to_what_nodes_can_and_have_room_for() -> None:
    """Fifty random fleets."""
    for seed in range(50):
        jobs, workers = fleet(seed, 60, 20)
        made, known = plan(jobs, workers), {w.node_id: w for w in workers}
        by_target = {job.target_id: job for job in jobs}
        assert all(can(by_target[c.target_id], known[c.node_id]) for c in made.choices)
        assert all(taken <= free for taken, free in made.load.values())
        assert {c.target_id for c in made.choices} | set(made.left) == set(by_target)
        assert not {c.target_id for c in made.choices} & set(made.left) and all(made.left.values())


def test_no_assignment_is_cheaper() -> None:
    """All of them, where they can be counted: four targets, three nodes."""
    for seed in range(30):
        jobs, workers = fleet(seed, 4, 3)
        options = [[None, *(w.node_id for w in workers if can(job, w))] for job in jobs]
        costs = []
        for picks in itertools.product(*options):
            made = {job.target_id: node for job, node in zip(jobs, picks, strict=True) if node is not None}
            if all(list(made.values()).count(w.node_id) <= w.free for w in workers):
                costs.append(total(jobs, made, workers))
        assert total(jobs, chosen(plan(jobs, workers)), workers) == pytest.approx(min(costs))


def test_it_is_never_worse_than_first_come_first_served() -> None:
    """Two hundred fleets; printed: by how much it is better."""
    saved = []
    for seed in range(200):
        jobs, workers = fleet(seed, 40, 25)
        ours, theirs = total(jobs, chosen(plan(jobs, workers)), workers), total(jobs, greedy(jobs, workers), workers)
        assert ours <= theirs + 1e-9
        saved.append(1 - ours / theirs)
    print(
        f"\n200 fleets: {100 * sum(saved) / 200:.1f} % cheaper than greedy on average, at most {100 * max(saved):.1f} %"
    )
    assert sum(saved) / 200 > 0.02


def test_where_places_are_scarce_the_more_important_is_collected() -> None:
    workers = [Worker("n1", frozenset({"http"}), 3, 1, 0.5)]
    made = plan([Job("low", "http", 1), Job("high", "http", 9)], workers)
    assert chosen(made) == {"high": "n1"} and made.left == {"low": "no free place"}


def test_equal_work_is_spread() -> None:
    workers = [Worker(f"n{n}", frozenset({"http"}), 3, 3, 0.7) for n in range(3)]
    made = plan([Job(f"t{n}", "http", 5) for n in range(6)], workers)
    assert sorted(taken for taken, _ in made.load.values()) == [2, 2, 2]


def test_each_choice_says_what_the_next_best_would_have_cost_and_the_plan_its_risks() -> None:
    workers = [Worker("good", frozenset({"http"}), 1, 1, 0.9), Worker("bad", frozenset({"http", "stix"}), 3, 3, 0.2)]
    jobs = [
        Job("page", "http", 5),
        Job("bundle", "stix", 5),
        Job("feed", "feed", 5),
        Job("again", "stix", 5, frozenset({"bad"})),
    ]
    made = plan(jobs, workers)
    assert Choice("page", "good", 0.05, "bad", 0.4) in made.choices
    assert made.left == {"feed": "no live node can feed", "again": "every live node that can stix has tried in vain"}
    assert made.risks == [
        "no live node can feed",
        "single point of failure: only bad can stix",
        "overloaded: good is at 100 % of its capacity",
    ]


def test_the_order_in_which_they_come_decides_nothing() -> None:
    jobs, workers = fleet(3, 50, 20)
    assert plan(jobs, workers) == plan(jobs[::-1], workers[::-1])


def test_nobody_and_nothing_make_an_empty_plan() -> None:
    jobs, workers = fleet(1, 5, 5)
    assert plan([], workers).choices == [] and plan([], []).risks == []
    assert set(plan(jobs, []).left) == {job.target_id for job in jobs}


def test_a_thousand_targets_and_two_hundred_nodes_are_planned_within_a_tick() -> None:
    """Measured in docs; here only that it is no matter of minutes."""
    jobs, workers = fleet(1, 1_000, 200)
    began = time.process_time()
    assert len(plan(jobs, workers).choices) == sum(worker.free for worker in workers)
    assert time.process_time() - began < 10
