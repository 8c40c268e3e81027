"""Nodes that run here, with their collectors, and what they are to collect. From a YAML file, or made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from streams.audit.files import write_whole
from streams.broker.registrations import CAPACITY, register, registered
from streams.broker.targets import add, check
from streams.collectors.collector import find
from streams.collectors.config import Config, parse
from streams.domain.targets import Target
from streams.errors import IcnError
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms

EXAMPLE = """nodes:
  reports:
    principal: alice
    capacity: 3
    collectors: {file: {roots: [/var/lib/reports]}}
  web:
    principal: bob
    collectors: {http: {per_host: 1s}, feed: {}}
targets:
  - {type: file, location: /var/lib/reports, interval: 5m, priority: 8}
  - {type: feed, location: "https://example.org/feed.xml", interval: 15m, metadata: {domain: malware}}
"""


@dataclass(frozen=True)
class Member:
    """A node: who answers for it, and the configuration it runs with. Its capabilities are its collectors."""

    principal: str
    config: Config
    raw: Mapping[str, Any]  # as `icn node run` reads it

    @property
    def capabilities(self) -> tuple[str, ...]:
        return tuple(sorted(self.config.collectors))


@dataclass(frozen=True)
class Fleet:
    """All of them."""

    members: Mapping[str, Member]
    targets: tuple[Target, ...]


def read_fleet(path: Path) -> Fleet:
    """Raises IcnError: what is wrong, and an example."""
    hint = "icn up --example prints one"
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise IcnError(f"{path}: {error.strerror}", hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise IcnError(f"{path} is no YAML: {str(error)[:200]}", hint) from error
    try:
        return _fleet(raw)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise IcnError(f"{path}: {error}", hint) from error


def _fleet(raw: Any) -> Fleet:
    if not isinstance(raw, dict) or set(raw) - {"nodes", "targets"} or not isinstance(raw.get("nodes"), dict):
        raise ValueError("nodes, each with its configuration, and a list of targets were expected")
    members = {}
    for name, of in raw["nodes"].items():
        own = {key: value for key, value in (of or {}).items() if key != "principal"} | {"node": str(name)}
        config = parse(own)
        try:
            find(config.collectors, sorted(config.collectors))
        except IcnError as error:
            raise ValueError(f"node {name}: {error.args[0]}") from error
        members[str(name)] = Member(str((of or {}).get("principal", "soak")), config, own)
    return Fleet(members, tuple(_target(one) for one in raw.get("targets") or ()))


def _target(raw: Mapping[str, Any]) -> Target:
    if unknown := set(raw) - {"type", "location", "priority", "interval", "retry", "metadata"}:
        raise ValueError(f'a target has no "{unknown.pop()}"')
    made = Target(
        str(raw["type"]),
        str(raw["location"]),
        int(raw.get("priority", 5)),
        duration_ms(str(raw.get("interval", "1h"))),
        duration_ms(str(raw.get("retry", "5m"))),
        tuple(sorted((str(k), str(v)) for k, v in (raw.get("metadata") or {}).items())),
    )
    check(made)
    return made


def install(topology: Topology, settings: Settings, fleet: Fleet, folder: Path) -> dict[str, Path]:
    """Register what isn't yet, add its targets, and keep each node's configuration: name -> file for `icn node run`."""
    known, found = registered(topology, settings), dict[str, Path]()
    folder.mkdir(parents=True, exist_ok=True)
    for name, member in fleet.members.items():
        found[name] = folder / f"{name}.yaml"
        write_whole(found[name], yaml.safe_dump(dict(member.raw)).encode())
        if name not in known:
            capacity = member.config.capacity or CAPACITY
            register(topology, settings, name, member.principal, member.capabilities, capacity)
    add(topology, settings, fleet.targets)
    return found
