"""An hour, or as long as you like, of faults by chance. The plan is a function of a printed seed: what failed can be seen again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from streams.certify.faults import FAULTS, Fault
from streams.certify.matrix import Cell, Load, hurt, world_of

Done = Callable[[Cell], None]


def plan(seed: int) -> Callable[[], Fault]:
    """The next fault, each time it is asked: of those that take one broker."""
    chance = random.Random(f"{seed} plan")
    known = [fault for fault in FAULTS if fault.nodes == 1]
    return lambda: chance.choice(known)


def run(folder: Path, seed: int, duration_s: float, say: Callable[[str], None], done: Done) -> list[Cell]:
    """Fault after fault on one network, all of it compared after each. Ends after the one that is going on, or that failed."""
    following, cells, began = plan(seed), list[Cell](), time.monotonic()
    with world_of(folder, 1, random.Random(f"{seed} 1"), say) as world:
        load = Load(world.stand, world.rng)
        try:
            while time.monotonic() - began < duration_s and all(cell.passed or cell.impossible for cell in cells):
                cells.append(Cell(following()))
                say(f"{len(cells)}. {cells[-1].fault.says} …")
                hurt(world, load, cells[-1])
                done(cells[-1])
        finally:
            load.close()
    return cells


def summary(cells: Collection[Cell], seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "passed": bool(cells) and all(cell.passed or cell.impossible for cell in cells),
        "faults": sum(cell.checks.faults for cell in cells),
        "facts": sum(cell.checks.facts for cell in cells),
        "cells": [cell.json() for cell in cells],
    }
