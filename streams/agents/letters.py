"""Dead letters: what could not be processed, where it came from, why, and whether it was sent again since."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any, NamedTuple

from streams.agents.deadletters import ABOUT
from streams.broker.topics import events, fold
from streams.errors import TopologyError
from streams.runtime.reread import as_record
from streams.settings import Settings
from streams.topology import Topology

NUMBERS = ("partition", "offset", "timestamp_ms", "attempt")


class Letter(NamedTuple):
    """alias: of the topic of dead letters; partition, offset: there. about: what its headers say: topic, partition, offset, timestamp_ms,
    stage, reason, detail, attempt. headers: those it came with. is_open: it was not sent again."""

    alias: str
    partition: int
    offset: int
    time_ms: int
    about: dict[str, Any]
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    is_open: bool

    @property
    def id(self) -> str:
        return f"{self.alias}/{self.partition}/{self.offset}"

    @property
    def source(self) -> str:
        """Alias of the topic it came from."""
        return self.alias.removesuffix(".dlq")

    @property
    def attempt(self) -> int:
        """Which one failed [1..]."""
        said = self.about["attempt"]
        return said if isinstance(said, int) else 1


def aliases(topology: Topology, topic: str | None = None) -> list[str]:
    """Of the topics of dead letters: all, or that of this topic, by alias or full name, with or without .dlq. Raises TopologyError."""
    every = [alias for alias in topology.topics if alias.endswith(".dlq")]
    if topic is None:
        return every
    wanted = f"{topology.topic(topic).alias.removesuffix('.dlq')}.dlq"
    if wanted not in every:
        raise TopologyError(f'topic "{topic}" has no dead letters', f"known: {', '.join(every)}")
    return [wanted]


def letters(topology: Topology, settings: Settings, topic: str | None = None) -> list[Letter]:
    """Oldest first. Raises BrokerError, TopologyError."""
    wanted, done = aliases(topology, topic), redriven(topology, settings)
    found = [
        _letter(alias, message, done) for alias in wanted for message in fold(settings, topology.topics[alias].name)
    ]
    return sorted(found, key=lambda one: (one.time_ms, one.alias, one.partition, one.offset))


def redriven(topology: Topology, settings: Settings) -> set[tuple[str, int, int]]:
    """(alias of the dead letters, partition, offset) of those that were sent again. Raises BrokerError."""
    name = topology.topic("redrives").name
    return {(f"{e['topic']}.dlq", e["partition"], e["offset"]) for e, _ in events(settings, name, "redrive")}


def open_letters(topology: Topology, settings: Settings) -> list[Letter]:
    """Those that nobody has dealt with. Raises BrokerError."""
    return [one for one in letters(topology, settings) if one.is_open]


def _letter(alias: str, message: Any, done: Set[tuple[str, int, int]]) -> Letter:
    record = as_record(message)
    own: Sequence[tuple[str, bytes | None]] = record.headers or ()
    about: dict[str, Any] = dict.fromkeys(("topic", "partition", "offset", "reason", "detail", "attempt"), "-")
    about |= {k[len(ABOUT) :]: (v or b"").decode(errors="replace") for k, v in own if k.startswith(ABOUT)}
    for name in NUMBERS:
        if str(about.get(name, "")).isdecimal():
            about[name] = int(about[name])
    at = alias, message.partition(), message.offset()
    headers = [(name, value) for name, value in own if not name.startswith(ABOUT)]
    return Letter(*at, message.timestamp()[1], about, message.key(), message.value(), headers, at not in done)
