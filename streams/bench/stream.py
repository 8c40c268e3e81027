"""The stream benchmark: s2 beside stock Faust and Quix Streams on the same input; the whole chain; restore; memory.

Engines run in turn, several rounds, on one broker, each from an empty state with its changelog on, and each must find the same uniques.
Ours writes more than its rivals: receipts, batch events and markers, in transactions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.bench.load import admitted_records, raw_records
from streams.broker.admin import Admin
from streams.broker.deployment_key import claim
from streams.broker.local import LocalBroker
from streams.errors import IcnError
from streams.replay.follow import Step, read_history
from streams.runtime.store import open_store, restore, wipe
from streams.settings import Settings, read_settings
from streams.topology import Topology, default_path, parse

UNIQUE_SHARE = 4  # one in four artifacts is new
RUN_TIMEOUT_S = 400
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One engine, once."""

    engine: str
    records: int
    seconds: float
    cpu_seconds: float
    unique: int
    rss_mib: float

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
        raw["protocol"]["intake"] |= {"global_per_hour": 0, "node_per_hour": 0}
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

    def reset(self, *stages: str) -> None:
        """As if these stages had never run: their outputs, changelogs, groups and tables are gone; their input stays."""
        agents = [self.topology.agent(stage) for stage in stages]
        names = {self.topology.topics[alias].name for agent in agents for alias in agent.writes} | {
            a.changelog for a in agents
        }
        names.add(self.topology.topic("batches").name)
        for future in self.admin.delete_topics(list(names), operation_timeout=60).values():
            future.result(60)
        groups = {g.group_id for g in self.admin.list_consumer_groups().result().valid} & {a.group for a in agents}
        for future in (self.admin.delete_consumer_groups(list(groups)) if groups else {}).values():
            future.result(30)
        shutil.rmtree(self.folder / "workers", ignore_errors=True)
        time.sleep(1)
        Admin(self.settings).apply(self.topology)

    def run(self, stages: tuple[str, ...], expected: Mapping[str, int], workers: int = 1) -> dict[str, Run]:
        """Run stages until each has decided so many records of its inputs; figures by stage, from broker times of the batches."""
        with (self.folder / "workers.log").open("ab") as log:
            processes = [
                subprocess.Popen(
                    [sys.executable, "-m", "streams", "worker", "--no-ticks", *stages],
                    env=self.env,
                    stdout=log,
                    stderr=log,
                )
                for _ in range(workers)
            ]
        usage: dict[str, dict[int, tuple[float, float]]] = {stage: {} for stage in stages}
        deadline = time.monotonic() + RUN_TIMEOUT_S
        try:
            done: set[str] = set()
            while done != set(stages):
                time.sleep(0.5)
                _look(processes, usage)
                history = read_history(self.topology, self.settings)
                done = {
                    s
                    for s in stages
                    if sum(step.event["records"] for step in _steps(history, self.topology, s)) >= expected[s]
                }
                if time.monotonic() > deadline or any(p.poll() is not None for p in processes):
                    raise IcnError(
                        f"the stages did not finish: {self.folder / 'workers.log'}",
                        (self.folder / "workers.log").read_text()[-1500:],
                    )
            _look(processes, usage)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
        return {
            stage: _measured(
                stage, sorted(_steps(history, self.topology, stage), key=lambda s: s.time_ms), usage[stage]
            )
            for stage in stages
        }


def _steps(history: Any, topology: Topology, stage: str) -> list[Step]:
    return [step for steps in history.of(topology.agent(stage)).values() for step in steps]


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
                        max(child.memory_info().rss / (1 << 20), usage[stage].get(child.pid, (0, 0))[1]),
                    )
            except psutil.NoSuchProcess:
                continue


