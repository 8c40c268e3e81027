"""Four nodes send at once; workers join and leave under them, so that partitions move again and again."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.certify.truth import check_decisions

NODES, ARTIFACTS, CONTENTS, WORKERS = 4, 2_000, 600, 3
MOVED = ("s1_intake", "s2_dedup")


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Each content is sent by several nodes, at about the same time."""
    names = [f"race-{number}" for number in range(NODES)]
    stand.register(*names)
    seeds = {name: rng.random() for name in names}
    told: dict[str, str] = {}

    def send(name: str) -> None:
        chance = random.Random(seeds[name])
        with stand.node(name) as node:
            futures = []
            for _ in range(ARTIFACTS // 20):
                futures += node.submit_many(
                    {
                        "content": f"race {chance.randrange(CONTENTS)}",
                        "source": "race",
                        "confidence": chance.random() / 2,
                    }
                    for _ in range(20)
                )
                time.sleep(0.3)
            told.update({future.artifact_id: future.result(180).outcome for future in futures})

    with ThreadPoolExecutor(NODES) as pool:
        sending = [pool.submit(send, name) for name in names]
        while not all(one.done() for one in sending) or checks.faults < 2 * WORKERS:
            worker = stand.worker(*MOVED)
            wait_until(lambda: len(stand.stage_processes("s2_dedup")) > 1, 60, "a second worker")
            time.sleep(rng.uniform(5, 8))  # until it owns something
            worker.send_signal(signal.SIGTERM)
            worker.wait(60)
            stand.workers.remove(worker)
            checks.faults += 2
        for one in sending:
            one.result()
    stand.settled()
    decided = [(event, at) for event, at in stand.read("artifacts.decided") if event["facts"]["node_id"] in names]
    contents = len({event["facts"]["dedup_hash"] for event, _ in decided})
    check_decisions(checks, [event for event, _ in decided], told, contents)
    checks.holds("contents of several nodes met", contents <= CONTENTS, f"{contents} contents of {len(told)} artifacts")
    by_id = {event["facts"]["artifact_id"]: event["decision"].lower() for event, _ in decided}
    for artifact_id, outcome in told.items():
        checks.same("each node is told what was decided", outcome, by_id.get(artifact_id, "lost"), artifact_id)
    checks.evidence += [at for _, at in decided[:3]]
