"""One stage's process: `python -m streams.runtime.worker STAGE SLOT`. Started by the supervisor, which restarts it."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import socket
import sys
import threading
import time
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

from streams.broker.admin import Admin
from streams.errors import BrokerError, Fatal, IcnError
from streams.registry_client import adopt_ids
from streams.runtime.fatal import die
from streams.runtime.rules import rule_version
from streams.runtime.stage import Context, Stage
from streams.secrets import deployment_secret
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

STOP_GRACE_S = 3  # for leaving the group
LIFELINE = "ICN_LIFELINE_FD"  # a pipe's end: it closes when the supervisor ends, however that ends


def load_stage(name: str, topology: Topology, settings: Settings) -> tuple[Stage, bytes]:
    """The stage declared in streams/agents/<name>.py, and its rule version."""
    agent, rule = topology.agent(name), rule_version(topology)
    module = importlib.import_module(f"streams.agents.{agent.name}")
    return module.stage(Context(topology, agent, rule, deployment_secret(settings.state))), rule


def member_name(settings: Settings, slot: int) -> str:
    """The same for the same machine, state folder and slot: a restarted worker takes its old place in the group."""
    return f"{socket.gethostname()}-{zlib.crc32(str(settings.state).encode()):08x}-{slot}"


def slot_folder(settings: Settings, slot: int) -> Path:
    """Where a worker keeps its tables. Never shared by two."""
    return settings.state / "workers" / str(slot)


def hold_on_to_lifeline() -> None:
    """End when the supervisor does, also when it is killed."""
    if LIFELINE not in os.environ:
        return
    end = int(os.environ[LIFELINE])

    def wait() -> None:
        os.read(end, 1)  # nothing is ever written: this returns when the other end is gone
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="lifeline").start()


LIBRARIES = ("faust", "mode", "aiokafka", "kafka", "streams")  # `streams`: services that Faust logs for
SAME_AGAIN_S = 10.0


def setup_logging() -> None:
    """One line an event, to stderr: time, level, what."""
    logging.basicConfig(
        level=os.environ.get("ICN_LOG", "INFO"),
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(os.environ.get("ICN_LOG_LIBRARIES", "ERROR"))
    seldom = Seldom()
    for handler in logging.getLogger().handlers:
        handler.addFilter(seldom)


class Seldom(logging.Filter):
    """A library may say the same thing once in ten seconds: a broker that is away makes aiokafka say it 250 times in one."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in LIBRARIES:
            return True
        now, what = time.monotonic(), (record.name, str(record.msg)[:60])
        if now - self._said.get(what, -SAME_AGAIN_S) < SAME_AGAIN_S:
            return False
        self._said[what] = now
        return True


def leave_out_http() -> None:
    """Faust's types name aiohttp's client, and with its web server off nothing of it is used: a stand-in saves half of a stage's start."""
    package, client = ModuleType("aiohttp"), ModuleType("aiohttp.client")
    client.ClientSession = object  # type: ignore[attr-defined]
    sys.modules.setdefault("aiohttp", package)
    sys.modules.setdefault("aiohttp.client", client)


def run(name: str, slot: int) -> int:
    """Run one stage until SIGTERM. Exit codes: 0 stopped, 1 no broker (try again), 2 can't start, 70 fatal (restart me)."""
    hold_on_to_lifeline()
    setup_logging()
    leave_out_http()
    import faust

    from streams.audit.record.process import try_process_log
    from streams.runtime.app import StageApp

    try:
        topology = load()
        settings = read_settings(topology)
        adopt_ids(topology, settings)
        stage, rule = load_stage(name, topology, settings)
        agent = stage.agent
        topics = [topology.topics[alias].name for alias in (*agent.reads, *agent.writes, "batches")]
        existing = Admin(settings).require(topology, [*topics, agent.changelog])
    except BrokerError as error:  # it may come back: the supervisor tries again
        logging.getLogger("icn").warning("%s: %s", name, error)
        return 1
    except IcnError as error:
        logging.getLogger("icn").error("%s: %s", name, error)
        return 2
    folder = slot_folder(settings, slot)
    folder.mkdir(parents=True, exist_ok=True)
    audit = try_process_log(topology, settings, f"{agent.name}-{slot}", rule)
    app = StageApp(stage, topology, settings, folder, member_name(settings, slot), rule, existing[agent.changelog])
    _watch(app, settings.watchdog_ms / 1000, audit)
    logging.getLogger("icn").info("%s starting: group %s, rule version %s", agent.name, agent.group, rule.hex())
    # a batch makes some hundred thousand objects and no cycles: looking for cycles every 700 of them costs a fifth of the time
    gc.collect()
    gc.freeze()
    gc.set_threshold(500_000, 10, 10)
    worker = faust.Worker(app.faust, override_logging=False, redirect_stdouts=False, loglevel=None, quiet=True)
    worker.spinner = None  # it writes cursor codes, also into a file
    threading.Thread(
        target=_end_in_time, args=(worker, app, settings.drain_deadline_ms / 1000, audit), daemon=True, name="ending"
    ).start()
    try:
        worker.execute_from_commandline()
    finally:
        if app.busy_since is None:
            app.runner.release()  # what is only in memory goes to disk, so the next start has nothing to restore
        _say_goodbye(audit)
    return 0


GOODBYE_S = 2  # for the last audit records to reach Kafka; else the next run sends them


def _say_goodbye(audit: Any) -> None:
    if audit is not None:
        audit.close(0, GOODBYE_S)


def _end_in_time(worker: Any, app: Any, drain_s: float, audit: Any) -> None:
    """After SIGTERM: let the batches in work finish, then end, whatever Faust still waits for.

    Caught in the middle of a rebalance, Faust's own stop can hang. Ending is safe at any time: what is committed is committed, the rest
    is read again.
    """
    while not worker.should_stop:
        time.sleep(0.1)
    asked = time.monotonic()
    while (waited := time.monotonic() - asked) < drain_s and (waited < STOP_GRACE_S or app.busy_since is not None):
        time.sleep(0.05)
    _say_goodbye(audit)
    logging.shutdown()
    os._exit(0)


def _watch(app: object, limit_s: float, audit: Any) -> None:
    """End the process when a batch takes too long: a stuck worker is worse than a restarted one."""

    def look() -> None:
        while True:
            time.sleep(1)
            since = getattr(app, "busy_since", None)
            if since is not None and time.monotonic() - since > limit_s:
                if audit is not None:
                    from streams.audit.record.events import Event

                    audit.write(Event("watchdog_timeout", error=f"a batch is in work for more than {limit_s:.0f} s"))
                die(Fatal(f"watchdog: a batch is in work for more than {limit_s:.0f} s"))

    threading.Thread(target=look, daemon=True, name="watchdog").start()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], int(sys.argv[2])))
