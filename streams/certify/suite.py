"""The trials, one after the other, on one broker: on a deployment in the broker's time, and on one where hours pass in seconds."""

from __future__ import annotations

import importlib
import random
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.certify import broken
from streams.certify.checks import Checks
from streams.certify.claims import BY_NAME, CLAIMS, NOW, SIMULATED, Claim
from streams.certify.stand import Stand
from streams.errors import IcnError

Say = Callable[[str], None]

# what looks at everything comes last; tampering leaves forged topics behind
ORDER = {
    NOW: ("poison", "adversary", "race", "blackout", "reputation", "determinism", "conservation", "tampering"),
    SIMULATED: ("backpressure", "saturation", "diversity", "explanation", "determinism", "conservation"),
}
CHANGES: dict[str, dict[str, Any]] = {
    NOW: {"protocol__intake__node_per_hour": 0, "protocol__intake__global_per_hour": 0},
    SIMULATED: {"simulated": True},
}


@dataclass
class Result:
    """Of one claim. stuck: why it could not be tried to its end, in words."""

    claim: Claim
    checks: Checks = field(default_factory=Checks)
    seconds: float = 0.0
    stuck: str = ""

    @property
    def passed(self) -> bool:
        return self.checks.passed and not self.stuck

    def json(self) -> dict[str, Any]:
        about = self.claim._asdict()
        return {
            **{name: about[name] for name in ("number", "name", "title", "says", "false_if")},
            "headline": self.claim.caught_by,
            "passed": self.passed,
            "stuck": self.stuck,
            "seconds": round(self.seconds, 1),
            "faults": self.checks.faults,
            "facts": self.checks.facts,
            "checks": [check.json() for check in self.checks.all.values()],
            "evidence": self.checks.evidence,
        }


def named(names: Collection[str]) -> list[Claim]:
    """All, or those. Raises IcnError."""
    if unknown := [name for name in names if name not in BY_NAME]:
        raise IcnError(f'no trial is called "{unknown[0]}"', f"one of {', '.join(BY_NAME)}, matrix, soak")
    return [claim for claim in CLAIMS if not names or claim.name in names]


def run(
    brokers: str,
    folder: Path,
    claims: Collection[Claim],
    seed: int,
    keep: bool,
    say: Say,
    done: Callable[[Result], None],
) -> list[Result]:
    """done: told of each as it is through. keep: topics, too. A trial that is stuck has failed, and the next one begins."""
    results = {claim.name: Result(claim) for claim in claims}
    for kind, names in ORDER.items():
        here = [name for name in names if name in results and kind in stands_of(results[name].claim)]
        if not here:
            continue
        with stand_of(brokers, folder / kind, keep, say, whole=True, **CHANGES[kind]) as stand:
            stand.worker()
            for name in here:
                say(f"{name} …")
                try_it(stand, results[name], random.Random(f"{seed} {name} {kind}"))
                if kind == stands_of(results[name].claim)[-1]:
                    done(results[name])
    return [results[claim.name] for claim in claims]


def stands_of(claim: Claim) -> tuple[str, ...]:
    """A control needs no second kind."""
    return claim.stands[:1] if broken.is_active() else claim.stands


def try_it(stand: Stand, result: Result, rng: random.Random) -> None:
    began = time.monotonic()
    try:
        importlib.import_module(f"streams.certify.trials.{result.claim.name}").run(stand, result.checks, rng)
    except (AssertionError, TimeoutError, IcnError, LookupError, ValueError) as error:
        result.stuck = f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"
    result.seconds += time.monotonic() - began


@contextmanager
def stand_of(brokers: str, folder: Path, keep: bool, say: Say, **how: Any) -> Iterator[Stand]:
    """A deployment for some trials. Its topics are deleted afterwards, unless they are kept; its folder stays."""
    folder.mkdir(parents=True, exist_ok=True)
    say(f"a deployment of its own in {folder} …")
    stand = Stand(brokers, folder, **how)
    try:
        yield stand
    finally:
        stand.close()
        if not keep:
            stand.remove()
