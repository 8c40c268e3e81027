"""topology.yaml -> frozen dataclasses, validated. Pure but for `load`, which reads the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from streams.errors import TopologyError
from streams.policy import POLICY
from streams.policy import check as check_policy
from streams.units import duration_ms, size_bytes

PACKAGE = Path(__file__).parent
MESSAGE_MAX_BYTES = 2 << 20
DLQ_MESSAGE_MAX_BYTES = 3 << 20


@dataclass(frozen=True)
class Topic:
    """One topic. `alias` is its name in topology.yaml, `name` its name on the broker."""

    alias: str
    name: str
    key: str
    schema: str
    partitions: int
    cleanup: str = "delete"
    clock: bool = False  # its time decides; in a simulated deployment the producer says it
    headers: bool = False  # CloudEvents headers, for outsiders
    dlq: bool = False
    forever: bool = False  # not cut at the horizon
    horizons: int = 1  # cut at so many

    def config(self, retention_ms: int, simulated: bool) -> dict[str, str]:
        """The broker's settings for this topic; all others stay at the broker's defaults."""
        config = {
            "cleanup.policy": self.cleanup,
            "max.message.bytes": str(DLQ_MESSAGE_MAX_BYTES if self.alias.endswith(".dlq") else MESSAGE_MAX_BYTES),
            "message.timestamp.type": "CreateTime" if self.clock and simulated else "LogAppendTime",
        }
        if self.clock:
            # outsiders write here; max.message.bytes is about what comes in, and a megabyte may unpack to a thousand: the broker unpacks
            # it, and looks again
            config["compression.type"] = "uncompressed"
        if self.cleanup == "delete":
            # where the producer says the time, it may be any: the broker would take a record of the past for an old one
            lasting = self.forever or (self.clock and simulated)
            config["retention.ms"] = "-1" if lasting else str(self.horizons * retention_ms)
        return config


@dataclass(frozen=True)
class Agent:
    """One stage: a Faust app of its own, whose id is its consumer group."""

    name: str  # s2_dedup, as its file
    group: str  # icn-s2-dedup
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    tables: tuple[str, ...]
    first: tuple[str, ...]
    feedback: tuple[str, ...]  # sources that deeper stages write
    linger_ms: Mapping[str, int]  # source -> how long it may wait for more
    partitions: int

    @property
    def changelog(self) -> str:
        """The topic that every row and every checkpoint marker of this stage goes to."""
        return f"{self.group}-changelog"


@dataclass(frozen=True)
class WindowAgent:
    """Looks at many records of a topic at once, now and then: no Faust app, no tables."""

    name: str  # s5_patterns, as its file
    group: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Topology:
    """The whole network. `protocol` decides, `local` says where it runs."""

    deployment: str
    simulated: bool
    protocol: Mapping[str, Any]
    local: Mapping[str, Any]
    topics: Mapping[str, Topic]
    agents: Mapping[str, Agent]
    windows: Mapping[str, WindowAgent]
    source: str = field(default="topology.yaml", compare=False)

    @cached_property
    def horizon_ms(self) -> int:
        """How long an id or a content is remembered, and every event kept."""
        return duration_ms(self.protocol["horizon"])

    def topic(self, alias: str) -> Topic:
        """The topic called so in topology.yaml, with or without the deployment's prefix. Raises TopologyError."""
        short = alias.removeprefix(f"{self.deployment}.")
        for candidate in (alias, short):
            if candidate in self.topics:
                return self.topics[candidate]
        raise TopologyError(f'topic "{alias}" is not in {self.source}', f"known: {', '.join(self.topics)}")

    def named(self, name: str) -> list[str]:
        """The stages called so, windows among them: `s2` and `dedup` are understood for s2_dedup; `s3` is all of that depth. Raises
        TopologyError."""
        every: list[Agent | WindowAgent] = [*self.agents.values(), *self.windows.values()]
        found = [one.name for one in every if name in (one.name, one.group, *one.name.split("_"))]
        if not found:
            known = ", ".join(one.name for one in every)
            raise TopologyError(f'no stage "{name}" in {self.source}', f"known: {known}")
        return found

    def agent(self, name: str) -> Agent:
        """The one stage called so. Raises TopologyError."""
        found = [self.agents[one] for one in self.named(name) if one in self.agents]
        if len(found) == 1:
            return found[0]
        which = ", ".join(agent.name for agent in found or self.agents.values())
        raise TopologyError(f'"{name}" is not one stage with tables of {self.source}', f"say which: {which}")


def default_path() -> Path:
    """ICN_TOPOLOGY, else topology.yaml here, else the checkout's, else the one in the package."""
    if given := os.environ.get("ICN_TOPOLOGY"):
        return Path(given)
    for candidate in (Path("topology.yaml"), PACKAGE.parent / "topology.yaml"):
        if candidate.exists():
            return candidate
    return PACKAGE / "contract" / "topology.yaml"


def load(path: Path | None = None) -> Topology:
    """Read and validate the network. Raises TopologyError, which names the file and the key."""
    path = path or default_path()
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise TopologyError(
            f"can't read {path}: {error.strerror}", "give one with --topology or ICN_TOPOLOGY"
        ) from error
    except yaml.YAMLError as error:
        raise TopologyError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse(raw, str(path))


