"""A stage's tables, wiped and folded again from its input topics. Outputs are recomputed and thrown away."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from streams.broker.admin import Admin
from streams.broker.deployment_key import check_key
from streams.errors import BrokerError, IcnError
from streams.replay.beginning import find_beginning
from streams.replay.follow import Gap, History, Sources, read_history
from streams.runtime.rules import rule_version
from streams.runtime.stage import MemoryRows
from streams.runtime.store import MARKER, Marker
from streams.runtime.worker import load_stage
from streams.settings import Settings
from streams.topology import Agent, Topology

FLUSH_S, CREATED_S = 120, 60


def plan(topology: Topology, settings: Settings, agent: Agent) -> list[str]:
    """What would be done. Raises IcnError while the stage runs."""
    check_key(topology, settings)
    admin = AdminClient(settings.librdkafka())
    members = admin.describe_consumer_groups([agent.group])[agent.group].result().members
    if members:
        raise IcnError(
            f"{agent.name} is running ({len(members)} members of {agent.group})",
            "stop the workers first; their tables would be changed under them",
        )
    return [
        f"delete and re-create {agent.changelog} ({agent.partitions} partitions)",
        f"remove {settings.state / 'workers' / '*' / agent.name}",
        "fold the rows again from " + ", ".join(agent.reads),
    ]


def run(topology: Topology, settings: Settings, agent: Agent, say: Callable[[str], None]) -> int:
    """Do it; the number of rows. Raises IcnError, before anything is deleted, where the rows can't be recomputed."""
    history = read_history(topology, settings)
    folded = {partition: _fold(topology, settings, agent, history, partition, say) for partition in history.of(agent)}
    admin = AdminClient(settings.librdkafka())
    old = Admin(settings).existing([agent.changelog]).get(agent.changelog)
    try:
        for future in admin.delete_topics([agent.changelog], operation_timeout=30, request_timeout=60).values():
            future.result()
    except KafkaException as error:
        raise BrokerError(f"{agent.changelog}: {error.args[0].str()}") from error
    _create_again(topology, settings, agent.changelog, None if old is None else old.id)
    for folder in (settings.state / "workers").glob(f"*/{agent.name}"):
        shutil.rmtree(folder)
    producer = Producer(settings.librdkafka_producer())
    total = 0
    for partition, (rows, marker) in folded.items():
        prefixes = {table.name: table.prefix for table in load_stage(agent.name, topology, settings)[0].tables}
        for (table, key), value in rows.data.items():
            producer.produce(agent.changelog, value, prefixes[table] + key, partition=partition)
            total += 1
            if total % 10_000 == 0:
                producer.flush(FLUSH_S)
        producer.produce(agent.changelog, marker.pack(), MARKER, partition=partition)
    if producer.flush(FLUSH_S):
        raise BrokerError(f"{agent.changelog}: not all rows were written", "run icn rebuild again")
    return total


def _create_again(topology: Topology, settings: Settings, changelog: str, old_id: str | None) -> None:
    """The broker deletes in the background, and may still show the old one: to what it shows nothing would have to be added. Raises
    BrokerError."""
    deadline = time.monotonic() + CREATED_S
    while True:
        try:
            Admin(settings).apply(topology)
            made = Admin(settings).existing([changelog]).get(changelog)
            if made is not None and made.id != old_id:
                return
            told = f"{changelog}: the old one is still there"
        except BrokerError as error:
            told = str(error.args[0])
        if time.monotonic() > deadline:
            raise BrokerError(told, "run icn rebuild again")
        time.sleep(0.1)


def _fold(
    topology: Topology, settings: Settings, agent: Agent, history: History, partition: int, say: Callable[[str], None]
) -> tuple[MemoryRows, Marker]:
    stage, _ = load_stage(agent.name, topology, settings)
    begin = find_beginning(topology, settings, agent, partition, history.of(agent)[partition])
    steps = begin.steps
    if not steps:
        raise IcnError(
            f"{agent.name}/{partition}: all {begin.left_out} batches are gone, in part at least",
            "its tables can't be rebuilt from topics; restore them from the changelog: remove the worker's folder",
        )
    if steps[-1].event["rule"] != rule_version(topology):
        say(f"{agent.name}/{partition}: decided under another rule version; the rows will be as this one decides")
    rows, marker = MemoryRows(), Marker()
    for batch in begin.before:
        rows.apply(stage.decide(rows, batch).rows)
    rows.apply(begin.rows)
    rows.seed(begin.seeds)
    sources = Sources(topology, settings, agent, partition, begin.starts, steps[-1].event["applied"])
    say(f"{agent.name}/{partition}: folding {len(steps)} batches")
    for step in steps:
        try:
            decided = stage.decide(rows, sources.batch(step.event))
        except Gap as gap:
            raise IcnError(f"{agent.name}/{partition}: {gap}", "its tables can't be rebuilt from topics") from gap
        rows.apply(decided.rows)
        marker = Marker(step.event["applied"], step.event["sequence"], stage.layout)
    if begin.left_out:
        say(
            f"{agent.name}/{partition}: {begin.left_out} batches are pruned; {rows.seeded} of their rows came from the decisions "
            "that read them, others are forgotten"
        )
    return rows, marker
