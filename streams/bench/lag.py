"""What looking at a large cluster costs: our looks beside a bare loop of the same AdminClient calls, each in its own processes, in turn."""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from streams.settings import Settings, read_settings
from streams.topology import load

TOPIC, PREFIX = "icn-bench-lag", "icn-bench-lag-"
RECORDS = 200  # of each partition
BEHIND = 0.1  # share of the partitions that a group has not read to their end
LOOKS, ROUNDS = 8, 3
IMPORTS = {"icn lag": "import streams.cli.lag, streams.watch.monitor", "confluent_kafka": "import confluent_kafka"}


def bench_lag(settings: Settings, groups: int, partitions: int, say: Callable[[str], None]) -> dict[str, Any]:
    """{groups, partitions, bare, ours, exporter: {cpu_s, wall_s: medians of a look, rss_mib}, cpu_ratio, wall_ratio, start_ratio}.
    exporter: a look, and the text of its metrics."""
    admin = AdminClient(settings.librdkafka())
    say(f"{groups} groups of {partitions} partitions …")
    names = [f"{PREFIX}{number}" for number in range(groups)]
    try:
        _make(admin, settings, names, partitions)
        runs: dict[str, list[dict[str, float]]] = {"bare": [], "ours": [], "exporter": []}
        for number in range(ROUNDS):
            for name, found in runs.items():
                say(f"{name}, {number + 1} of {ROUNDS} …")
                told = subprocess.run(
                    [sys.executable, "-m", "streams.bench.lag", name, *names],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found.append(json.loads(told.stdout))
    finally:
        _remove(admin, names)
    found_of: dict[str, Any] = {
        name: {key: statistics.median(run[key] for run in found) for key in found[0]} for name, found in runs.items()
    }
    starts = {name: min(_starts(code) for _ in range(5)) for name, code in IMPORTS.items()}
    return {
        "groups": groups,
        "partitions": partitions,
        **found_of,
        "cpu_ratio": found_of["ours"]["cpu_s"] / found_of["bare"]["cpu_s"],
        "wall_ratio": found_of["ours"]["wall_s"] / found_of["bare"]["wall_s"],
        "start_ratio": starts["icn lag"] / starts["confluent_kafka"],
    }


def _make(admin: AdminClient, settings: Settings, names: Sequence[str], partitions: int) -> None:
    admin.create_topics([NewTopic(TOPIC, partitions, 1)])[TOPIC].result()
    producer = Producer(settings.librdkafka_producer())
    for partition in range(partitions):
        for number in range(RECORDS):
            producer.produce(TOPIC, f"{number}".encode(), partition=partition)
    producer.flush(60)
    rng = random.Random(1)
    for name in names:
        offsets = [rng.randrange(RECORDS) if rng.random() < BEHIND else RECORDS for _ in range(partitions)]
        places = [TopicPartition(TOPIC, partition, offset) for partition, offset in enumerate(offsets)]
        for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, places)]).values():
            future.result()


def _remove(admin: AdminClient, names: Sequence[str]) -> None:
    for future in (*admin.delete_consumer_groups(list(names)).values(), *admin.delete_topics([TOPIC]).values()):
        future.exception()


def _starts(code: str) -> float:
    """Seconds of a process that only imports it."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - began


def bare(admin: AdminClient, names: Sequence[str]) -> None:
    """The calls of one look, and nothing made of the answers."""
    admin.list_consumer_groups(request_timeout=15).result()
    asked = [
        admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=15) for name in names
    ]
    places = {(tp.topic, tp.partition) for one in asked for tp in next(iter(one.values())).result().topic_partitions}
    for at in range(0, len(names), 100):
        for future in admin.describe_consumer_groups(list(names[at : at + 100]), request_timeout=15).values():
            future.result()
    for spec, isolation in (
        (OffsetSpec.latest(), IsolationLevel.READ_COMMITTED),
        (OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED),
        (OffsetSpec.earliest(), IsolationLevel.READ_COMMITTED),
    ):
        request = {TopicPartition(*place): spec for place in places}
        for future in admin.list_offsets(request, request_timeout=15, isolation_level=isolation).values():
            future.result()
    admin.describe_topics(TopicCollection([TOPIC]), request_timeout=15)[TOPIC].result()


def main(name: str, names: Sequence[str]) -> None:
    """One process: looks, of which the first doesn't count."""
    from streams.exporter.group_text import group_text
    from streams.exporter.partition_text import PartitionText
    from streams.watch.monitor import Monitor

    def exported() -> None:
        picture = monitor.look(names)
        (partitions.text(picture) + group_text(picture, "bench")).encode()

    settings, partitions = read_settings(load()), PartitionText("bench", False)
    admin, monitor = AdminClient(settings.librdkafka()), Monitor(settings)
    cpu, wall = [], []
    for number in range(LOOKS + 1):
        cpu_began, began = time.process_time(), time.perf_counter()
        if name == "bare":
            bare(admin, names)
        elif name == "exporter":
            exported()
        else:
            monitor.look(names)
        if number:
            cpu.append(time.process_time() - cpu_began)
            wall.append(time.perf_counter() - began)
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": statistics.median(cpu), "wall_s": statistics.median(wall), "rss_mib": rss_mib}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
