"""Nodes and judges as `control` tells of them, and how one is added. For the CLI and tests; s1 and s3 keep their own tables."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.broker.deployment_key import claim
from streams.broker.topics import events
from streams.broker.write import write
from streams.codec import encoder
from streams.domain.identity import node_token
from streams.errors import IcnError
from streams.secrets import deployment_secret, derive
from streams.settings import Settings
from streams.topology import Topology

ID_MAX = 128

CAPACITY = 3  # of a node that doesn't say: collections at a time


@dataclass(frozen=True)
class Role:
    """What somebody is registered as."""

    name: str  # also what the command line says
    event: str  # kind on control
    ended: str  # kind of its end; empty: there is none yet
    everywhere: bool  # known to every partition: a judge judges all nodes
    token: str  # purpose of its key: a node's token makes no judge
    folder: str  # of <state>, where tokens are kept


NODE = Role("node", "node_registered", "node_unregistered", False, "node-token", "nodes")
JUDGE = Role("judge", "judge_registered", "", True, "judge-token", "judges")


def registered(topology: Topology, settings: Settings, role: Role = NODE) -> dict[str, dict[str, Any]]:
    """name -> its newest registration, with `registered_ms`; not of those that are registered no longer."""
    return {name: event for name, event in _known(topology, settings, role).items() if event["kind"] == role.event}


def _known(topology: Topology, settings: Settings, role: Role) -> dict[str, dict[str, Any]]:
    """name -> the newest that was said of it."""
    found: dict[str, dict[str, Any]] = {}
    for event, message in events(settings, topology.topic("control").name, "control"):
        if (
            event["kind"] in (role.event, role.ended)
            and event["generation"] >= found.get(event["node_id"], event)["generation"]
        ):
            found[event["node_id"]] = event | {
                "registered_ms": message.timestamp()[1],
                "partition": message.partition(),
                "offset": message.offset(),
            }
    return found


def token_of(settings: Settings, name: str, generation: int, role: Role = NODE) -> bytes:
    """A node's or judge's token; needs the deployment's secret."""
    return node_token(derive(deployment_secret(settings.state), role.token), name, generation)


def token_path(settings: Settings, name: str, role: Role = NODE) -> Path:
    """Where a token is kept on the machine where it was registered."""
    return settings.state / role.folder / f"{name}.json"


def kept_token(settings: Settings, name: str, given: str | None, role: Role = NODE) -> bytes:
    """The token that was given as hex, else the one kept in the state folder. Raises IcnError."""
    if given is not None:
        try:
            return bytes.fromhex(given)
        except ValueError as error:
            raise IcnError("the token is not hex", f"icn {role.name} register prints 64 hex digits") from error
    path = token_path(settings, name, role)
    try:
        return bytes.fromhex(json.loads(path.read_text())["token"])
    except FileNotFoundError:
        raise IcnError(
            f'no token for {role.name} "{name}": {path} is missing',
            f"icn {role.name} register {name} --principal NAME, or give its token",
        ) from None
    except (ValueError, KeyError) as error:
        raise IcnError(
            f"{path} is damaged: {error}", f"icn {role.name} register {name} --rotate --principal NAME"
        ) from error


def register(
    topology: Topology,
    settings: Settings,
    name: str,
    principal: str,
    capabilities: tuple[str, ...] = (),
    capacity: int = CAPACITY,
    rotate: bool = False,
) -> dict[str, Any]:
    """Add a node, or give it a new token (`rotate`). Raises IcnError.

    Returns the registration with `token` (hex), `partition` and `offset`.
    """
    more = {"capabilities": list(capabilities), "capacity": capacity}
    return _register(topology, settings, NODE, name, principal, more, rotate)


def register_judge(
    topology: Topology, settings: Settings, name: str, principal: str, weight: float = 1.0, rotate: bool = False
) -> dict[str, Any]:
    """The same for a judge; weight: of its verdicts [0..1]."""
    more = {"capabilities": [], "capacity": 0, "weight": weight}
    return _register(topology, settings, JUDGE, name, principal, more, rotate)


def _register(
    topology: Topology,
    settings: Settings,
    role: Role,
    name: str,
    principal: str,
    more: Mapping[str, Any],
    rotate: bool,
) -> dict[str, Any]:
    if not 0 < len(name) <= ID_MAX or any(c in name for c in "\x00/\\") or name in (".", ".."):
        raise IcnError(f"{role.name} {name!r}: 1 to {ID_MAX} characters, none of / \\ or NUL", "for example: node-7")
    claim(topology, settings)
    known = _known(topology, settings, role).get(name)
    if known and known["kind"] == role.event and not rotate:
        raise IcnError(
            f'{role.name} "{name}" is registered (principal "{known["principal"]}", generation {known["generation"]})',
            f"icn {role.name} register --rotate gives it a new token and revokes the old one",
        )
    generation = known["generation"] + 1 if known else 1
    event = _event(role.event, name, principal, generation) | dict(more)
    partition, offset = _write(topology, settings, event, role.everywhere)
    token = token_of(settings, name, generation, role).hex()
    path = token_path(settings, name, role)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_text(json.dumps({f"{role.name}_id": name, "generation": generation, "token": token}) + "\n")
    return event | {"token": token, "partition": partition, "offset": offset}


def unregister(topology: Topology, settings: Settings, name: str) -> dict[str, Any]:
    """It may speak no longer; what it was to collect is for others. Its reputation stays: it can't be washed off. Raises IcnError.

    Returns the event with `partition` and `offset`.
    """
    known = registered(topology, settings).get(name)
    if known is None:
        raise IcnError(f'node "{name}" is not registered', "icn node list")
    # of a generation that nobody has a token of
    event = _event(NODE.ended, name, known["principal"], known["generation"] + 1)
    partition, offset = _write(topology, settings, event, NODE.everywhere)
    token_path(settings, name).unlink(missing_ok=True)
    return event | {"partition": partition, "offset": offset}


def _event(kind: str, name: str, principal: str, generation: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "slot_ms": time.time_ns() // 1_000_000,
        "cadence_ms": 0,
        "node_id": name,
        "principal": principal,
        "generation": generation,
        "capabilities": [],
        "capacity": 0,
    }


def _write(topology: Topology, settings: Settings, event: dict[str, Any], everywhere: bool) -> tuple[int, int]:
    """Where it is: where the name's key puts it, or, of what is known everywhere, the last of all partitions."""
    topic, key, value = topology.topic("control"), event["node_id"].encode(), encoder("control")(event)
    partitions = range(topic.partitions) if everywhere else (-1,)
    return max(write(settings, topic.name, [(key, value, partition) for partition in partitions]))


def in_force(
    topology: Topology, settings: Settings, partition: int, offset: int, timeout_s: float, stage: str = "s1_intake"
) -> bool:
    """Wait until a stage has read a registration, as its batches tell. False if it has not in time (no worker runs)."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for event, _ in events(settings, topology.topic("batches").name, "batch", last=200):
            if (
                event["stage"] == stage
                and event["partition"] == partition
                and event["applied"].get("control", -1) >= offset
            ):
                return True
        time.sleep(0.2)
    return False