def parse(raw: Any, source: str = "topology.yaml") -> Topology:
    """Data as YAML gives it -> Topology. Raises TopologyError."""
    for section in ("deployment", "protocol", "local", "topics", "agents"):
        if not isinstance(raw, dict) or section not in raw:
            raise TopologyError(f'{source} has no "{section}:"')
    deployment = str(raw["deployment"])
    topics: dict[str, Topic] = {}
    for alias, spec in raw["topics"].items():
        try:
            given = dict(spec)
            topic = Topic(
                alias,
                f"{deployment}.{alias}",
                given.pop("key"),
                given.pop("value"),
                int(given.pop("partitions")),
                **given,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise TopologyError(
                f"{source}: topics.{alias}: {error} is missing or wrong",
                "write {key: …, value: …, partitions: …}, and of cleanup, clock, headers, dlq, forever what it needs",
            ) from error
        topics[alias] = topic
        if topic.dlq:
            name = f"{alias}.dlq"
            topics[name] = Topic(name, f"{deployment}.{name}", topic.key, topic.schema, topic.partitions, headers=True)
    agents = {name: _agent(name, spec, deployment, topics, source) for name, spec in raw["agents"].items()}
    windows = {name: _window(name, spec, deployment, topics, source) for name, spec in raw.get("windows", {}).items()}
    topology = Topology(
        deployment, bool(raw.get("simulated", False)), raw["protocol"], raw["local"], topics, agents, windows, source
    )
    _check_units(topology)
    if (
        "s1_intake" in agents
        and "batches" not in agents["s1_intake"].reads
        and topology.protocol["intake"]["undecided_max"]
    ):
        raise TopologyError(
            f"{source}: protocol.intake.undecided_max is set, but s1_intake doesn't read batches: nothing would ever count as decided",
            "let it read batches, or set undecided_max: 0",
        )
    return topology


def _agent(name: str, spec: Any, deployment: str, topics: Mapping[str, Topic], source: str) -> Agent:
    reads = tuple(spec.get("reads", ()))
    writes = tuple(spec.get("writes", ()))
    for alias in (*reads, *writes, *spec.get("first", ()), *spec.get("feedback", ()), *spec.get("linger", {})):
        if alias not in topics:
            raise TopologyError(f'{source}: agents.{name}: topic "{alias}" is not declared')
    counts = {alias: topics[alias].partitions for alias in reads}
    if len(set(counts.values())) != 1:
        # one partition of a stage is the same partition of each of its sources: they share tables and a transaction
        raise TopologyError(
            f"{source}: agents.{name} reads topics of different partition counts: {counts}",
            "give them equal counts; batches has one: where artifacts.raw has more, take it from s1_intake and set undecided_max: 0",
        )
    try:
        linger_ms = {alias: duration_ms(text) for alias, text in spec.get("linger", {}).items()}
    except ValueError as error:
        raise TopologyError(f"{source}: agents.{name}: linger: {error}") from error
    return Agent(
        name,
        _group(deployment, name),
        reads,
        writes,
        tuple(spec.get("tables", ())),
        tuple(spec.get("first", ())),
        tuple(spec.get("feedback", ())),
        linger_ms,
        next(iter(counts.values())),
    )


def _window(name: str, spec: Any, deployment: str, topics: Mapping[str, Topic], source: str) -> WindowAgent:
    for alias in (*spec["reads"], *spec["writes"]):
        if alias not in topics:
            raise TopologyError(f'{source}: windows.{name}: topic "{alias}" is not declared')
    return WindowAgent(name, _group(deployment, name), tuple(spec["reads"]), tuple(spec["writes"]))


def _group(deployment: str, name: str) -> str:
    return f"{deployment}-{name.replace('_', '-')}"


def _check_units(topology: Topology) -> None:
    protocol, local = topology.protocol, topology.local
    for section, key, parse_unit in (
        (protocol, "horizon", duration_ms),
        (_section(topology, "intake"), "undecided_retry", duration_ms),
        (_section(topology, "reputation", "idle"), "after", duration_ms),
        (_section(topology, "coordination"), "cadence", duration_ms),
        (_section(topology, "patterns"), "every", duration_ms),
        (_section(topology, "patterns"), "window", duration_ms),
        (protocol, "content_max", size_bytes),
        (protocol, "metadata_bytes_max", size_bytes),
        (local, "session_timeout", duration_ms),
        (local, "drain_deadline", duration_ms),
        (local, "watchdog", duration_ms),
        (local, "fetch_max", size_bytes),
    ):
        try:
            parse_unit(section[key])
        except KeyError as error:
            raise TopologyError(
                f"{topology.source}: {key} is missing; there are: {', '.join(section)}",
                "compare it with the one in the package",
            ) from error
        except ValueError as error:
            raise TopologyError(f"{topology.source}: {key}: {error}") from error
    check_policy({name: _section(topology, name) for name in POLICY}, f"{topology.source}: protocol", whole=True)
    if not isinstance(_section(topology, "coordination").get("needs"), Mapping):
        raise TopologyError(f"{topology.source}: protocol.coordination.needs maps a target's type to a capability")


def _section(topology: Topology, *names: str) -> Mapping[str, Any]:
    found: Any = topology.protocol
    for name in names:
        found = found.get(name)
        if not isinstance(found, Mapping):
            raise TopologyError(f"{topology.source}: protocol.{'.'.join(names)} is missing")
    return dict(found)
