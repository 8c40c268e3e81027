"""Fault by fault: two nodes send while it happens, and afterwards nothing is lost, nothing invented, and replay says so."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from streams.broker.local import LocalBroker
from streams.broker.ports import free_port
from streams.certify.checks import Checks
from streams.certify.faults import FAULTS, Fault, Impossible, World
from streams.certify.proxy import Proxy
from streams.certify.stand import Stand
from streams.certify.truth import check_decisions, outcomes
from streams.errors import IcnError
from streams.replay.conservation import balance
from streams.sdk.decision import Submission

NODES = ("matrix-1", "matrix-2")
CONTENTS, AT_ONCE, PAUSE_S = 2_000, 10, 0.4
NO_LIMITS = {"protocol__intake__node_per_hour": 0, "protocol__intake__global_per_hour": 0}
DECIDED_S = 240  # after a fault is over


@dataclass
class Cell:
    """What one fault did."""

    fault: Fault
    checks: Checks = field(default_factory=Checks)
    seconds: float = 0.0
    healed_s: float = 0.0  # from the end of the fault until everything sent was decided
    stuck: str = ""
    impossible: str = ""

    @property
    def passed(self) -> bool:
        return self.checks.passed and not self.stuck and not self.impossible

    def json(self) -> dict[str, Any]:
        return {
            "name": self.fault.name,
            "says": self.fault.says,
            "passed": self.passed,
            "impossible": self.impossible,
            "stuck": self.stuck,
            "faults": self.checks.faults,
            "facts": self.checks.facts,
            "seconds": round(self.seconds, 1),
            "healed_s": round(self.healed_s, 1),
            "checks": [check.json() for check in self.checks.all.values()],
        }


class Load:
    """Two nodes that send all the time, one content in three again."""

    def __init__(self, stand: Stand, rng: random.Random) -> None:
        self.rng, self.submissions, self.contents = rng, list[Submission](), set[int]()
        self.nodes = [stand.node(name, resend_after_s=10) for name in NODES]
        self._paused, self._ended = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._send, daemon=True, name="load")
        self._thread.start()

    def _send(self) -> None:
        try:
            while not self._ended.is_set():
                if self._paused.is_set():
                    self._idle.set()
                    time.sleep(0.05)
                    continue
                self._idle.clear()
                for node in self.nodes:
                    numbers = [self.rng.randrange(CONTENTS) for _ in range(AT_ONCE)]
                    self.contents.update(numbers)
                    self.submissions += node.submit_many(
                        {"content": f"m {number}", "source": "m", "confidence": self.rng.random() / 2}
                        for number in numbers
                    )
                time.sleep(PAUSE_S)
        except BaseException as error:
            self._failure = error
            self._idle.set()

    def decided(self, timeout_s: float) -> dict[str, str]:
        """Pause, and wait until all of it is: artifact_id -> outcome."""
        self._paused.set()
        self._idle.wait(60)
        if self._failure is not None:
            raise self._failure
        return outcomes(self.submissions, timeout_s)

    def go_on(self) -> None:
        self._paused.clear()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(30)
        for node in self.nodes:
            node.close(5)


def run(
    folder: Path, faults: Collection[Fault], seed: int, say: Callable[[str], None], done: Callable[[Cell], None]
) -> list[Cell]:
    """Each fault on a network that works, one after the other; done: told of each as it is through. Brokers are its own: they are hurt."""
    cells = {fault.name: Cell(fault) for fault in faults}
    for nodes in (1, 3):
        here = [cell for cell in cells.values() if cell.fault.nodes == nodes]
        if not here:
            continue
        with world_of(folder / f"{nodes}-brokers", nodes, random.Random(f"{seed} {nodes}"), say) as world:
            load = Load(world.stand, world.rng)
            try:
                for cell in here:
                    say(f"{cell.fault.says} …")
                    hurt(world, load, cell)
                    done(cell)
            finally:
                load.close()
    return list(cells.values())


@contextmanager
def world_of(folder: Path, nodes: int, rng: random.Random, say: Callable[[str], None]) -> Iterator[World]:
    """Brokers, a proxy before a lone one, a deployment, a worker."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    proxy, behind = (Proxy(), free_port()) if nodes == 1 else (None, 0)
    broker = LocalBroker(folder, nodes, (behind, proxy.port) if proxy else None)
    try:
        brokers = broker.start(owned=True, say=say)
        if proxy:
            proxy.start(behind)
        stand = Stand(brokers, folder, whole=True, local__replication=nodes, **NO_LIMITS)
        stand.register(*NODES, "matrix-giant")
        world = World(stand, broker, proxy, rng)
        world.worker()
        try:
            yield world
        finally:
            stand.close()
    finally:
        if proxy:
            proxy.close()
        broker.stop()
        shutil.rmtree(folder / "broker", ignore_errors=True)


