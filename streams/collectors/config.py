"""The configuration of a collecting node: one YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from streams.errors import IcnError
from streams.sdk.artifacts import FIELDS
from streams.units import size_bytes

EXAMPLE = """node: node-7                  # as registered
capacity: 3                   # collections at a time, as it is registered
size_max: 10MiB               # of one answer or file, unpacked
items_max: 1000               # artifacts of one collection
defaults: {confidence: 0.6}   # of artifacts whose source says nothing else
collectors:                   # one of each capability it is registered for
  file: {roots: [/var/lib/reports]}
  http: {per_host: 1s}
  feed: {}
"""
MAY_DEFAULT = ("confidence", "threat_level", "opportunity_value", "content_type", "metadata", "simulated")


@dataclass(frozen=True)
class Config:
    """capacity None: as registered. collectors: name -> its options."""

    node: str
    capacity: int | None = None
    size_max_bytes: int = 10 << 20
    items_max: int = 1_000
    defaults: Mapping[str, Any] = field(default_factory=dict)
    collectors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_config(path: Path) -> Config:
    """Raises IcnError: what is wrong, and an example."""
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise IcnError(f"{path}: {error.strerror}", "icn node run --example prints one") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise IcnError(f"{path} is no YAML: {str(error)[:200]}", "icn node run --example prints one") from error
    try:
        return parse(raw)
    except (ValueError, TypeError) as error:
        raise IcnError(f"{path}: {error}", "icn node run --example prints one") from error


def parse(raw: Any) -> Config:
    """Raises ValueError."""
    if not isinstance(raw, dict):
        raise ValueError("a mapping was expected")
    known = ("node", "capacity", "size_max", "items_max", "defaults", "collectors")
    for name in raw:
        if name not in known:
            raise ValueError(f'no key "{name}"; there are: {", ".join(known)}')
    node, defaults = raw.get("node"), raw.get("defaults") or {}
    if not isinstance(node, str) or not node:
        raise ValueError("node: the id it is registered with")
    for name in ("capacity", "items_max"):
        if name in raw and (type(raw[name]) is not int or raw[name] < 1):
            raise ValueError(f"{name} is {raw[name]!r}; it must be a number from 1 on")
    if not isinstance(defaults, dict) or not set(defaults) <= set(MAY_DEFAULT):
        raise ValueError(f"defaults: any of {', '.join(one for one in FIELDS if one in MAY_DEFAULT)}")
    collectors = raw.get("collectors") or {}
    if not isinstance(collectors, dict) or not all(isinstance(one or {}, dict) for one in collectors.values()):
        raise ValueError("collectors: each name with its options, {} for none")
    return Config(
        node,
        raw.get("capacity"),
        size_bytes(str(raw.get("size_max", "10MiB"))),
        raw.get("items_max", 1_000),
        defaults,
        {name: options or {} for name, options in collectors.items()},
    )
