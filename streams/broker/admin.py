"""Topics: plan(topology, cluster) -> steps, apply(steps). The planner never touches a broker."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.errors import BrokerError, ContractError
from streams.settings import Settings
from streams.topology import Topology

LEADERS_TIMEOUT_S = 30
ANSWER_S = 30  # longest wait for an answer about topics
ASKED_AGAIN_S = 5  # an answer that has not come by then is asked for again
CHANGELOG_CONFIG = {
    # rows are last-writer-wins, so compaction keeps the truth; tombstones stay long enough for a store that slept
    "cleanup.policy": "compact",
    "delete.retention.ms": str(7 * 86_400_000),
    "max.message.bytes": str(2 << 20),
}


@dataclass(frozen=True)
class Wanted:
    """A topic as it should be."""

    name: str
    partitions: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Existing:
    """A topic as it is."""

    partitions: int
    config: Mapping[str, str]
    id: str = ""


@dataclass(frozen=True)
class Step:
    """One difference. `action`: create, grow, configure, or refuse (with the reason in `detail`)."""

    action: str
    topic: str
    detail: str
    wanted: Wanted


def wanted_topics(topology: Topology) -> list[Wanted]:
    """Every topic of the network, each stage's changelog included."""
    topics = [
        Wanted(t.name, t.partitions, t.config(topology.horizon_ms, topology.simulated))
        for t in topology.topics.values()
    ]
    return topics + [Wanted(a.changelog, a.partitions, CHANGELOG_CONFIG) for a in topology.agents.values()]


def plan(wanted: Iterable[Wanted], existing: Mapping[str, Existing]) -> list[Step]:
    """What is to be done. Nothing shrinks, and no keyed topic is repartitioned: its keys would change places."""
    steps: list[Step] = []
    for topic in wanted:
        is_now = existing.get(topic.name)
        if is_now is None:
            steps.append(Step("create", topic.name, f"{topic.partitions} partitions, {_words(topic.config)}", topic))
            continue
        if is_now.partitions != topic.partitions:
            verb = "fewer" if topic.partitions < is_now.partitions else "more"
            steps.append(
                Step(
                    "refuse",
                    topic.name,
                    f"has {is_now.partitions} partitions, topology says {topic.partitions}: {verb} would move keys "
                    "away from their rows",
                    topic,
                )
            )
        for key in ("message.timestamp.type", "cleanup.policy"):
            if key in topic.config and is_now.config.get(key) != topic.config[key]:
                steps.append(
                    Step(
                        "refuse",
                        topic.name,
                        f"{key} is {is_now.config.get(key)}, topology says {topic.config[key]}",
                        topic,
                    )
                )
        changed = {
            k: v
            for k, v in topic.config.items()
            if k not in ("message.timestamp.type", "cleanup.policy") and is_now.config.get(k) != v
        }
        for key in ("retention.ms",):
            kept = int(is_now.config.get(key, "-1"))
            if key in changed and int(changed[key]) >= 0 and (kept < 0 or int(changed[key]) < kept):
                steps.append(
                    Step(
                        "refuse",
                        topic.name,
                        f"{key} would shrink from {is_now.config[key]} to {changed.pop(key)}: events would be lost",
                        topic,
                    )
                )
        if changed:
            steps.append(
                Step(
                    "configure",
                    topic.name,
                    ", ".join(f"{k}: {is_now.config.get(k)} -> {v}" for k, v in changed.items()),
                    topic,
                )
            )
    return steps


def _words(config: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in config.items())


