"""The run itself: starts everything, restarts what ends, watches, says how it goes, and in the end judges itself."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from streams.agents.promise import NAME
from streams.audit.files import write_whole
from streams.audit.record.events import Event, canonical
from streams.audit.record.process import process_log
from streams.audit.record.schedule import MS, KeptSchedule, Schedule
from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.broker.local import LocalBroker
from streams.broker.ports import free_port
from streams.broker.registrations import register, registered
from streams.broker.targets import add
from streams.errors import BrokerError, IcnError
from streams.runtime.children import AuditedChildren
from streams.runtime.supervisor import Supervisor
from streams.settings import read_settings
from streams.soak.covered import is_covered
from streams.soak.fleet import Fleet, read_fleet
from streams.soak.sources import CHANGES_S, made_up
from streams.soak.state import Run, keep, topology_of
from streams.soak.watch import Sight, memory_bytes, processes
from streams.topology import Topology
from streams.words import when

log = logging.getLogger("icn.soak")

START_S = 20.0  # for all processes to be there
TRIES = 3  # to have the promise sealed before it begins
LOOK_S = 0.2
SAMPLE_CADENCES, WATCHDOG_CADENCES = 5, 5
WATCHDOG_MIN_S = 15.0  # a process takes that long to start again
PROGRESS_TICKS = 10
END_S = 10.0  # after the last slot, for its jobs


class Soak:
    """One process's part of a run. say: for people. Raises IcnError."""

    def __init__(self, state: Path, run: Run, given: Topology, say: Callable[[str], None]) -> None:
        self.state, self.kept, self.say = state, run, say
        self.topology = topology_of(state, run, given)
        os.environ |= {"ICN_STATE": str(state), "ICN_TOPOLOGY": str(state / "topology.yaml")}
        if run.made_up:
            os.environ["ICN_SIMULATED_LOAD"] = "true"
        self.broker = None if os.environ.get("ICN_BROKERS") else LocalBroker(state)
        if self.broker is not None:
            os.environ["ICN_BROKERS"] = self.broker.start(say=say)
        self.settings = read_settings(self.topology)
        self.cadence_s = run.cadence_ms / 1000
        self.seal_every_s = min(60.0, max(5.0, 2 * self.cadence_s))
        self.stopping = threading.Event()
        self.crashes = 0
        self.broker_starts: threading.Thread | None = None

    # -- before it begins -------------------------------------------------

    def prepare(self) -> Supervisor:
        """Topics, nodes, targets, the promise; nothing that is there already is made again."""
        Admin(self.settings).apply(self.topology)
        claim(self.topology, self.settings)
        port = self._port()
        fleet = made_up(self.state / "sources", port, self.kept.cadence_ms) if self.kept.made_up else self._fleet()
        known = registered(self.topology, self.settings)
        for name, member in fleet.members.items():
            write_whole(self.state / "fleet" / f"{name}.yaml", yaml.safe_dump(dict(member.raw)).encode())
            if name not in known:
                capacity = member.config.capacity or 3
                register(self.topology, self.settings, name, member.principal, member.capabilities, capacity)
        add(self.topology, self.settings, fleet.targets)
        modules: dict[str, Sequence[str]] = {
            "sealer": ["streams", "audit", "seal", "--every", str(self.seal_every_s)],
            "worker": ["streams", "worker"],
        }
        if self.kept.made_up:
            every_s = max(CHANGES_S, self.cadence_s)
            modules["sources"] = ["streams.soak.sources", str(self.state / "sources"), str(port), str(every_s)]
        for name in fleet.members:
            modules[f"node {name}"] = ["streams", "node", "run", str(self.state / "fleet" / f"{name}.yaml")]
        self.audit = process_log(self.topology, self.settings, "soak", None)
        self.children = AuditedChildren(self.audit, self.state)
        return Supervisor(modules, self.children, last=("sealer",))

    def _fleet(self) -> Fleet:
        """As it was when the run began: what is promised is not made easier on the way."""
        assert self.kept.fleet is not None
        path = self.state / "fleet.yaml"
        if not path.exists():
            write_whole(path, Path(self.kept.fleet).read_bytes())
        return read_fleet(path)

    def _port(self) -> int:
        path = self.state / "sources.port"
        if not path.exists():
            write_whole(path, str(free_port()).encode())
        return int(path.read_text())

    def schedule(self) -> Schedule:
        """The one this run has promised; the first time, one that begins when everything should be there and sealed."""
        run = self.kept
        begins_ms = run.t0_ms or time.time_ns() // MS + int((START_S + 2 * self.seal_every_s) * 1000)
        schedule = Schedule.aligned(NAME, begins_ms, run.cadence_ms, run.slots)
        run.t0_ms = schedule.t0_ms
        keep(self.state, run)
        KeptSchedule(self.state / "audit" / "ticks.schedule").keep(schedule)
        return schedule

    # -- while it runs ----------------------------------------------------

    def run(self) -> int:
        """To its end, or until SIGINT or SIGTERM; exit code of the report."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        supervisor = self.prepare()
        schedule = self.schedule()
        with (self.state / "run.log").open("ab") as out:
            supervisor.out = out
            self.say(
                f"state {self.state}, broker {self.settings.brokers}; what the processes say: {self.state}/run.log"
            )
            self.say(f"{schedule.text()}, from {when(schedule.t0_ms)}")
            supervisor.start()
            code = self._follow(supervisor, schedule)
            self._finish(supervisor)
        return code or self._report()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping.set()

    def _follow(self, supervisor: Supervisor, schedule: Schedule) -> int:
        sight = Sight(self.topology, self.settings)
        ends_s = (
            None if schedule.slots is None else (schedule.t0_ms + schedule.slots * schedule.cadence_ms) / 1000 + END_S
        )
        sample_s, promised_s, told, is_promised = time.monotonic(), 0.0, 0, False
        watchdog_s = max(WATCHDOG_MIN_S, WATCHDOG_CADENCES * self.cadence_s)
        while not self.stopping.is_set():
            if (code := supervisor.look_after()) is not None:
                self.say(f"a process can't start; see {self.state}/run.log")
                return code
            self._look_after_broker()
            sight.look(LOOK_S)
            now_s = time.monotonic()
            if not is_promised and now_s >= promised_s:
                is_promised, promised_s = self._is_promised(schedule), now_s + 2
            if now_s >= sample_s:
                sample_s = now_s + SAMPLE_CADENCES * self.cadence_s
                self.children.sample({name: p.pid for name, p in self._processes(supervisor).items()})
            began = time.time() > schedule.t0_ms / 1000 + watchdog_s
            over = ends_s is not None and time.time() > ends_s - END_S
            if began and not over and now_s - sight.progress_s > watchdog_s:
                self._bite(supervisor, now_s - sight.progress_s)
                sight.progress_s, watchdog_s = (
                    now_s,
                    2 * watchdog_s,
                )  # a long fold is no standstill: give it more next time
            if sight.slot // PROGRESS_TICKS > told // PROGRESS_TICKS or (told == 0 and sight.slot > 0):
                told = sight.slot
                self.say(self._words(schedule, sight, supervisor))
            if ends_s is not None and time.time() >= ends_s:
                break
        sight.close()
        return 0

    def _is_promised(self, schedule: Schedule) -> bool:
        """Once: whether a checkpoint covers the promise before it begins; where it doesn't in time, the report will say so."""
        if is_covered(self.topology, self.settings, schedule):
            ahead_s = schedule.t0_ms / 1000 - time.time()
            self.say("the promise is sealed" + (f", {ahead_s:.0f} s before it begins" if ahead_s > 0 else ""))
            return True
        if time.time() * 1000 >= schedule.t0_ms:
            self.say("the run begins, and its promise is not sealed yet; the report will say so")
            return True
        return False

    def _processes(self, supervisor: Supervisor) -> dict[str, Any]:
        pids = {name: process.pid for name, process in supervisor.processes.items()}
        if self.broker is not None and (pid := self.broker.pid()) is not None:
            pids["broker"] = pid
        return {"soak": _this(), **processes(pids)}

    def _look_after_broker(self) -> None:
        """Ours, if it has ended: started again beside the loop, which must not wait for it."""
        if self.broker is None or self.broker.pid() is not None:
            return
        if self.broker_starts is None or not self.broker_starts.is_alive():
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

    def _bite(self, supervisor: Supervisor, silent_s: float) -> None:
        """No tick for so long: whoever should emit them is killed, and started again."""
        words = f"no tick for {silent_s:.0f} s"
        log.error("watchdog: %s", words)
        self.audit.write(Event("watchdog_timeout", error=words))
        for name, process in self._processes(supervisor).items():
            if name.endswith("/ticks"):
                process.kill()

    def _words(self, schedule: Schedule, sight: Sight, supervisor: Supervisor) -> str:
        """What a person wants to know."""
        of = "" if schedule.slots is None else f"/{schedule.slots} ({100 * (sight.slot + 1) / schedule.slots:.0f} %)"
        missed = sight.slot + 1 - sight.ticks["started"]
        alive = sum(node["state"] != "offline" for node in sight.nodes)
        outcomes = ", ".join(f"{number} {kind}" for kind, number in sight.outcomes.most_common()) or "none yet"
        running = self._processes(supervisor)
        left_s = 0 if schedule.slots is None else schedule.t0_ms / 1000 + schedule.slots * self.cadence_s - time.time()
        return (
            f"tick {sight.slot + 1}{of}  missed {missed}  nodes {alive}/{len(sight.nodes)} alive  collections: {outcomes}  "
            f"artifacts {sight.artifacts}  crashes {sum(supervisor.failures_ever.values())}  "
            f"{memory_bytes(running) >> 20} MiB in {len(running)} processes"
            + (f"  {_span(left_s)} left" if left_s > 0 else "")
        )

    # -- the end ----------------------------------------------------------

    def _finish(self, supervisor: Supervisor) -> None:
        """In order: who works, then what tells of it, then who seals."""
        self.say("stopping …")
        if self.broker_starts is not None:
            self.broker_starts.join(60)
        supervisor.end([name for name in supervisor.processes if name != "sealer"], 30)
        self.audit.write(Event("run_summary", payload={"text": canonical({"crashes": supervisor.failures_ever})}))
        self.audit.close(0, 10)
        supervisor.end(["sealer"], 30)

    def _report(self) -> int:
        """As an auditor would: bundle, key, report; each with our own commands."""
        self.kept.is_over = True
        keep(self.state, self.kept)
        bundle, key = self.state / "run.icnaudit", self.state / "sealer.vkey"
        key.write_text(_icn("audit", "key").stdout)
        made = _icn("audit", "bundle", str(bundle), "--yes")
        if made.returncode:
            raise IcnError(f"no bundle: {made.stderr.strip()}", f"icn --state {self.state} audit bundle FILE")
        html = self.state / "report.html"
        judged = _icn("audit", "report", str(bundle), "--key", str(key), "--html", str(html))
        (self.state / "report.txt").write_text(judged.stdout)
        (self.state / "report.json").write_text(
            _icn("audit", "report", str(bundle), "--key", str(key), "--json").stdout
        )
        print(judged.stdout, end="", flush=True)
        if judged.returncode == 2:
            self.say(judged.stderr.strip())
        self.say(f"{html}, report.json and run.icnaudit are the report, its figures and the evidence")
        if self.broker is not None:
            self.broker.stop()
        return judged.returncode


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"


def _this() -> Any:
    import psutil

    return psutil.Process()


def _icn(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
