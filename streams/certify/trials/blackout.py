"""The processes of all stages, and the worker itself, are killed in mid-batch, while two nodes send."""

from __future__ import annotations

import random
import time

from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.certify.truth import check_decisions, outcomes
from streams.sdk.decision import Submission

NODES, EACH, CONTENTS = ("blackout-1", "blackout-2"), 400, 300
DECIDED_S = 120
VICTIMS = ("s1_intake", "s2_dedup", "s1_intake", "s2_dedup", "s3_reputation", "s4_priority", "the worker")


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """After each kill comes the next load; nobody restarts anything but the worker."""
    stand.register(*NODES)
    futures, contents = list[Submission](), set[int]()
    first, second = (stand.node(name) for name in NODES)
    with first, second:
        for victim in VICTIMS:
            newest = []
            for node in (first, second):
                numbers = [rng.randrange(CONTENTS) for _ in range(EACH)]
                contents.update(numbers)
                newest += node.submit_many(
                    {"content": f"blackout {number}", "source": "b", "confidence": rng.random() / 2}
                    for number in numbers
                )
            futures += newest
            wait_until(lambda newest=newest: any(one.done() for one in newest), 120, "its first decision")  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.2))
            if victim == "the worker":
                worker = stand.workers.pop()
                worker.kill()
                worker.wait()
                stand.worker()
                checks.faults += 1
            else:
                for process in stand.stage_processes(victim):
                    process.kill()
                    checks.faults += 1
        told = outcomes(futures, DECIDED_S)
    stand.settled()
    decided = [(event, at) for event, at in stand.read("artifacts.decided") if event["facts"]["node_id"] in NODES]
    check_decisions(checks, [event for event, _ in decided], told, len(contents))
    by_id = {event["facts"]["artifact_id"]: event["decision"].lower() for event, _ in decided}
    for artifact_id, outcome in told.items():
        checks.same("what was told is what is decided", outcome, by_id.get(artifact_id, "lost"), artifact_id)
    checks.holds("all processes were killed", checks.faults >= len(VICTIMS), f"{checks.faults} kills")
    checks.evidence += [at for _, at in decided[:3]]
