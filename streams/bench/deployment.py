"""A broker and a deployment of its own, for one benchmark: fills topics, runs stages, and says what each took."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.broker.local import LocalBroker
from streams.errors import IcnError
from streams.replay.follow import Step, read_history
from streams.settings import Settings, read_settings
from streams.topology import Topology, default_path, parse

RUN_TIMEOUT_S = 900
MAIN_SOURCE = {"s3_reputation": "receipts"}  # else the first that a stage reads; others are a trickle
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One engine, once."""

    engine: str
    records: int
    seconds: float
    cpu_seconds: float  # from the first batch on: starting Python is not the engine's work
    unique: int
    rss_mib: float  # the highest
    memory: list[tuple[int, float]] = field(default_factory=list)  # (records decided, MiB resident) on the way

    @property
    def per_second(self) -> float:
        """Records a second."""
        return self.records / self.seconds


class Bench:
    """A broker and a deployment for one benchmark; everything under one folder."""

    def __init__(self, folder: Path, say: Say) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.say = folder, say
        self.broker = LocalBroker(folder)
        raw = yaml.safe_load(default_path().read_text())
        raw["deployment"] = "bench"
        raw["protocol"]["intake"] |= {"global_per_hour": 0, "node_per_hour": 0, "undecided_max": 0}
        raw["local"] |= {"brokers": self.broker.start(owned=True, say=say), "state": str(folder)}
        self.file = folder / "topology.yaml"
        self.file.write_text(yaml.safe_dump(raw))
        self.topology: Topology = parse(raw, str(self.file))
        self.settings: Settings = read_settings(self.topology, {})
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("ICN_")} | {"ICN_TOPOLOGY": str(self.file)}
        self.admin = AdminClient(self.settings.librdkafka())
        Admin(self.settings).apply(self.topology)
        claim(self.topology, self.settings)

    def close(self) -> None:
        """Stop the broker, remove the data."""
        self.broker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def produce(self, alias: str, records: Any, total: int) -> None:
        """Fill a topic: (key, value, headers)."""
        producer, topic = (
            Producer(self.settings.librdkafka_producer(**{"linger.ms": 50})),
            self.topology.topic(alias).name,
        )
        for number, (key, value, headers) in enumerate(records, 1):
            producer.produce(topic, value, key, headers=headers)
            if number % 20_000 == 0:
                while len(producer) > 200_000:
                    producer.poll(0.1)
                producer.poll(0)
                if number % 200_000 == 0:
                    self.say(f"  {alias}: {number:,} of {total:,} produced")
        producer.flush(120)

    def empty(self, alias: str) -> None:
        """Delete a topic and make it again."""
        for future in self.admin.delete_topics([self.topology.topic(alias).name], operation_timeout=60).values():
            future.result(60)
        time.sleep(1)
        Admin(self.settings).apply(self.topology)

    def reset(self, *stages: str) -> None:
        """As if these stages had never run: their outputs, changelogs, groups and tables are gone; their input stays."""
        agents = [self.topology.agent(stage) for stage in stages]
        names = {self.topology.topics[alias].name for agent in agents for alias in agent.writes} | {
            a.changelog for a in agents
        }
        names.add(self.topology.topic("batches").name)
        for future in self.admin.delete_topics(list(names), operation_timeout=60).values():
            future.result(60)
        for agent in agents:
            self._forget_group(agent.group)
        shutil.rmtree(self.folder / "workers", ignore_errors=True)
        time.sleep(1)
        Admin(self.settings).apply(self.topology)

    def _forget_group(self, group: str) -> None:
        """Delete it, once a worker that ended without leaving it has been given up."""
        deadline = time.monotonic() + 60
        while group in {g.group_id for g in self.admin.list_consumer_groups().result().valid}:
            try:
                self.admin.delete_consumer_groups([group])[group].result(30)
            except KafkaException:  # not empty yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    def run(self, stages: tuple[str, ...], expected: Mapping[str, int], workers: int = 1) -> dict[str, Run]:
        """Run stages until each has decided so many records of its main source; figures by stage, from broker times of the batches."""
        processes = [self._start("streams", "worker", "--no-ticks", *stages) for _ in range(workers)]
        usage: dict[str, dict[int, tuple[float, float]]] = {stage: {} for stage in stages}
        before = dict.fromkeys(stages, 0.0)  # CPU seconds of starting
        memory: dict[str, list[tuple[int, float]]] = {stage: [] for stage in stages}
        deadline = time.monotonic() + RUN_TIMEOUT_S
        try:
            done: set[str] = set()
            while done != set(stages):
                time.sleep(0.5)
                _look(processes, usage)
                history = read_history(self.topology, self.settings)
                decided = {
                    s: sum(step.event["records"] for step in steps_of(history, self.topology, s)) for s in stages
                }
                done = {s for s in stages if decided[s] >= expected.get(s, 0)}
                for stage in stages:
                    if not decided[stage]:
                        before[stage] = sum(cpu for cpu, _ in usage[stage].values())
                    memory[stage].append((decided[stage], max((rss for _, rss in usage[stage].values()), default=0.0)))
                self._require_going(processes, deadline)
            _look(processes, usage)
        finally:
            _stop(processes)
        return {
            stage: _measured(
                stage,
                sorted(steps_of(history, self.topology, stage), key=lambda s: s.time_ms),
                sum(cpu for cpu, _ in usage[stage].values()) - before[stage],
                memory[stage],
            )
            for stage in stages
        }

    def profile(self, stage: str, expected: int) -> dict[str, float]:
        """CPU microseconds of a record by part, of one stage alone, in one process."""
        out = self.folder / f"{stage}.json"
        process = self._start("streams.bench.profile", stage, str(out))
        deadline = time.monotonic() + RUN_TIMEOUT_S
        try:
            while not out.exists() or _read(out).get("records", 0) < expected:
                time.sleep(0.5)
                self._require_going([process], deadline)
        finally:
            _stop([process])
        found: dict[str, float] = _read(out)["cpu_us"]
        return found

    def _start(self, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", module, *arguments], env=self.env, stdout=log, stderr=log)

    def _require_going(self, processes: list[subprocess.Popen[bytes]], deadline: float) -> None:
        if time.monotonic() > deadline or any(p.poll() is not None for p in processes):
            log = self.folder / "workers.log"
            raise IcnError(f"the stages did not finish: {log}", log.read_text()[-1500:])


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(30)


def _read(out: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(out.read_text())
    except ValueError:  # being written
        return {}
    return found


def steps_of(history: Any, topology: Topology, stage: str) -> list[Step]:
    """Those that a stage made of its main source."""
    agent = topology.agent(stage)
    source = MAIN_SOURCE.get(agent.name, agent.reads[0])
    return [step for steps in history.of(agent).values() for step in steps if step.event["topic"] == source]


def _look(workers: list[subprocess.Popen[bytes]], usage: dict[str, dict[int, tuple[float, float]]]) -> None:
    """Add each stage process's CPU seconds and resident memory so far."""
    for worker in workers:
        for child in psutil.Process(worker.pid).children():
            try:
                command, cpu = child.cmdline(), child.cpu_times()
                stage = next((s for s in usage if s in command), None)
                if stage is not None:
                    usage[stage][child.pid] = (
                        cpu.user + cpu.system,
                        child.memory_info().rss / (1 << 20),
                    )
            except psutil.NoSuchProcess:
                continue


def _measured(stage: str, steps: list[Step], cpu_seconds: float, memory: list[tuple[int, float]]) -> Run:
    if not steps:
        raise IcnError(f"{stage} decided nothing", "see workers.log")
    # a batch's time is its end, so the first one's records are not counted in the time that follows it
    seconds = max(0.001, (steps[-1].time_ms - steps[0].time_ms) / 1000)
    records = sum(step.event["records"] for step in steps)
    scale = records / max(1, records - steps[0].event["records"])
    unique = sum(step.event["counts"].get("unique", 0) for step in steps)
    return Run(
        stage,
        records,
        seconds * scale,
        cpu_seconds,
        unique,
        max((rss for _, rss in memory), default=0.0),
        memory,
    )
