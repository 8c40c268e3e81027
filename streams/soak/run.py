"""The run itself: everything is prepared, the ticks are promised and sealed, it is kept running to its end, and then it judges itself."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streams.agents.promise import NAME
from streams.audit.files import write_whole
from streams.audit.record.schedule import MS, KeptSchedule, Schedule
from streams.broker.local import LocalBroker
from streams.broker.ports import free_port
from streams.errors import IcnError
from streams.local.fleet import Fleet, install, read_fleet
from streams.local.keeper import Keeper, modules_of
from streams.local.network import broker_and_topics
from streams.settings import Settings
from streams.soak.covered import is_covered
from streams.soak.sources import CHANGES_S, made_up
from streams.soak.state import Run, keep, topology_of
from streams.topology import Topology
from streams.words import when

START_S = 20.0  # for all processes to be there
END_S = 10.0  # after the last slot, for its jobs
LOOK_FOR_SEAL_S = 2.0


class Soak:
    """One process's part of a run. say: for people. Raises IcnError."""

    def __init__(self, state: Path, run: Run, given: Topology, say: Callable[[str], None]) -> None:
        self.state, self.kept, self.say = state, run, say
        self.topology = topology_of(state, run, given)
        os.environ |= {"ICN_STATE": str(state), "ICN_TOPOLOGY": str(state / "topology.yaml")}
        if run.made_up:
            os.environ["ICN_SIMULATED_LOAD"] = "true"
        self.cadence_s = run.cadence_ms / 1000
        self.seal_every_s = min(60.0, max(5.0, 2 * self.cadence_s))
        self.look_s: float | None = 0.0  # for the seal on the promise; None: no more

    def run(self) -> int:
        """To its end, or until SIGINT or SIGTERM; exit code of the report."""
        with broker_and_topics(self.topology, self.say, adopt=True) as (settings, broker):
            os.environ["ICN_BROKERS"] = settings.brokers
            code = self._keep(settings, broker)
            return code or self._report()

    def _keep(self, settings: Settings, broker: LocalBroker | None) -> int:
        port = self._port()
        fleet = made_up(self.state / "sources", port, self.kept.cadence_ms) if self.kept.made_up else self._fleet()
        modules = modules_of(1, self.seal_every_s, install(self.topology, settings, fleet, self.state / "fleet"))
        if self.kept.made_up:
            every_s = max(CHANGES_S, self.cadence_s)
            modules["sources"] = ["streams.soak.sources", str(self.state / "sources"), str(port), str(every_s)]
        kept = KeptSchedule(self.state / "audit" / "ticks.schedule")
        schedule = kept.resume_or_begin(self._schedule())
        with (self.state / "run.log").open("ab") as out:
            self.say(f"state {self.state}, broker {settings.brokers}; what the processes say: {self.state}/run.log")
            self.say(f"{schedule.text()}, from {when(schedule.t0_ms)}")
            keeper = Keeper("soak", self.topology, settings, broker, modules, schedule, kept, self.say, out)
            assert schedule.slots is not None
            ends_ms = schedule.t0_ms + schedule.slots * schedule.cadence_ms + 1000 * END_S
            code = keeper.run(
                lambda: (ends_ms - keeper.now_ms()) / 1000, lambda: self._look_for_seal(settings, schedule, keeper)
            )
            if code:
                self.say(f"a process can't start; see {self.state}/run.log")
            keeper.end()
        return code

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

    # -- the promise ------------------------------------------------------

    def _schedule(self) -> Schedule:
        """The one this run has promised; the first time, one that begins when everything should be there and sealed."""
        run = self.kept
        begins_ms = run.t0_ms or time.time_ns() // MS + int((START_S + 2 * self.seal_every_s) * 1000)
        schedule = Schedule.aligned(NAME, begins_ms, run.cadence_ms, run.slots)
        run.t0_ms = schedule.t0_ms
        keep(self.state, run)
        return schedule

    def _look_for_seal(self, settings: Settings, schedule: Schedule, keeper: Keeper) -> None:
        """Until it is known: whether a checkpoint covers the promise before it begins; where it doesn't in time, the report will say so."""
        if self.look_s is None or time.monotonic() < self.look_s:
            return
        ahead_s = (schedule.t0_ms - keeper.now_ms()) / 1000
        if is_covered(self.topology, settings, schedule):
            self.say("the promise is sealed" + (f", {ahead_s:.0f} s before it begins" if ahead_s > 0 else ""))
        elif ahead_s <= 0:
            self.say("the run begins, and its promise is not sealed yet; the report will say so")
        else:
            self.look_s = time.monotonic() + LOOK_FOR_SEAL_S
            return
        self.look_s = None

    # -- the end ----------------------------------------------------------

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
        return judged.returncode


def _icn(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
