"""Follows `batches`: the recorded order in which a stage read its sources. What replay and conservation walk along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.broker.topics import fold
from streams.codec import Undecodable, decoder
from streams.runtime.reread import as_record
from streams.runtime.stage import Batch
from streams.settings import Settings
from streams.topology import Agent, Topology


@dataclass(frozen=True)
class Step:
    """One recorded batch, and where it is recorded."""

    event: dict[str, Any]
    at: str
    time_ms: int


@dataclass
class History:
    """All recorded batches: stage -> partition -> steps by sequence."""

    steps: dict[str, dict[int, list[Step]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    garbage: list[tuple[str, str]] = field(default_factory=list)  # (where, what) of records that are no batches

    def of(self, agent: Agent) -> dict[int, list[Step]]:
        """The steps of one stage."""
        return self.steps.get(agent.name, {})

    def applied(self, agent: Agent, partition: int) -> dict[str, int]:
        """The last applied offset of each source."""
        steps = self.of(agent).get(partition)
        return dict(steps[-1].event["applied"]) if steps else {}


def read_history(topology: Topology, settings: Settings) -> History:
    """The whole of `batches`, as of now."""
    decode, history = decoder("batch"), History()
    name = topology.topic("batches").name
    for message in fold(settings, name):
        where = f"{name}/{message.partition()}/{message.offset()}"
        try:
            event = decode(message.value() or b"")
        except Undecodable as error:
            history.garbage.append((where, str(error)))
            continue
        history.steps[event["stage"]][event["partition"]].append(Step(event, where, message.timestamp()[1]))
    for partitions in history.steps.values():
        for steps in partitions.values():
            steps.sort(key=lambda step: step.event["sequence"])
    return history


class Gap(Exception):
    """What a batch says it read is not what the topic holds."""


class Sources:
    """The sources of one (stage, partition), read once, in step with its batches."""

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        agent: Agent,
        partition: int,
        starts: Mapping[str, int],
        ends: Mapping[str, int],
    ) -> None:
        self.partition = partition
        self.names = {alias: topology.topics[alias].name for alias in agent.reads}
        self._readers: dict[str, Iterator[Any]] = {
            alias: fold(
                settings,
                name,
                partition,
                start={partition: starts.get(alias, 0)},
                until={partition: ends.get(alias, -1) + 1},
            )
            for alias, name in self.names.items()
        }
        self._held: dict[str, Any] = {}

    def batch(self, event: dict[str, Any]) -> Batch:
        """The records of a recorded batch. Raises Gap where a record was skipped, is gone, or is too many."""
        alias, records = event["topic"], []
        reader = self._readers[alias]
        while True:
            # not `or`: a message without a value is falsy
            message = self._held.pop(alias) if alias in self._held else next(reader, None)
            if message is None:
                break
            if message.offset() > event["last_offset"]:
                self._held[alias] = message
                break
            where = f"{self.names[alias]}/{self.partition}/{message.offset()}"
            if message.offset() < event["first_offset"]:
                raise Gap(f"{where} was never decided: the next batch begins at {event['first_offset']}")
            records.append(as_record(message))
        if len(records) != event["records"]:
            where = f"{self.names[alias]}/{self.partition}/{event['first_offset']}..{event['last_offset']}"
            raise Gap(f"{where} holds {len(records)} records, {event['records']} were decided")
        return Batch(alias, self.partition, records)
