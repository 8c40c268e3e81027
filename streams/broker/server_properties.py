"""The settings of a local Apache Kafka. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

LOG4J = """<Configuration status="ERROR"><Appenders>
<RollingFile name="F" fileName="{log}" filePattern="{log}.%i"><PatternLayout pattern="%d %p %m (%c)%n"/>
<Policies><SizeBasedTriggeringPolicy size="20MB"/></Policies><DefaultRolloverStrategy max="2"/></RollingFile>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="F"/></Root>
<Logger name="kafka.server.KafkaRaftServer" level="INFO"/></Loggers></Configuration>
"""


def server_properties(
    node: int, home: Path, ports: Sequence[tuple[int, int]], behind: tuple[int, int] | None = None
) -> str:
    """The file's text. node: from 1. home: its folder. ports: (client, controller) of each node. behind: one more port for clients, and
    what they are told it is: that of a proxy before it."""
    settings = _settings(node, home, ports)
    if behind is not None:
        settings["listeners"] += f",BEHIND://127.0.0.1:{behind[0]}"
        settings["advertised.listeners"] += f",BEHIND://127.0.0.1:{behind[1]}"
        settings["listener.security.protocol.map"] += ",BEHIND:PLAINTEXT"
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _settings(node: int, home: Path, ports: Sequence[tuple[int, int]]) -> dict[str, Any]:
    client, controller = ports[node - 1]
    replicas = len(ports)
    voters = ",".join(f"{i}@127.0.0.1:{c}" for i, (_, c) in enumerate(ports, 1))
    return {
        "process.roles": "broker,controller",
        # with nobody to hand its partitions to, a lone broker that shuts down "controlled" ends transactions as committed without
        # ever writing so into the partitions; the records hang there, invisible, until the next commit of that producer
        "controlled.shutdown.enable": "true" if replicas > 1 else "false",
        "node.id": node,
        "controller.quorum.voters": voters,
        "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{client}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": home / "data",
        "auto.create.topics.enable": "false",
        "default.replication.factor": replicas,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": min(2, replicas),
        "transaction.state.log.num.partitions": 4,
        "min.insync.replicas": min(2, replicas),
        # after kill -9 a broker waits until its own earlier life has lost its session
        "broker.session.timeout.ms": 2_000,
        "broker.heartbeat.interval.ms": 500,
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": 1,
        "message.max.bytes": 4 << 20,
        "replica.fetch.max.bytes": 4 << 20,
    }
