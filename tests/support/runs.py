"""A run on a schedule, written by the real writer, minute by minute, with whatever goes wrong in it. Nothing waits: time is told."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judge import judge
from streams.audit.judge.judgement import Judgement
from streams.audit.record.events import Event, canonical
from streams.audit.record.methodology import METHODOLOGY
from streams.audit.record.schedule import Schedule
from streams.audit.tampering.copy import Copy
from streams.audit.verify.report import Report
from streams.clock import Moment
from tests.support.audit import KEYS, KNOWN_TYPES, MANIFEST, T0, World

MINUTE = 60_000
RUN_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = RUN_KEY.public_key().public_bytes_raw().hex()


class Run(World):
    """A scheduler that emits ticks and tells of their jobs, a node, a sealer. `clock` is ms since t0."""

    def __init__(self, slots: int, name: str = "soak", simulated: bool = False, **world: Any) -> None:
        super().__init__(**world)
        self.schedule = Schedule(name, T0, MINUTE, slots, 5_000)
        self.clock, self.simulated = -10_000.0, simulated
        self.wall_ahead_ms = 0.0
        self.boot_ahead_ms, self.slept_ms = 5_000_000.0, 0.0
        self.boot_id = bytes(15) + b"\x01"
        self.starts = 0
        self.start("sealer", 1, self.boot_id, host="host-1")
        self.start_scheduler()
        self.start("node", 1, self.boot_id, host="host-1")
        self.seal()

    def at(self) -> Moment:
        wall_ns = round((T0 + self.clock + self.wall_ahead_ms) * 1e6)
        boot_ns = round((self.clock + self.boot_ahead_ms) * 1e6)
        return Moment(wall_ns, boot_ns - round(self.slept_ms * 1e6), boot_ns)

    def put(self, key: bytes | None, value: bytes | None) -> Any:
        """The broker's clock is right whatever ours says."""
        item = super().put(key, value)
        self.items[-1] = item._replace(ts_ms=round(T0 + self.clock))
        return self.items[-1]

    def start_scheduler(self) -> None:
        """Also after a crash: the same schedule goes on."""
        self.starts += 1
        now = self.at()
        clock = {name: str(value) for name, value in now._asdict().items()} | {"boot_id": self.boot_id.hex()}
        self.start(
            "scheduler", self.starts, self.boot_id, canonical(METHODOLOGY),
            schedule=self.schedule.json(), clock=clock, host="host-1", public_key=PUBLIC, simulated=self.simulated,
        )  # fmt: skip

    def tick(
        self,
        slot: int,
        jobs: Iterable[str | None] = ("ok", "ok"),
        late_ms: float = 20,
        accepts: int = 10,
        rejects: int = 0,
    ) -> None:
        """One minute as it should be. jobs: ok, failed, empty, unchanged, crashed, or retried (fails, then succeeds)."""
        self.clock = slot * MINUTE + late_ms
        self.say("scheduler", Event("tick_started", slot))
        for number, outcome in enumerate(jobs):
            self.clock += 1_000
            self.job(slot, f"job-{number}", outcome)
        if accepts or rejects:
            self.say("node", Event("backpressure_accept", artifact_count=accepts))
            if rejects:
                self.say("node", Event("backpressure_reject", artifact_count=rejects))
        self.clock += 500
        self.say(
            "scheduler",
            Event(
                "tick_completed", slot, success=True, duration_ns=round(self.clock - slot * MINUTE - late_ms) * 10**6
            ),
        )

    def job(self, slot: int, job: str, outcome: str | None) -> None:
        if outcome is None:
            return
        said = lambda attempt, type_, success, artifacts=0: self.say(  # noqa: E731
            "scheduler", Event(type_, slot, job, attempt, success, 10**9, artifacts)
        )
        self.say("scheduler", Event("collection_start", slot, job, 1))
        if outcome == "ok":
            said(1, "collection_success", True, 3)
        elif outcome == "failed":
            said(1, "collection_failure", False)
        elif outcome == "empty":
            said(1, "collection_empty", False)
        elif outcome == "unchanged":
            said(1, "collection_empty", None)
        elif outcome == "retried":
            said(1, "collection_failure", False)
            self.say("scheduler", Event("collection_start", slot, job, 2))
            said(2, "collection_success", True, 3)
        else:
            assert outcome == "crashed", outcome

    def exit(self, name: str = "scheduler") -> None:
        """Signed with the run's key, as AuditLog.close does."""
        signature = RUN_KEY.sign(self.writers[name].prev)
        self.say(name, Event("process_exit", payload={"code": 0, "signature": signature}))

    def judged(
        self, until_slot: int | None = None, anchored: bool = True, change: Callable[[Copy], Copy] | None = None
    ) -> Judgement:
        """Sealed, verified and judged at the end of a slot (default: the last one)."""
        self.seal()
        end = self.schedule.slots if until_slot is None else until_slot
        assert end is not None
        return judged(
            self.copy() if change is None else change(self.copy()),
            T0 + end * MINUTE,
            self.notes[0] if anchored else None,
        )


def judged(log: Copy, at_ms: int, anchor: bytes | None) -> Judgement:
    """As `icn audit report` does it."""
    evidence = Evidence()
    result = log.verify(KEYS, anchor, KNOWN_TYPES, evidence.visit)
    return judge(evidence, Report(MANIFEST.topic, at_ms, [], [result]))


def a_run(slots: int, change: Callable[[Run, int], bool] | None = None) -> Run:
    """change: is asked before each tick; True: it has seen to that minute itself."""
    run = Run(slots)
    for slot in range(slots):
        if change is None or not change(run, slot):
            run.tick(slot)
        if slot % 20 == 19:
            run.seal()
    return run


def sample() -> Run:
    """docs/samples: 200 minutes with a crash, a source that is away, a flood; marked as simulated."""
    chance = random.Random(1)
    run = Run(200, simulated=True)
    for slot in range(200):
        if slot == 63:
            run.clock = 63 * MINUTE - 20_000
            run.say("node", Event("process_crash", payload={"child": "scheduler", "pid": 4711, "code": -9}))
            run.start_scheduler()
        if not 60 <= slot < 63:
            jobs = [
                "retried" if slot == 20 else "ok",
                "failed" if 110 <= slot < 125 else "ok",
                "unchanged" if slot % 10 else "ok",
            ]
            late_ms = 15 * math.exp(chance.gauss(0, 0.7))
            run.tick(slot, jobs, late_ms, accepts=10, rejects=40 if 150 <= slot < 154 else 0)
        if slot % 20 == 19:
            run.seal()
    run.clock = 200 * MINUTE + 100
    run.exit()
    run.seal()
    return run


def write_sample(folder: Path) -> None:
    """The bundle, the sealer's verifier key, and a checkpoint that an auditor kept an hour before the end."""
    run, log = sample(), sample().copy()
    manifest = replace(MANIFEST, made_ms=T0 + 201 * MINUTE, bounds={0: (0, len(log.items))})
    folder.mkdir(parents=True, exist_ok=True)
    log.but(manifest=manifest).write(folder / "run.icnaudit")
    (folder / "sealer.vkey").write_text(f"{KEYS[0]}\n")
    (folder / "kept.note").write_bytes(run.notes[-4])


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
