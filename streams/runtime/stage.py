"""What an agent's author writes, as data: a Stage is a name, its tables and one pure function (rows, batch) -> Decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from streams.topology import Agent, Topology

Row = TypeVar("Row")
Message = dict[str, Any]  # {"key": bytes, "value": bytes} and, on topics for outsiders, "headers": [(str, bytes)]


class Record(NamedTuple):
    """One Kafka record, as a stage sees it."""

    offset: int
    timestamp: int  # ms since 1970, UTC; the broker's where the topic says so
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] | None = ()  # None: a name in them is not UTF-8


@dataclass(frozen=True)
class Batch:
    """Consecutive records of one partition of one source. Where it is cut must not matter to any decision."""

    source: str  # the topic's alias in topology.yaml
    partition: int
    records: Sequence[Record]


@dataclass(frozen=True)
class Table(Generic[Row]):
    """One key space of a stage's store. Rows are values; pack and unpack give their bytes."""

    name: str
    prefix: bytes  # one byte, unique within the stage; 0x00 is the runtime's
    pack: Callable[[Row], bytes]
    unpack: Callable[[bytes], Row]
    # from a row's bytes: when its horizon began; None: rows are kept for ever
    since_ms: Callable[[bytes], int] | None = None
    version: int = 1  # of the bytes; a new one where older rows would be misread


class Rows(Protocol):
    """The rows as they were before the batch."""

    def get_many(self, table: Table[Row], keys: Sequence[bytes]) -> list[Row | None]:
        """One row a key, in order; None where there is none."""

    def scan(self, table: Table[Row]) -> dict[bytes, Row]:
        """All rows of a table, by key in order. For tables of some thousand rows, seldom asked."""


def look_up(rows: Rows, table: Table[Row], keys: Iterable[bytes]) -> dict[bytes, Row | None]:
    """The rows of these keys, None where there is none: one call for the batch."""
    ordered = list(keys)
    found = rows.get_many(table, ordered)
    return dict(zip(ordered, found, strict=True))


@dataclass
class Decided:
    """What a batch came to. Rows: table -> key -> new row, None deletes. Outputs: topic alias -> messages, in order."""

    rows: dict[Table[Any], dict[bytes, Any]] = field(default_factory=dict)
    outputs: dict[str, list[Message]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    event_ms: int = 0  # the latest event time in the batch; what moves the horizon past old rows

    def count(self, outcome: str, number: int = 1) -> None:
        """Add to an outcome's count; the counts of a batch are on `batches`."""
        self.counts[outcome] = self.counts.get(outcome, 0) + number

    def send(self, topic: str, message: Message) -> None:
        """Append one message to a topic's outputs."""
        self.outputs.setdefault(topic, []).append(message)

    @property
    def is_nothing(self) -> bool:
        """Whether the batch came to nothing and is worth no checkpoint of its own. It must be so whatever the rows were: the records
        are part of the source's next checkpoint, and a replay decides them then."""
        return not (self.counts or any(self.rows.values()) or any(self.outputs.values()))


@dataclass(frozen=True)
class Context:
    """What a stage may know besides its rows and its batch; all of it is in the rule version or names a place."""

    topology: Topology
    agent: Agent
    rule: bytes  # 8 bytes
    secret: bytes  # the deployment's


@dataclass(frozen=True)
class Stage:
    """One stage of the network."""

    agent: Agent
    tables: Sequence[Table[Any]]
    decide: Callable[[Rows, Batch], Decided]

    def __post_init__(self) -> None:
        prefixes = [table.prefix for table in self.tables]
        if len(set(prefixes)) != len(prefixes) or b"\x00" in prefixes or any(len(p) != 1 for p in prefixes):
            raise ValueError(f"{self.agent.name}: table prefixes must be distinct single bytes, not 0x00: {prefixes}")

    @property
    def layout(self) -> str:
        """Which bytes its rows are: each table with its version."""
        return " ".join(f"{table.name}:{table.version}" for table in self.tables)


class MemoryRows:
    """Rows in a dict: for replay, and for tests of a stage without a store. `seeded` counts the seeds that were asked for."""

    def __init__(self, seeds: Mapping[tuple[str, bytes], bytes] | None = None) -> None:
        self.data: dict[tuple[str, bytes], bytes] = {}
        self.seeded = 0
        self._seeds = dict(seeds or {})

    def seed(self, seeds: Mapping[tuple[str, bytes], bytes]) -> None:
        """From now on, rows that are asked for come from here the first time, whatever they were."""
        self._seeds = dict(seeds)

    def get_many(self, table: Table[Row], keys: Sequence[bytes]) -> list[Row | None]:
        """As Rows."""
        if self._seeds:
            for key in keys:
                if (seed := self._seeds.pop((table.name, key), None)) is not None:
                    self.data[table.name, key] = seed
                    self.seeded += 1
        found = (self.data.get((table.name, key)) for key in keys)
        return [None if value is None else table.unpack(value) for value in found]

    def scan(self, table: Table[Row]) -> dict[bytes, Row]:
        """As Rows."""
        self.get_many(table, [key for name, key in self._seeds if name == table.name])
        found = sorted((key, value) for (name, key), value in self.data.items() if name == table.name)
        return {key: table.unpack(value) for key, value in found}

    def apply(self, rows: Mapping[Table[Any], Mapping[bytes, Any]]) -> None:
        """Take a batch's new rows."""
        for table, changed in rows.items():
            for key, row in changed.items():
                if row is None:
                    self.data.pop((table.name, key), None)
                else:
                    self.data[table.name, key] = table.pack(row)
