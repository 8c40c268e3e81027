"""Each trial once more, against a part that is broken on purpose: there it must fail, by the check that is meant to notice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.certify.broken import FAULTS
from streams.certify.claims import Claim

TIMEOUT_S = 900


@dataclass(frozen=True)
class Control:
    """caught: the trial failed, and by the check that was to notice. told: what it found there."""

    claim: Claim
    caught: bool
    told: str
    seconds: float

    def json(self) -> dict[str, Any]:
        return {
            "number": self.claim.number,
            "name": self.claim.name,
            "broken": self.claim.broken,
            "what": what_is_broken(self.claim),
            "caught": self.caught,
            "caught_by": self.claim.caught_by,
            "told": self.told,
            "seconds": round(self.seconds, 1),
        }


def what_is_broken(claim: Claim) -> str:
    return " ".join((FAULTS[claim.broken].__doc__ or "").split())


def run(brokers: str, folder: Path, claim: Claim, seed: int) -> Control:
    """As a process of its own, so that nothing of it stays here."""
    began = time.monotonic()
    command = [sys.executable, "-m", "streams.certify.broken", claim.broken, "streams", "certify", claim.name]
    folder.mkdir(parents=True, exist_ok=True)
    env = dict(os.environ) | {"ICN_BROKERS": brokers, "ICN_STATE": str(folder)}
    try:
        done = subprocess.run(
            [*command, "--json", "--seed", str(seed)],
            env=env,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Control(claim, False, f"not through within {TIMEOUT_S} s", TIMEOUT_S)
    seconds = time.monotonic() - began
    try:
        (result,) = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        return Control(claim, False, f"it could not be tried: {done.stderr.strip()[-500:]}", seconds)
    return Control(claim, *judged(claim, result), seconds)


def judged(claim: Claim, result: dict[str, Any]) -> tuple[bool, str]:
    """(whether it was caught, what was found)."""
    check = next((one for one in result["checks"] if one["check"] == claim.caught_by), None)
    if check is None:
        return False, result["stuck"] or "the check that should notice was never made"
    if check["holds"] or not check["facts"]:
        return False, f"the trial passes with a broken part: {check['measured'] or check['facts']}"
    return True, f"{check['wrong']} of {check['facts']} facts against it: {'; '.join(check['examples'][:1])}"


def all_caught(controls: Collection[Control]) -> bool:
    return bool(controls) and all(control.caught for control in controls)
