"""Keeps everything here running: what ends is started again, on record; ticks that don't come are noticed; a line says how it goes.
`icn up` and `icn soak` are this, without and with an end."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

import psutil

from streams.audit.record.events import Event, canonical
from streams.audit.record.process import process_log
from streams.audit.record.schedule import KeptSchedule, Schedule
from streams.broker.local import LocalBroker
from streams.errors import BrokerError
from streams.local.sight import Sight, memory_bytes, processes
from streams.runtime.children import AuditedChildren
from streams.runtime.supervisor import Supervisor
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.presence import OFFLINE, ONLY_SENDS, counted_state

log = logging.getLogger("icn.keeper")

LOOK_S = 0.2
SAMPLE_CADENCES, WATCHDOG_CADENCES = 5, 5
WATCHDOG_MIN_S = 15.0  # a process takes that long to start again
PROGRESS_TICKS = 10
END_S = 30.0


class Keeper:
    """name: of its audit log. kept: of the schedule that whoever emits the ticks goes by. broker None: it is another's. out: where the
    children's words go; None: where ours do."""

    def __init__(
        self,
        name: str,
        topology: Topology,
        settings: Settings,
        broker: LocalBroker | None,
        modules: dict[str, Sequence[str]],
        schedule: Schedule,
        kept: KeptSchedule,
        say: Callable[[str], None],
        out: IO[bytes] | None = None,
    ) -> None:
        self.broker, self.schedule, self.now_ms, self.say = broker, schedule, kept.steady.now_ms, say
        self.cadence_s = schedule.cadence_ms / 1000
        self.audit = process_log(topology, settings, name, None)
        self.children = AuditedChildren(self.audit, settings.state)
        self.supervisor = Supervisor(modules, self.children, last=("sealer",))
        self.supervisor.out = out
        self.sight = Sight(topology, settings)
        self.stopping = threading.Event()
        self.broker_starts: threading.Thread | None = None
        self.watchdog_s = max(WATCHDOG_MIN_S, WATCHDOG_CADENCES * self.cadence_s)
        self.sample_s, self.told = time.monotonic(), 0

    def run(self, over_s: Callable[[], float | None], each: Callable[[], None] | None = None) -> int:
        """Until SIGINT or SIGTERM, or until over_s says 0 or less: seconds that are left; None: without an end. each: done on every look.
        Returns 0, or 2: a process says that it can't start."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.supervisor.start()
        while not self.stopping.is_set() and ((left_s := over_s()) is None or left_s > 0):
            if (code := self.supervisor.look_after()) is not None:
                return code
            self._look_after_broker()
            self.sight.look(LOOK_S)
            if each is not None:
                each()
            if time.monotonic() >= self.sample_s:
                self.sample_s = time.monotonic() + SAMPLE_CADENCES * self.cadence_s
                self.children.sample({name: process.pid for name, process in self._processes().items()})
            self._watch()
            self._tell()
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def end(self) -> None:
        """In order: who works, then what tells of it, then who seals."""
        self.say("stopping …")
        self.sight.close()
        if self.broker_starts is not None:
            self.broker_starts.join(60)
        self.supervisor.end([name for name in self.supervisor.processes if name != "sealer"], END_S)
        self.audit.write(Event("run_summary", payload={"text": canonical({"crashes": self.supervisor.failures_ever})}))
        self.audit.close(0, 10)
        self.supervisor.end(["sealer"], END_S)

    # -- what is looked after ---------------------------------------------

    def _look_after_broker(self) -> None:
        """Ours, if it has ended: started again beside the loop, which must not wait for it."""
        if self.broker_starts is not None and self.broker_starts.is_alive():
            self.sight.progress_s = time.monotonic()  # nobody can emit a tick
            return
        if self.broker is None or self.broker.pid() is not None:
            return
        log.warning("the broker ended, restarting")
        self.children.ended("broker", 0, -1)
        self.broker_starts = threading.Thread(target=self._start_broker, daemon=True)
        self.broker_starts.start()

    def _start_broker(self) -> None:
        assert self.broker is not None
        try:
            self.broker.start()
        except BrokerError as error:
            log.error("%s", error)

    def _watch(self) -> None:
        """No tick for so long: whoever should emit them is killed, and started again."""
        silent_s = time.monotonic() - self.sight.progress_s
        began = self.now_ms() > self.schedule.t0_ms + 1000 * self.watchdog_s
        over = self.schedule.slots is not None and self.schedule.slot_at(self.now_ms()) >= self.schedule.slots
        if not began or over or silent_s <= self.watchdog_s:
            return
        words = f"no tick for {silent_s:.0f} s"
        log.error("watchdog: %s", words)
        self.audit.write(Event("watchdog_timeout", error=words))
        for name, process in self._processes().items():
            if name.endswith("/ticks"):
                process.kill()
        self.sight.progress_s = time.monotonic()
        self.watchdog_s *= 2  # a long fold is no standstill: give it more next time

    def _processes(self) -> dict[str, psutil.Process]:
        pids = {name: process.pid for name, process in self.supervisor.processes.items()}
        if self.broker is not None and (pid := self.broker.pid()) is not None:
            pids["broker"] = pid
        return {"keeper": psutil.Process(), **processes(pids)}

    # -- what a person wants to know --------------------------------------

    def _tell(self) -> None:
        slot = self.sight.slot
        if slot // PROGRESS_TICKS > self.told // PROGRESS_TICKS or (self.told == 0 and slot > 0):
            self.told = slot
            # nobody listens any more, or the disk that listens is full: no reason to end
            with contextlib.suppress(OSError):
                self.say(self._words())

    def _words(self) -> str:
        schedule, sight, running = self.schedule, self.sight, self._processes()
        of, left_s = "", 0.0
        if schedule.slots is not None:
            of = f"/{schedule.slots} ({100 * (sight.slot + 1) / schedule.slots:.0f} %)"
            left_s = (schedule.t0_ms - self.now_ms()) / 1000 + schedule.slots * self.cadence_s
        missed = sight.slot + 1 - sight.ticks["started"]
        present = sight.present
        send = present.pop(ONLY_SENDS, 0)
        nodes = f"{present.total() - present[OFFLINE]}/{present.total()} alive" + (
            f", {counted_state(send, ONLY_SENDS)}" if send else ""
        )
        outcomes = ", ".join(f"{number} {kind}" for kind, number in sight.outcomes.most_common()) or "none yet"
        return (
            f"tick {sight.slot + 1}{of}  missed {missed}  nodes {nodes}  collections: {outcomes}  "
            f"artifacts {sight.artifacts}  crashes {sum(self.supervisor.failures_ever.values())}  "
            f"{memory_bytes(running) >> 20} MiB in {len(running)} processes"
            + (f"  {_span(left_s)} left" if left_s > 0 else "")
        )


def modules_of(
    workers: int, seal_every_s: float | None = None, nodes: Mapping[str, Path] | None = None
) -> dict[str, Sequence[str]]:
    """What runs here: name -> arguments of `python -m`. nodes: name -> its configuration."""
    every = [] if seal_every_s is None else ["--every", str(seal_every_s)]
    found: dict[str, Sequence[str]] = {"sealer": ["streams", "audit", "seal", *every]}
    for number in range(1, workers + 1):
        found[f"worker {number}"] = ["streams", "worker", *(["--no-ticks"] if number > 1 else [])]
    for name, path in (nodes or {}).items():
        found[f"node {name}"] = ["streams", "node", "run", str(path)]
    return found


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"