def hurt(world: World, load: Load, cell: Cell) -> None:
    """Load, fault, quiet, and then everything there ever was is compared with the truth."""
    began = time.monotonic()
    load.go_on()
    try:
        time.sleep(world.rng.uniform(2, 4))
        cell.checks.faults += cell.fault.make(world)
        over = time.monotonic()
        told = load.decided(DECIDED_S)
        cell.healed_s = time.monotonic() - over
        world.stand.settled(DECIDED_S)
        _compare(world, told, len(load.contents), cell.checks)
    except Impossible as error:
        cell.impossible = str(error)
        load.decided(DECIDED_S)
    except (AssertionError, TimeoutError, IcnError, OSError, LookupError, ValueError) as error:
        cell.stuck = f"{type(error).__name__}: {' '.join(str(error).split())[:600]}"
    cell.seconds = time.monotonic() - began


def _compare(world: World, told: dict[str, str], contents: int, checks: Checks) -> None:
    stand = world.stand
    decided = [event for event, _ in stand.read("artifacts.decided") if event["facts"]["node_id"] in NODES]
    check_decisions(checks, decided, told, contents)
    by_id = {event["facts"]["artifact_id"]: event["decision"].lower() for event in decided}
    wrong = [
        f"{one}: told {outcome}, decided {by_id.get(one)}"
        for one, outcome in told.items()
        if outcome not in (by_id.get(one), "resent")
    ]
    checks.count("0 acknowledged artifacts are lost", len(told), wrong, f"{len(wrong)} of {len(told):,}")
    sums = balance(stand.topology, stand.settings)
    wrong = [] if (sums.residual, sums.in_flight) == (0, 0) else [f"{sums}"]
    checks.count("the residual is 0", sums.submitted, wrong, f"{sums.residual} of {sums.submitted:,}")
    outcomes = Counter(by_id.values()) + Counter(
        {name: count for name, count in world.also.items() if name == "unique"}
    )
    for name in ("unique", "upgraded", "duplicate"):
        checks.same("outcomes are what was sent", sums.outcomes[name], outcomes[name], name)
    letters = world.also.get("dead_lettered", 0)
    checks.same("outcomes are what was sent", sums.outcomes["dead_lettered"], letters, "dead letters")
    code, document = stand.replay()
    findings = [f"{f['kind']} {f['where']}: {f['detail']}" for stage in document["stages"] for f in stage["findings"]]
    compared = sum(stage["compared"] for stage in document["stages"])
    checks.count("replay verifies", compared, findings or [f"exit code {code}"] * bool(code), f"{compared:,} outputs")


def named(names: Collection[str]) -> list[Fault]:
    """All, or those. Raises IcnError."""
    if unknown := set(names) - {fault.name for fault in FAULTS}:
        raise IcnError(
            f'no fault is called "{sorted(unknown)[0]}"', f"one of {', '.join(fault.name for fault in FAULTS)}"
        )
    return [fault for fault in FAULTS if not names or fault.name in names]
