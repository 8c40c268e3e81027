"""A node sends half as much again as it may; the intake is killed in the middle of it. Then the next hour begins."""

from __future__ import annotations

import random
import time

from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.domain.ticks import HOUR_MS

HOUR, SENT, MAY = 1_000, 1_500, 1_000


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Time is what the node says: all of it is of one hour."""
    stand.register("greedy")
    at_ms = HOUR * HOUR_MS
    with stand.node("greedy") as node:
        futures = node.submit_many({"content": f"greedy {n}", "collected_at": at_ms + n} for n in range(SENT // 2))
        wait_until(lambda: sum(future.done() for future in futures) > 100, 120, "some decisions")
        time.sleep(rng.uniform(0, 0.2))
        checks.faults += _kill(stand)
        wait_until(lambda: all(future.done() for future in futures), 180, "the first half is decided")
        checks.faults += _kill(stand)
        futures += node.submit_many(
            {"content": f"greedy {n}", "collected_at": at_ms + n} for n in range(SENT // 2, SENT)
        )
        told = {future.artifact_id: future.result(180) for future in futures}
        accepted = sum(one.accepted for one in told.values())
        checks.same("exactly 1,000 of 1,500 are accepted", accepted, MAY)
        checks.measured("exactly 1,000 of 1,500 are accepted", f"{accepted:,} of {len(told):,}")
        for artifact_id, one in told.items():
            if not one.accepted:
                wait_ms = one.retry_after_ms or 0
                is_told = one.reason == "quota_exceeded" and 0 < wait_ms <= HOUR_MS
                checks.count(
                    "who is refused is told why, and when to try again", 1,
                    [] if is_told else [f"{artifact_id}: {one.reason}, {wait_ms} ms"],
                )  # fmt: skip
        later = node.submit_many(
            {"content": f"greedy {n}", "collected_at": at_ms + HOUR_MS, "artifact_id": future.artifact_id}
            for n, future in enumerate(futures)
            if not told[future.artifact_id].accepted
        )
        for future in later:
            checks.same("in the next hour they are accepted", future.result(120).outcome, "unique", future.artifact_id)
    stand.settled()
    admitted = [at for event, at in stand.read("artifacts.admitted") if event["facts"]["node_id"] == "greedy"]
    checks.same("the stream has what was accepted", len(admitted), SENT)
    checks.evidence += [admitted[0], admitted[-1]]


def _kill(stand: Stand) -> int:
    """The intake, once it is there."""
    for process in wait_until(lambda: stand.stage_processes("s1_intake"), 60, "the intake's process"):
        process.kill()
    return 1
