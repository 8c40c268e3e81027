"""Runs one process per stage, restarts what ends, and takes all of them along when it ends."""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from streams.errors import EXIT_FATAL, IcnError
from streams.runtime.worker import LIFELINE

log = logging.getLogger("icn.supervisor")

RESTART_PAUSE_S = 0.5
RESTART_PAUSE_MAX_S = 10
WORKED_S = 15  # what can't start at all says so sooner
LASTED_S = 60  # what ran so long ends for another reason than the last time
STOP_DEADLINE_S = 12
SAMPLE_EVERY_S = 300


class Slot:
    """A numbered place on this machine, held while the process lives. Restarted workers take the lowest free one: their old tables."""

    def __init__(self, state: Path) -> None:
        folder = state / "workers"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            self.file = (folder / f"{number}.lock").open("w")
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self.file.close()
                continue
            self.number = number
            return
        raise IcnError(f"{folder}: a thousand workers on one machine", "remove stale *.lock files")


class Watched:
    """What is told of the children; by default nothing."""

    def ended(self, name: str, pid: int, code: int) -> None:
        """One ended, and nobody had asked it to."""

    def sample(self, pids: Mapping[str, int]) -> None:
        """It is time to look at what each uses."""


class Supervisor:
    """The processes of one worker. `modules`: process name -> arguments for `python -m`. last: they end when all others have."""

    def __init__(
        self, modules: dict[str, Sequence[str]], watched: Watched | None = None, last: Sequence[str] = ()
    ) -> None:
        self.last = tuple(last)
        self.modules, self.watched = modules, watched or Watched()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.failures: dict[str, int] = dict.fromkeys(modules, 0)  # one after another
        self.failures_ever: dict[str, int] = dict.fromkeys(modules, 0)
        self.out: IO[bytes] | None = None  # where the children's words go; None: where ours do
        self.restart_at: dict[str, float] = {}
        self.started_at: dict[str, float] = {}
        self.has_worked: set[str] = (
            set()
        )  # so whatever keeps them from starting now is no mistake of their settings, and may pass
        self.stopping = False
        self.sample_at = time.monotonic() + SAMPLE_EVERY_S
        self.lifeline, self._our_end = os.pipe()

    def start(self) -> None:
        """Start all."""
        for name in self.modules:
            self._start(name)

    def _start(self, name: str) -> None:
        self.started_at[name] = time.monotonic()
        self.processes[name] = subprocess.Popen(
            [sys.executable, "-m", *self.modules[name]],
            stdout=self.out,
            stderr=self.out,
            pass_fds=[self.lifeline],
            env={**os.environ, LIFELINE: str(self.lifeline), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C comes to us; we stop them in order
        )

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns 0, or 2 if a stage says it can't start at all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self.start()
        while not self.stopping:
            time.sleep(0.05)
            if (code := self.look_after()) is not None:
                self.stop()
                return code
        self.stop()
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True

    def look_after(self) -> int | None:
        """Restart what ended. Returns an exit code where restarting is pointless."""
        now = time.monotonic()
        if now >= self.sample_at:
            self.sample_at = now + SAMPLE_EVERY_S
            self.watched.sample({name: process.pid for name, process in self.processes.items()})
        for name, process in list(self.processes.items()):
            code = process.poll()
            if code is None:
                continue
            if now - self.started_at[name] > WORKED_S and name not in self.restart_at:
                self.has_worked.add(name)
            if code == 2 and name not in self.has_worked:
                return 2
            if name not in self.restart_at:
                self.failures_ever[name] += 1
                self.failures[name] = 1 if now - self.started_at[name] > LASTED_S else self.failures[name] + 1
                pause = min(RESTART_PAUSE_S * 2 ** (self.failures[name] - 1), RESTART_PAUSE_MAX_S)
                self.restart_at[name] = now + pause
                log.warning("%s ended (%s), restarting in %.1f s", name, _why(code), pause)
                self.watched.ended(name, process.pid, code)
            elif now >= self.restart_at[name]:
                del self.restart_at[name]
                self._start(name)
        return None

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> None:
        """SIGTERM to all, SIGKILL to those that don't end in time; the last ones after the others."""
        self.end([name for name in self.processes if name not in self.last], deadline_s)
        self.end(self.last, deadline_s)

    def end(self, names: Sequence[str], deadline_s: float = STOP_DEADLINE_S) -> None:
        """These only."""
        ending = {name: self.processes[name] for name in names if name in self.processes}
        for process in ending.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + deadline_s
        for name, process in ending.items():
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.error("%s did not end within %.0f s: killed", name, deadline_s)
                process.kill()
                process.wait()


def _why(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return "fatal, see above" if code == EXIT_FATAL else f"exit {code}"


def worker_modules(stages: Sequence[str], slot: int) -> dict[str, Sequence[str]]:
    """What a worker runs for these stages."""
    return {name: ["streams.runtime.worker", name, str(slot)] for name in stages}
