"""The interface of a collector, and how it is found."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from typing import Any, Protocol

from streams.errors import IcnError
from streams.topology import Topology

GROUP = "icn.collectors"
BEGINS_FOR_COLLECTOR = "collect_"


class CollectError(Exception):
    """The attempt has failed; the text says why, for people. Anything else that is raised is told as what it is."""


@dataclass(frozen=True)
class Task:
    """What to collect. memory: what the last success of this target left, {} at first. ends_s: on the monotonic clock."""

    target_id: str
    location: str
    metadata: Mapping[str, str]
    memory: Mapping[str, Any]
    ends_s: float
    size_max_bytes: int
    items_max: int

    def left_s(self) -> float:
        """Seconds until the deadline. Raises CollectError when it is over."""
        left = self.ends_s - time.monotonic()
        if left <= 0:
            raise CollectError("timeout")
        return left

    def option(self, name: str) -> str | None:
        """The target's word to the collector: `collect_<name>` of its metadata."""
        return self.metadata.get(BEGINS_FOR_COLLECTOR + name)


@dataclass
class Collected:
    """items: artifacts as `Node.submit` takes them, `content` at least. unchanged: the source itself said so. memory: for the next time,
    kept only once all items are in the stream; JSON. skipped: what could not be read, in words; the rest counts."""

    items: Sequence[dict[str, Any]] = ()
    memory: dict[str, Any] = field(default_factory=dict)
    unchanged: bool = False
    skipped: Sequence[str] = ()


class Collector(Protocol):
    """One kind of source. Several threads use it at a time."""

    capability: str

    def collect(self, task: Task) -> Collected:
        """Raises CollectError."""


def known_capabilities(topology: Topology) -> set[str]:
    """Those with a collector here, and those that this network's targets need."""
    installed = {entry.name for entry in entry_points(group=GROUP)}
    return installed | set(topology.protocol["coordination"]["needs"].values())


def find(options: Mapping[str, Mapping[str, Any]], wanted: Sequence[str] | None = None) -> dict[str, Collector]:
    """capability -> collector, of all that are installed or the wanted ones. options: each one's configuration. Raises IcnError."""
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if not known:
        raise IcnError("no collector is installed", "pip install icn-streams again: its entry points are missing")
    for name in (*(wanted or ()), *options):
        if name not in known:
            raise IcnError(f'no collector "{name}"', f"there are: {', '.join(sorted(known))}")
    found: dict[str, Collector] = {}
    for name in sorted(known if wanted is None else wanted):
        try:
            found[name] = known[name].load()(dict(options.get(name, {})))
        except ImportError as error:
            if wanted is None and name not in options:
                continue  # its library is not here, and nobody asked for it
            raise IcnError(f'collector "{name}": {error}', 'pip install "icn-streams[collect]"') from error
    return found
