"""A whole network on this machine: broker if none is given, topics, and a worker with all stages."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.broker.local import LocalBroker
from streams.errors import IcnError
from streams.settings import Settings, read_settings
from streams.topology import Topology


class UpLock:
    """Held by `icn up` while it runs: one on a state folder."""

    def __init__(self, state: Path) -> None:
        self.path = state / "up.lock"

    def take(self) -> None:
        """Until the process ends. Raises IcnError if another has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+")
        if not _locked(self._file):
            raise IcnError(
                f"icn up already runs on {self.path.parent} (pid {self.holder() or '?'})",
                "icn worker adds workers to it; --state FOLDER makes another network",
            )
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def holder(self) -> str | None:
        """The pid of the one that runs now; None: none does."""
        try:
            with self.path.open() as file:
                return None if _locked(file) else file.read().strip()
        except FileNotFoundError:
            return None


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def broker_and_topics(
    topology: Topology, say: Callable[[str], None], adopt: bool = False
) -> Iterator[tuple[Settings, LocalBroker | None]]:
    """Settings with a broker that answers and all topics, and the broker, if it is ours: then it is stopped at the end. adopt: one of this
    state folder that runs already is ours too."""
    settings = read_settings(topology)
    ours = None
    left = settings.state / "broker" / "bootstrap"  # of a broker that did not end well, if it doesn't run
    is_left = left.exists() and left.read_text().strip() == settings.brokers
    if not settings.brokers or (is_left and (adopt or LocalBroker(settings.state).pid() is None)):
        ours = LocalBroker(settings.state)
        os.environ["ICN_BROKERS"] = ours.start(say=say)
        settings = read_settings(topology)
    try:
        if steps := Admin(settings).apply(topology):
            say(f"made {len(steps)} topics")
        claim(topology, settings)
        yield settings, ours
    finally:
        if ours is not None:
            say("stopping Apache Kafka …")
            ours.stop()


@contextlib.contextmanager
def worker_process(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`icn worker` as a child, its words in a file; stopped cleanly at the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", "worker"],
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
