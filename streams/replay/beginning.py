"""Where judging begins when retention has taken the beginning, and the rows that were there then.

A decision carries the row that it read. What the first decision that is left says of a row whose origin is gone is taken on trust, once;
everything after it is recomputed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from confluent_kafka import Consumer

from streams.broker.topics import ends, fold
from streams.codec import Undecodable
from streams.domain.quota import HOUR_MS
from streams.replay.follow import Step
from streams.replay.near import Rows, near_beginning
from streams.replay.outputs import Origin, read_output
from streams.replay.seeds import SEEDS, no_seeds
from streams.runtime.reread import as_record
from streams.runtime.stage import Batch
from streams.settings import Settings
from streams.topology import Agent, Topology


@dataclass(frozen=True)
class Beginning:
    """Of one (stage, partition). `steps`: what can be judged; none: nothing can. `left_out`: how many come before them."""

    steps: Sequence[Step]
    left_out: int = 0
    before: Sequence[Batch] = ()  # of sources kept for ever: what was read of them before the first step
    rows: Rows = field(default_factory=dict)  # that are known as a whole
    seeds: Mapping[tuple[str, bytes], bytes] = field(
        default_factory=dict
    )  # that the decisions themselves say they read

    @cached_property
    def starts(self) -> dict[str, int]:
        """The first offset judged of each source that has been left out in part."""
        starts: dict[str, int] = {}
        for step in self.steps if self.left_out else ():
            starts.setdefault(step.event["topic"], step.event["first_offset"])
        if self.left_out and self.steps:
            for source, applied in self.steps[0].event["applied"].items():
                starts.setdefault(source, applied + 1)  # nothing of it is judged
        return starts


def find_beginning(
    topology: Topology, settings: Settings, agent: Agent, partition: int, steps: Sequence[Step]
) -> Beginning:
    """All steps, where nothing is gone; else those from the first on that has all its inputs and outputs, and the rows before it."""
    first = first_complete(topology, settings, agent, partition, steps)
    if first == 0 and steps[0].event["sequence"] == 0:
        return Beginning(steps)
    if agent.name == "s1_intake":
        first = _fresh_hour(topology, settings, partition, steps, first)
    elif agent.name == "s3_reputation":
        first = _fresh_epoch(steps, first)
    rows: Rows = {}
    if agent.name == "s4_near":
        first, rows = near_beginning(topology, settings, steps, first)
    kept = steps[first:]
    left_out = steps[0].event["sequence"] + first
    if not kept:
        return Beginning((), left_out)
    if rows:
        return Beginning(kept, left_out, rows=rows)
    beginning = Beginning(kept, left_out)
    seeds = SEEDS.get(agent.name, no_seeds)(topology, settings, partition, beginning.starts)
    return Beginning(kept, left_out, _read_before(topology, settings, agent, partition, kept[0]), seeds=seeds)


def first_complete(
    topology: Topology, settings: Settings, agent: Agent, partition: int, steps: Sequence[Step], *also: str
) -> int:
    """Index of the first step from which on nothing was pruned: not of its sources, its outputs, the batches, nor the topics `also`."""
    lows = {alias: _first(settings, topology.topics[alias].name) for alias in agent.reads}
    outputs = [*agent.writes, *(f"{alias}.dlq" for alias in agent.reads if topology.topics[alias].dlq), *also]
    cuts = [cut for alias in outputs for cut in _cuts(topology, settings, agent, partition, alias)]
    behind = max((_index_of(steps, cut) for cut in cuts if isinstance(cut, Origin)), default=-1)
    cut_ms = max((cut for cut in cuts if isinstance(cut, int)), default=0)
    first, before_ms = behind + 1, 0
    for index, step in enumerate(steps):
        # a batch's outputs are written after the batch before it was recorded, so then they are behind the cut
        whole = step.event["first_offset"] >= lows[step.event["topic"]].get(partition, 0) and before_ms >= cut_ms
        first = first if whole else max(first, index + 1)
        before_ms = step.time_ms
    return first


def _index_of(steps: Sequence[Step], origin: Origin) -> int:
    """Of the step that decided it; -1: of none that is left."""
    for index, step in enumerate(steps):
        event = step.event
        if event["topic"] == origin.source and event["first_offset"] <= origin.offset <= event["last_offset"]:
            return index
    return -1


def _first(settings: Settings, topic: str) -> dict[int, int]:
    consumer = Consumer(settings.librdkafka_reader())
    try:
        return {partition: low for partition, (low, _) in ends(consumer, topic).items()}
    finally:
        consumer.close()


def _cuts(topology: Topology, settings: Settings, agent: Agent, partition: int, alias: str) -> Iterator[Origin | int]:
    """Of each partition of an output topic that was pruned: the origin of the first output of ours that is left. Outputs come in the order
    of their batches, so those of later batches are all there. None is left: broker's time from which on nothing was pruned."""
    name = topology.topics[alias].name
    for number, low in _first(settings, name).items():
        if not low:
            continue
        since_ms = (
            time.time_ns() // 1_000_000 - topology.horizon_ms
        )  # nothing is left: retention took only what was older
        for position, message in enumerate(fold(settings, name, number)):
            since_ms = since_ms if position else message.timestamp()[1]
            record = as_record(message)
            try:
                origin = read_output(alias, record.key, record.value, record.headers).origin
            except (Undecodable, LookupError, TypeError, ValueError):
                continue
            if origin.stage in (None, agent.name) and origin.partition == partition:
                yield origin
                break
        else:
            yield since_ms


def _fresh_hour(topology: Topology, settings: Settings, partition: int, steps: Sequence[Step], first: int) -> int:
    """Quotas start at zero with each hour, so s1 can be judged from the first batch that begins an hour."""
    begins = {
        step.event["first_offset"]: first + index
        for index, step in enumerate(steps[first:])
        if step.event["topic"] == "artifacts.raw"
    }
    hour = None
    for message in fold(settings, topology.topic("artifacts.raw").name, partition):
        earlier, hour = hour, message.timestamp()[1] // HOUR_MS
        if earlier is not None and hour > earlier and message.offset() in begins:
            return begins[message.offset()]
    return len(steps)


def _fresh_epoch(steps: Sequence[Step], first: int) -> int:
    """Behind the end of an epoch s3 has heard nothing yet of the next one, and each node's row is its newest revision's `state`."""
    start = max(1, first)
    return next((n for n in range(start, len(steps)) if steps[n - 1].event["counts"].get("epoch_ended")), len(steps))


def _read_before(topology: Topology, settings: Settings, agent: Agent, partition: int, step: Step) -> list[Batch]:
    batches = []
    for alias in agent.reads:
        if topology.topics[alias].forever:
            own = step.event["topic"] == alias
            end = step.event["first_offset"] if own else step.event["applied"].get(alias, -1) + 1
            records = [
                as_record(message)
                for message in fold(settings, topology.topics[alias].name, partition, until={partition: end})
            ]
            if records:
                batches.append(Batch(alias, partition, records))
    return batches