class Admin:
    """The cluster, seen and changed through confluent-kafka's AdminClient."""

    def __init__(self, settings: Settings) -> None:
        from confluent_kafka.admin import AdminClient

        self.settings = settings
        self.client = AdminClient(settings.librdkafka())

    def existing(self, names: Sequence[str]) -> dict[str, Existing]:
        """Those of `names` that exist, with partitions, id and configuration. Raises BrokerError if nobody answers."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + ANSWER_S
        try:
            while True:
                try:
                    there = self.client.list_topics(timeout=10).topics
                    found = [name for name in names if name in there and there[name].error is None]
                    return self._described(found) if found else {}
                except KafkaException:
                    # A broker whose own cluster took it for dead, after a pause, names for a moment neither brokers nor a controller. The
                    # client then waits for one to be named, and doesn't ask: `list_topics` does.
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.2)
        except KafkaException as error:
            raise BrokerError(
                f"{self.settings.brokers}: {error.args[0].str()}", "is the broker running? icn broker status"
            ) from error

    def _described(self, names: Sequence[str]) -> dict[str, Existing]:
        from confluent_kafka import TopicCollection
        from confluent_kafka.admin import ConfigResource, ResourceType

        described = self.client.describe_topics(TopicCollection(list(names)), request_timeout=ASKED_AGAIN_S)
        asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        configs = self.client.describe_configs(asked, request_timeout=ASKED_AGAIN_S)
        values = {
            resource.name: {k: e.value for k, e in future.result().items()} for resource, future in configs.items()
        }
        topics = {name: future.result() for name, future in described.items()}
        return {
            name: Existing(len(about.partitions), values[name], str(about.topic_id)) for name, about in topics.items()
        }

    def plan(self, topology: Topology) -> list[Step]:
        """The difference between topology.yaml and the cluster."""
        wanted = wanted_topics(topology)
        return plan(wanted, self.existing([topic.name for topic in wanted]))

    def apply(self, topology: Topology) -> list[Step]:
        """Make the cluster as planned. Idempotent. Raises ContractError, having changed nothing, where a step is refused."""
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import (
            AlterConfigOpType,
            ConfigEntry,
            ConfigResource,
            NewTopic,
            ResourceType,
        )

        steps = self.plan(topology)
        refuse(steps)
        brokers = len(self.client.list_topics(timeout=10).brokers)
        new = [
            NewTopic(
                s.topic, s.wanted.partitions, min(self.settings.replication, brokers), config=dict(s.wanted.config)
            )
            for s in steps
            if s.action == "create"
        ]
        try:
            for future in (self.client.create_topics(new, request_timeout=ANSWER_S) if new else {}).values():
                try:
                    future.result()
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # somebody applies at the same time
                        raise
            changes = [
                ConfigResource(
                    ResourceType.TOPIC,
                    s.topic,
                    incremental_configs=[
                        ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET)
                        for k, v in s.wanted.config.items()
                    ],
                )
                for s in steps
                if s.action == "configure"
            ]
            alterations = self.client.incremental_alter_configs(changes, request_timeout=ANSWER_S) if changes else {}
            for future in alterations.values():
                future.result()
        except KafkaException as error:
            raise BrokerError(f"topics: {error.args[0].str()}") from error
        self._wait_for_leaders([step.topic for step in steps if step.action == "create"])
        return steps

    def _wait_for_leaders(self, names: Sequence[str]) -> None:
        """A topic is made before every broker knows of it: return once it can be used. Raises BrokerError."""
        deadline = time.monotonic() + LEADERS_TIMEOUT_S
        while names:
            known = self.client.list_topics(timeout=10).topics
            if all(
                name in known and known[name].partitions and all(p.leader >= 0 for p in known[name].partitions.values())
                for name in names
            ):
                return
            if time.monotonic() > deadline:
                raise BrokerError(
                    f"topics {', '.join(names)} have no leader after {LEADERS_TIMEOUT_S} s",
                    "are enough brokers running?",
                )
            time.sleep(0.05)

    def require(self, topology: Topology, names: Iterable[str]) -> dict[str, Existing]:
        """These topics, if they are as planned. Raises ContractError for the first that is missing or differs."""
        wanted = [topic for topic in wanted_topics(topology) if topic.name in set(names)]
        existing = self.existing([topic.name for topic in wanted])
        for step in plan(wanted, existing):
            if step.action in ("create", "refuse"):
                what = "is missing" if step.action == "create" else step.detail
                raise ContractError(
                    f'topic "{step.topic}" {what}',
                    "icn topics plan shows all differences; icn topics apply makes what is missing",
                )
        return existing


def refuse(steps: Iterable[Step]) -> None:
    """Raise ContractError if the plan holds what can't be done to a topic with events in it."""
    bad = [step for step in steps if step.action == "refuse"]
    if bad:
        raise ContractError(
            "; ".join(f'topic "{s.topic}" {s.detail}' for s in bad),
            "change topology.yaml back, or start a new deployment (another prefix)",
        )
