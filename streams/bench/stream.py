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
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import NewTopic

from streams.bench.deployment import RUN_TIMEOUT_S, Bench, Run, Say, steps_of
from streams.bench.load import admitted_records, raw_records
from streams.bench.reputation_cost import cost_in_s1
from streams.broker.admin import Admin
from streams.errors import IcnError
from streams.replay.follow import read_history
from streams.runtime.store import open_store, restore, wipe
from streams.secrets import deployment_secret

UNIQUE_SHARE = 4  # one in four artifacts is new


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


def measure_memory(bench: Bench, records: int, say: Say) -> list[tuple[int, float]]:
    """(keys, MiB resident) of a stage's process while its tables grow: every record is a new content."""
    bench.empty("artifacts.admitted")
    say(f"memory: producing {records:,} admitted artifacts, all unique …")
    bench.produce("artifacts.admitted", ((k, v, None) for k, v, _ in admitted_records(records, records)), records)
    bench.reset("s2_dedup")
    run = bench.run(("s2_dedup",), {"s2_dedup": records})["s2_dedup"]
    samples = [min(run.memory, key=lambda sample: abs(sample[0] - records * quarter // 4)) for quarter in (1, 2, 3, 4)]
    say("memory: " + ", ".join(f"{rss:.0f} MiB at {keys:,} keys" for keys, rss in samples))
    return samples


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
        memory = measure_memory(bench, records, say)
        chain = bench_chain(bench, chain_records, say)
        return _summary(runs, rows / seconds, chain) | {"memory": memory}
    finally:
        bench.close()


def bench_chain(bench: Bench, records: int, say: Say) -> dict[str, Any]:
    """raw -> admitted -> decided -> priorities, two workers, limits off; then s1 alone: its ceiling on one partition."""
    stages = ("s1_intake", "s2_dedup", "s3_reputation", "s4_priority")
    bench.reset(*stages)
    say(f"the whole chain: producing {records:,} signed raw artifacts of ten nodes …")
    registrations, raw = raw_records(records, records // UNIQUE_SHARE, 10, deployment_secret(bench.settings.state))
    bench.produce("control", registrations, 10)
    bench.produce("artifacts.raw", raw, records)
    expected = dict.fromkeys(("s1_intake", "s2_dedup", "s4_priority"), records)
    started_at = time.time()
    made = bench.run(stages, expected, workers=2)
    history = read_history(bench.topology, bench.settings)
    times = [step.time_ms for stage in expected for step in steps_of(history, bench.topology, stage)]
    seconds = (max(times) - min(times)) / 1000
    say(
        f"chain, two workers: {records:,} in {seconds:.1f} s: {records / seconds:,.0f}/s ({time.time() - started_at:.0f} s with start)"
    )
    for stage in stages:
        say("  " + _line(made[stage], records))
    bench.reset("s1_intake")
    alone = bench.run(("s1_intake",), {"s1_intake": records})["s1_intake"]
    say("s1 alone, one partition: " + _line(alone))
    bench.reset(*stages)
    profile = {}
    for stage in expected:  # each reads what the one before it has written
        profile[stage] = bench.profile(stage, expected[stage])
        say(f"profile of {stage}: " + ", ".join(f"{part.strip()} {us:.1f}" for part, us in profile[stage].items()))
    cpu = {stage: made[stage].cpu_seconds / records * 1e6 for stage in stages}
    with_, without = cost_in_s1(bench.topology)
    reputation = (cpu["s3_reputation"] + with_ - without) / (
        sum(cpu.values()) - (with_ - without) - cpu["s3_reputation"]
    )
    say(
        f"reputation, CPU µs of an artifact: s3 {cpu['s3_reputation']:.1f}, in s1 {with_ - without:.1f} ({with_:.1f} with, {without:.1f} "
        f"without): {reputation:.1%} on top of the rest"
    )
    return {
        "profile_cpu_us": profile,
        "reputation_share": reputation,
        "records_per_s": records / seconds,
        "s1_ceiling_per_s": alone.per_second,
        "cpu_seconds_per_million": cpu,
    }


def _line(run: Run, artifacts: int | None = None) -> str:
    """artifacts: that passed, where the stage's own records are others."""
    cpu = run.cpu_seconds / (artifacts or run.records) * 1e6
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
        "reputation_share": chain["reputation_share"],
        "engines": engines,
        "chain": chain,
        "machine": _machine(),
    }


def _machine() -> str:
    model = (
        re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if Path("/proc/cpuinfo").exists() else None
    )
    return f"{os.cpu_count()} cores, {model[1] if model else 'unknown processor'}, Python {sys.version.split()[0]}"