def _measured(stage: str, steps: list[Step], usage: dict[int, tuple[float, float]]) -> Run:
    # a batch's time is its end, so the first one's records are not counted in the time that follows it
    seconds = max(0.001, (steps[-1].time_ms - steps[0].time_ms) / 1000)
    records = sum(step.event["records"] for step in steps)
    scale = records / max(1, records - steps[0].event["records"])
    unique = sum(step.event["counts"].get("unique", 0) for step in steps)
    return Run(
        stage,
        records,
        seconds * scale,
        sum(cpu for cpu, _ in usage.values()),
        unique,
        max((rss for _, rss in usage.values()), default=0.0),
    )


def run_rival(bench: Bench, python: str, script: str, source: str, records: int, number: int) -> Run:
    """Run one rival's script in its own environment."""
    output, state = f"bench.rival-{script}-{number}", bench.folder / "rivals" / f"{script}-{number}"
    state.mkdir(parents=True)
    for future in bench.admin.create_topics([NewTopic(output, 4, 1)]).values():
        future.result(30)
    done = subprocess.run(
        [
            python,
            str(Path(__file__).with_name("rivals") / f"{script}.py"),
            "--brokers",
            bench.settings.brokers,
            "--input",
            source,
            "--output",
            output,
            "--count",
            str(records),
            "--group",
            f"{script}-{number}",
            "--state",
            str(state),
        ],
        env=bench.env | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise IcnError(f"{script} ended {done.returncode}", done.stderr[-1500:])
    about = json.loads(done.stdout.strip().splitlines()[-1])
    shutil.rmtree(state, ignore_errors=True)
    bench.admin.delete_topics([output])
    return Run(script, about["records"], about["seconds"], about["cpu_seconds"], about["unique"], about["rss_mib"])


def measure_restore(bench: Bench) -> tuple[int, float]:
    """(rows, seconds) to bring s2's tables from nothing to the end of their changelog, partition after partition, in one thread."""
    agent = bench.topology.agent("s2")
    topic_id = Admin(bench.settings).existing([agent.changelog])[agent.changelog].id
    consumer = Consumer(bench.settings.librdkafka_reader())
    rows, started = 0, time.monotonic()
    for partition in range(agent.partitions):
        path = bench.folder / "restore" / str(partition)
        store = open_store(path, topic_id, 1 << 40)
        rows += restore(store, consumer, agent.changelog, topic_id, partition, lambda: False) or 0
        store.close()
    seconds = time.monotonic() - started
    consumer.close()
    wipe(bench.folder / "restore")
    return rows, seconds


def bench_stream(
    folder: Path, records: int, faust_records: int, chain_records: int, rounds: int, rivals: str | None, say: Say
) -> dict[str, Any]:
    """The whole benchmark. `rivals`: the Python that has the other engines; None leaves them out."""
    bench = Bench(folder, say)
    try:
        say(f"producing {records:,} admitted artifacts, {records // UNIQUE_SHARE:,} of them unique …")
        bench.produce(
            "artifacts.admitted",
            ((k, v, None) for k, v, _ in admitted_records(records, records // UNIQUE_SHARE)),
            records,
        )
        big = bench.topology.topic("artifacts.admitted").name
        small = f"{big}.small"
        if rivals:
            for future in bench.admin.create_topics([NewTopic(small, 4, 1)]).values():
                future.result(30)
            producer = Producer(bench.settings.librdkafka_producer())
            for key, value, _ in admitted_records(faust_records, faust_records // UNIQUE_SHARE):
                producer.produce(small, value, key)
            producer.flush(60)
        runs: list[Run] = []
        for number in range(rounds):
            bench.reset("s2_dedup")
            runs.append(bench.run(("s2_dedup",), {"s2_dedup": records})["s2_dedup"])
            say(_line(runs[-1]))
            if rivals:
                for script, topic, count in (("quix", big, records), ("stock_faust", small, faust_records)):
                    runs.append(run_rival(bench, rivals, script, topic, count, number))
                    say(_line(runs[-1]))
        for run in runs:
            if run.unique != run.records // UNIQUE_SHARE:
                raise IcnError(f"{run.engine} found {run.unique:,} uniques, {run.records // UNIQUE_SHARE:,} are true")
        rows, seconds = measure_restore(bench)
        say(f"restore: {rows:,} changelog rows in {seconds:.1f} s: {rows / seconds:,.0f}/s")
        chain = bench_chain(bench, chain_records, say)
        return _summary(runs, rows / seconds, chain)
    finally:
        bench.close()


def bench_chain(bench: Bench, records: int, say: Say) -> dict[str, Any]:
    """raw -> admitted -> decided -> priorities, two workers, limits off; then s1 alone: its ceiling on one partition."""
    from streams.secrets import deployment_secret

    bench.reset("s1_intake", "s2_dedup", "s4_priority")
    bench.admin.delete_topics([bench.topology.topic("artifacts.admitted").name], operation_timeout=60)
    time.sleep(1)
    Admin(bench.settings).apply(bench.topology)
    say(f"the whole chain: producing {records:,} signed raw artifacts of ten nodes …")
    registrations, raw = raw_records(records, records // UNIQUE_SHARE, 10, deployment_secret(bench.settings.state))
    bench.produce("control", registrations, 10)
    bench.produce("artifacts.raw", raw, records)
    stages = ("s1_intake", "s2_dedup", "s4_priority")
    expected = {"s1_intake": records + 10, "s2_dedup": records, "s4_priority": records}
    started_at = time.time()
    made = bench.run(stages, expected, workers=2)
    history = read_history(bench.topology, bench.settings)
    times = [step.time_ms for stage in stages for step in _steps(history, bench.topology, stage)]
    seconds = (max(times) - min(times)) / 1000
    say(
        f"chain, two workers: {records:,} in {seconds:.1f} s: {records / seconds:,.0f}/s ({time.time() - started_at:.0f} s with start)"
    )
    for stage in stages:
        say("  " + _line(made[stage]))
    bench.reset("s1_intake")
    alone = bench.run(("s1_intake",), {"s1_intake": records + 10})["s1_intake"]
    say("s1 alone, one partition: " + _line(alone))
    return {
        "records_per_s": records / seconds,
        "s1_ceiling_per_s": alone.per_second,
        "cpu_seconds_per_million": {stage: made[stage].cpu_seconds / records * 1e6 for stage in stages},
    }


def _line(run: Run) -> str:
    cpu = run.cpu_seconds / run.records * 1e6
    return (
        f"{run.engine}: {run.records:,} in {run.seconds:.1f} s: {run.per_second:,.0f}/s, {cpu:.1f} CPU-s per million, "
        f"{run.unique:,} unique, {run.rss_mib:.0f} MiB"
    )


def _summary(runs: list[Run], restore_per_s: float, chain: dict[str, Any]) -> dict[str, Any]:
    engines: dict[str, dict[str, Any]] = {}
    for engine in dict.fromkeys(run.engine for run in runs):
        mine = [run for run in runs if run.engine == engine]
        rates = [run.per_second for run in mine]
        engines[engine] = {
            "records": mine[0].records,
            "rounds": len(mine),
            "per_second_median": statistics.median(rates),
            "per_second_min": min(rates),
            "per_second_max": max(rates),
            "cpu_seconds_per_million": statistics.median(r.cpu_seconds / r.records * 1e6 for r in mine),
            "rss_mib_max": max(r.rss_mib for r in mine),
            "unique": mine[0].unique,
        }
    ours = engines["s2_dedup"]["per_second_median"]
    ratio = {
        name: ours / engines[name]["per_second_median"] if name in engines else None for name in ("stock_faust", "quix")
    }
    return {
        "stage_vs_stock_faust": ratio["stock_faust"],
        "stage_vs_quix": ratio["quix"],
        "chain_records_per_s": chain["records_per_s"],
        "restore_records_per_s": restore_per_s,
        "s1_ceiling_per_s": chain["s1_ceiling_per_s"],
        "engines": engines,
        "chain": chain,
        "machine": _machine(),
    }


def _machine() -> str:
    model = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else None
    )
    return f"{os.cpu_count()} cores, {model[1] if model else 'unknown processor'}, Python {sys.version.split()[0]}"
