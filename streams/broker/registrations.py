"""Nodes as `control` tells of them, and how one is added. For the CLI and tests; s1 keeps its own table."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams.broker.deployment_key import claim
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.domain.identity import node_token
from streams.errors import BrokerError, IcnError
from streams.secrets import deployment_secret, derive
from streams.settings import Settings
from streams.topology import Topology

ID_MAX = 128


def registered(topology: Topology, settings: Settings) -> dict[str, dict[str, Any]]:
    """node_id -> its newest registration, with `registered_ms`."""
    decode = decoder("control")
    nodes: dict[str, dict[str, Any]] = {}
    for message in fold(settings, topology.topic("control").name):
        try:
            event = decode(message.value())
        except Undecodable:
            continue
        if (
            event["kind"] == "node_registered"
            and event["generation"] >= nodes.get(event["node_id"], event)["generation"]
        ):
            nodes[event["node_id"]] = event | {
                "registered_ms": message.timestamp()[1],
                "partition": message.partition(),
                "offset": message.offset(),
            }
    return nodes


def token_of(settings: Settings, node_id: str, generation: int) -> bytes:
    """A node's token; needs the deployment's secret."""
    return node_token(derive(deployment_secret(settings.state), "node-token"), node_id, generation)


def token_path(settings: Settings, node_id: str) -> Path:
    """Where a node's token is kept on the machine where it was registered."""
    return settings.state / "nodes" / f"{node_id}.json"


def register(
    topology: Topology,
    settings: Settings,
    node_id: str,
    principal: str,
    capabilities: tuple[str, ...] = (),
    capacity: int = 3,
    rotate: bool = False,
) -> dict[str, Any]:
    """Add a node, or give it a new token (`rotate`). Raises IcnError.

    Returns the registration with `token` (hex), `partition` and `offset`.
    """
    if not 0 < len(node_id) <= ID_MAX or any(c in node_id for c in "\x00/\\") or node_id in (".", ".."):
        raise IcnError(f"node id {node_id!r}: 1 to {ID_MAX} characters, none of / \\ or NUL", "for example: node-7")
    claim(topology, settings)
    known = registered(topology, settings).get(node_id)
    if known and not rotate:
        raise IcnError(
            f'node "{node_id}" is registered (principal "{known["principal"]}", generation {known["generation"]})',
            "icn node register --rotate gives it a new token and revokes the old one",
        )
    generation = known["generation"] + 1 if known else 1
    event = {
        "kind": "node_registered",
        "slot_ms": time.time_ns() // 1_000_000,
        "cadence_ms": 0,
        "node_id": node_id,
        "principal": principal,
        "generation": generation,
        "capabilities": list(capabilities),
        "capacity": capacity,
    }
    producer = Producer(settings.librdkafka_producer(**{"delivery.timeout.ms": 30_000}))
    written: list[tuple[int, int]] = []
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is None:
            written.append((message.partition(), message.offset()))
        else:
            failed.append(error.str())

    producer.produce(topology.topic("control").name, encoder("control")(event), node_id.encode(), on_delivery=delivered)
    producer.flush(35)
    if not written:
        raise BrokerError(
            f"registration not written: {failed[0] if failed else 'the broker did not answer'}", "icn broker status"
        )
    token = token_of(settings, node_id, generation).hex()
    path = token_path(settings, node_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"node_id": node_id, "generation": generation, "token": token}) + "\n")
    return event | {"token": token, "partition": written[0][0], "offset": written[0][1]}


def in_force(topology: Topology, settings: Settings, partition: int, offset: int, timeout_s: float) -> bool:
    """Wait until s1 has read a registration, as its batches tell. False if it has not in time (no worker runs)."""
    decode = decoder("batch")
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for message in fold(settings, topology.topic("batches").name, last=200):
            event = decode(message.value())
            if (
                event["stage"] == "s1_intake"
                and event["partition"] == partition
                and event["applied"].get("control", -1) >= offset
            ):
                return True
        time.sleep(0.2)
    return False
