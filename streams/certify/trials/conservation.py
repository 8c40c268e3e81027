"""The equation, before and after a load of which we know what must become of it."""

from __future__ import annotations

import random
import time

from streams.certify import mixed
from streams.certify.checks import Checks
from streams.certify.stand import Stand
from streams.replay.conservation import OUTCOMES, Balance, balance


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Both sides are counted on their own: raw records on the topic, outcomes in the stages' batches."""
    before = _balance(stand)
    expected = mixed.send(stand, f"conserved-{stand.topology.simulated:d}", rng)
    after = _balance(stand)
    wrong = [] if after.residual == 0 else [f"{after.residual} of {after.submitted}: {after}"]
    checks.count(
        "the residual is 0", after.submitted, wrong, f"residual {after.residual} of {after.submitted:,} submitted"
    )
    checks.same("nothing is left in flight", after.in_flight, 0)
    for name in OUTCOMES:
        checks.same("each outcome is what was sent", after.outcomes[name] - before.outcomes[name], expected[name], name)
    checks.same("all of it was submitted", after.submitted - before.submitted, expected.total())


def _balance(stand: Stand) -> Balance:
    """Once nothing is in flight; where something stays there, with it."""
    for _ in range(20):
        found = balance(stand.topology, stand.settings)
        if found.in_flight == 0:
            break
        time.sleep(1)
    return found
