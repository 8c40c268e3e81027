"""Four nodes send at once; workers join and leave under them, so that partitions move again and again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.certify.truth import check_decisions, outcomes

NODES, ARTIFACTS, CONTENTS, WORKERS = 4, 2_000, 600, 3
DECIDED_S = 180
MOVED = ("s1_intake", "s2_dedup")


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Each content is sent by several nodes, at about the same time."""
    names = [f"race-{number}" for number in range(NODES)]
    stand.register(*names)
    wait_until(lambda: all(map(stand.takeovers, MOVED)), 120, "the first worker has its partitions")
    before = sum(map(stand.takeovers, MOVED))
    seeds = {name: rng.random() for name in names}
    told, contents = dict[str, str](), set[int]()

    def send(name: str) -> None:
        chance = random.Random(seeds[name])
        with stand.node(name) as node:
            futures = []
            for _ in range(ARTIFACTS // 20):
                numbers = [chance.randrange(CONTENTS) for _ in range(20)]
                contents.update(numbers)
                futures += node.submit_many(
                    {"content": f"race {number}", "source": "race", "confidence": chance.random() / 2}
                    for number in numbers
                )
                time.sleep(0.3)
            told.update(outcomes(futures, DECIDED_S))

    with ThreadPoolExecutor(NODES) as pool:
        sending = [pool.submit(send, name) for name in names]
        while not all(one.done() for one in sending) or checks.faults < 2 * WORKERS:
            _moves(stand, lambda: stand.worker(*MOVED))
            time.sleep(rng.uniform(0.5, 2))
            _moves(stand, lambda: stand.workers.pop().send_signal(signal.SIGTERM))
            checks.faults += 2
        for one in sending:
            one.result()
    stand.settled()
    moved = sum(map(stand.takeovers, MOVED)) - before
    checks.holds("partitions moved under them", moved >= 2 * 2 * WORKERS, f"{moved} takeovers")
    decided = [(event, at) for event, at in stand.read("artifacts.decided") if event["facts"]["node_id"] in names]
    check_decisions(checks, [event for event, _ in decided], told, len(contents))
    by_id = {event["facts"]["artifact_id"]: event["decision"].lower() for event, _ in decided}
    for artifact_id, outcome in told.items():
        checks.same("each node is told what was decided", outcome, by_id.get(artifact_id, "lost"), artifact_id)
    checks.evidence += [at for _, at in decided[:3]]


def _moves(stand: Stand, change: Callable[[], Any]) -> None:
    """A worker comes or goes, and until somebody else has what it had, or it has something itself."""
    before = {stage: stand.takeovers(stage) for stage in MOVED}
    change()
    for stage, times in before.items():
        wait_until(lambda stage=stage, times=times: stand.takeovers(stage) > times, 60, f"{stage} changes hands")  # type: ignore[misc]
