"""A deployment of its own for whoever wants to hurt one: own prefix, own state folder, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.agents.ticks import TICK
from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.broker.registrations import register
from streams.broker.topics import fold
from streams.certify import broken
from streams.codec import decode_any, encoder
from streams.runtime.worker import LIFELINE
from streams.sdk import Judge, Node
from streams.settings import Settings, read_settings
from streams.topology import Topology, default_path, parse

COMPARES_TEXTS = ("s3_sketch", "s4_near")


class Stuck(AssertionError):
    """What should have happened has not, in time."""


class Stand:
    """Topics made, no worker started. whole: also the stages that compare texts; three processes that most tests can do without."""

    def __init__(self, brokers: str, folder: Path, whole: bool = False, **changes: Any) -> None:
        raw = yaml.safe_load(default_path().read_text())
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
        self._lifeline, self._our_end = os.pipe()  # however this process ends, its workers do
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
            [sys.executable, *broken.module("streams"), *arguments],
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
        self.workers.append(self.process("worker", *stages, **env))
        return self.workers[-1]

    def process(self, *arguments: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a command that runs until it is asked to end."""
        command = [sys.executable, *broken.module("streams"), *arguments]
        held = {LIFELINE: str(self._lifeline)}
        return subprocess.Popen(
            command,
            env=self.env | held | env,
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
            pass_fds=[self._lifeline],
        )

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

    def takeovers(self, stage: str) -> int:
        """How often one of its processes has taken partitions over, so far."""
        return Path(self.log.name).read_bytes().count(f"{stage}: owns partitions".encode())

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

    # -- what goes in, and what came of it ---------------------------------

    def register(self, *names: str, principal: str | None = None) -> None:
        """Nodes; s1 reads control before raw when it starts. principal: who answers for them all; default: each for itself."""
        for name in names:
            register(self.topology, self.settings, name, principal=principal or f"p-{name}")

    def node(self, name: str, **options: Any) -> Node:
        """An SDK node of this deployment, whatever ICN_… says."""
        return Node(name, broker=self.settings.brokers, state=self.settings.state, topology=self.topology, **options)

    def judge(self, name: str) -> Judge:
        """The same for a judge."""
        return Judge(name, broker=self.settings.brokers, state=self.settings.state, topology=self.topology)

    def tick(self, slot_ms: int, cadence_ms: int) -> None:
        """Of a deployment in simulated time, as the emitter would write it."""
        value = encoder("control")({**TICK, "slot_ms": slot_ms, "cadence_ms": cadence_ms})
        producer = Producer(self.settings.librdkafka_producer())
        producer.produce(self.topic("control"), value, b"", partition=0, timestamp=slot_ms)
        producer.flush(10)

    def settled(self, timeout_s: float = 120) -> None:
        """Every stage is at the end of its sources."""
        for stage in self.topology.agents:
            wait_until(lambda stage=stage: lag_of(self, stage) == 0, timeout_s, f"lag 0 of {stage}")  # type: ignore[misc]

    def read(self, alias: str) -> list[tuple[dict[str, Any], str]]:
        """Every event of a topic, each partition in the order of its offsets; and its coordinates."""
        found = sorted(fold(self.settings, self.topic(alias)), key=lambda m: (m.partition(), m.offset()))
        return [(decode_any(m.value())[1], f"{m.topic()}/{m.partition()}/{m.offset()}") for m in found]

    def replay(self, *stages: str) -> tuple[int, dict[str, Any]]:
        """`icn replay --verify` of these stages (default: all): exit code and document."""
        only = [word for stage in stages for word in ("--stage", stage)]
        done = self.icn("replay", "--verify", "--json", *only, check=False, timeout_s=900)
        if not done.stdout.startswith("{"):
            raise Stuck(f"icn replay --verify ended {done.returncode}: {done.stderr[-500:]}")
        return done.returncode, json.loads(done.stdout)

    # -- its end -----------------------------------------------------------

    def stop(self) -> list[int]:
        """SIGTERM to all workers; their exit codes."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(30) for worker in self.workers]
        self.workers = []
        return codes

    def remove(self) -> None:
        """Delete its topics, changelogs and groups' offsets from the broker."""
        admin = AdminClient(self.settings.librdkafka())
        prefix = f"{self.topology.deployment}."
        names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
        with contextlib.suppress(KafkaException):
            for future in admin.delete_topics(names, operation_timeout=30).values() if names else ():
                future.result(60)

    def close(self) -> None:
        """End whatever still runs."""
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)
        self.log.close()
        os.close(self._lifeline)
        os.close(self._our_end)


def wait_until(condition: Callable[[], Any], timeout_s: float, what: str) -> Any:
    """Poll until true; the value. Fails with `what` and the last value."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Stuck(f"not within {timeout_s:.0f} s: {what}; last seen: {value!r}")
        time.sleep(0.2)


def lag_of(stand: Stand, stage: str) -> int:
    """Records this stage has not committed yet, over all its sources."""
    from confluent_kafka import Consumer, TopicPartition

    agent = stand.topology.agent(stage)
    consumer = Consumer(stand.settings.librdkafka_reader(**{"group.id": agent.group}))
    try:
        tps = [TopicPartition(stand.topic(alias), p) for alias in agent.reads for p in range(agent.partitions)]
        lag = 0
        for committed in consumer.committed(tps, timeout=10):
            low, high = consumer.get_watermark_offsets(TopicPartition(committed.topic, committed.partition), timeout=10)
            lag += high - max(committed.offset, low)
        return lag
    finally:
        consumer.close()
