"""A deployment of its own on the shared broker: own prefix, own state folder, real processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.settings import Settings, read_settings
from streams.topology import PACKAGE, Topology, load, parse

ROOT = PACKAGE.parent
COMPARES_TEXTS = ("s3_sketch", "s4_near")


class Network:
    """Topics made, no worker started. whole: also the stages that compare texts; three processes that most tests can do without."""

    def __init__(self, brokers: str, folder: Path, whole: bool = False, **changes: Any) -> None:
        raw = yaml.safe_load((ROOT / "topology.yaml").read_text())
        raw["deployment"] = f"t{random.randrange(1 << 40):x}"
        raw["local"] |= {"brokers": brokers, "state": str(folder / "state"), "session_timeout": "6s"}
        if not whole:
            raw["agents"] = {name: agent for name, agent in raw["agents"].items() if name not in COMPARES_TEXTS}
            raw["windows"] = {}
        for path, value in changes.items():
            node = raw
            *parents, last = path.split("__")
            for parent in parents:
                node = node[parent]
            node[last] = value
        self.file = folder / "topology.yaml"
        self.file.write_text(yaml.safe_dump(raw))
        self.topology: Topology = parse(raw, str(self.file))
        self.settings: Settings = read_settings(self.topology, {})
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ICN_")} | {"ICN_TOPOLOGY": str(self.file)}
        self.folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.log = (folder / "workers.log").open("ab")
        Admin(self.settings).apply(self.topology)
        claim(self.topology, self.settings)

    def topic(self, alias: str) -> str:
        """The topic's name on the broker."""
        return self.topology.topic(alias).name

    def icn(
        self, *arguments: str, check: bool = True, timeout_s: float = 300, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command line to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "streams", *arguments],
            env=self.env | env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"icn {' '.join(arguments)} ended {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def worker(self, *stages: str, **env: str) -> subprocess.Popen[bytes]:
        """Start `icn worker`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "streams", "worker", *stages],
            env=self.env | env,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )
        self.workers.append(process)
        return process

    def restored_worker(self) -> subprocess.Popen[bytes]:
        """Start `icn worker`, alone; return once every stage owns its partitions and has its tables back."""
        log = Path(self.log.name)
        begin = log.stat().st_size
        process = self.worker()

        def owned() -> bool:
            said = log.read_bytes()[begin:].decode()
            return all(f"{stage}: owns partitions" in said for stage in self.topology.agents)

        wait_until(owned, 120, "every stage owns its partitions")
        return process

    def stage_processes(self, stage: str | None = None) -> list[psutil.Process]:
        """The stages' processes of all workers now running."""
        return self._children("streams.runtime.worker", stage)

    def window_processes(self, name: str) -> list[psutil.Process]:
        """The same of what looks at windows."""
        return self._children(f"streams.agents.{name}")

    def _children(self, *words: str | None) -> list[psutil.Process]:
        found = []
        for worker in self.workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(worker.pid).children():
                    with contextlib.suppress(psutil.NoSuchProcess):
                        command = child.cmdline()
                        if all(word is None or word in command for word in words):
                            found.append(child)
        return found

    def stop(self) -> list[int]:
        """SIGTERM to all workers; their exit codes."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(30) for worker in self.workers]
        self.workers = []
        return codes

    def close(self) -> None:
        """End whatever still runs."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)
        self.log.close()


def raw_in(partitions: int) -> dict[str, Any]:
    """Changes for a network whose node-keyed topics have so many partitions; docs/operating.md says what that costs."""
    keyed_by_node = [
        alias
        for alias, topic in load(ROOT / "topology.yaml").topics.items()
        if topic.key == "node_id" and topic.cleanup == "delete"
    ]
    return {f"topics__{alias}__partitions": partitions for alias in keyed_by_node if not alias.endswith(".dlq")} | {
        "agents__s1_intake__reads": ["artifacts.raw", "control", "reputation.log"],
        "agents__s1_intake__feedback": ["reputation.log"],
        "agents__s1_intake__linger": {},
        "protocol__intake__undecided_max": 0,
    }


@contextlib.contextmanager
def network(brokers: str, folder: Path, whole: bool = False, **changes: Any) -> Iterator[Network]:
    """A deployment for one test; on failure the workers' last words are printed."""
    net = Network(brokers, folder, whole, **changes)
    try:
        yield net
        # a fatal end is part of the design; an exception nobody expected is a bug that a restart would hide
        _, unexpected, told = (folder / "workers.log").read_text().partition("unexpected:")
        assert not unexpected, told[:4000]
    except BaseException:
        net.log.flush()
        print((folder / "workers.log").read_text()[-12000:])
        raise
    finally:
        net.close()


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll until true; the value. Fails with `what` and the last value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}; last seen: {value!r}")
        time.sleep(0.2)


def lag_of(net: Network, stage: str) -> int:
    """Records this stage has not committed yet, over all its sources."""
    from confluent_kafka import Consumer, TopicPartition

    agent = net.topology.agent(stage)
    consumer = Consumer(net.settings.librdkafka_reader(**{"group.id": agent.group}))
    try:
        tps = [TopicPartition(net.topic(alias), p) for alias in agent.reads for p in range(agent.partitions)]
        lag = 0
        for committed in consumer.committed(tps, timeout=10):
            low, high = consumer.get_watermark_offsets(TopicPartition(committed.topic, committed.partition), timeout=10)
            lag += high - max(committed.offset, low)
        return lag
    finally:
        consumer.close()
