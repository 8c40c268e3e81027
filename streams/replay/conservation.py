"""Nothing is dropped without a trace: submitted = unique + upgraded + duplicate + rejected + dead-lettered + resent + in flight.

Each side is counted on its own: submitted and in flight by reading the topics, the outcomes from the batches' counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from streams.broker.topics import fold
from streams.codec import decoder
from streams.replay.beginning import first_complete
from streams.replay.follow import History, Step, read_history
from streams.settings import Settings
from streams.topology import Topology

OUTCOMES = ("unique", "upgraded", "duplicate", "rejected", "dead_lettered", "resent")


@dataclass(frozen=True)
class Balance:
    """The equation of one deployment as of one moment. residual must be 0."""

    submitted: int
    outcomes: dict[str, int]
    waiting_for_intake: int
    waiting_for_dedup: int

    @property
    def in_flight(self) -> int:
        """Submitted and not decided yet."""
        return self.waiting_for_intake + self.waiting_for_dedup

    @property
    def residual(self) -> int:
        """What is unexplained."""
        return self.submitted - sum(self.outcomes.values()) - self.in_flight


def balance(
    topology: Topology,
    settings: Settings,
    history: History | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Balance:
    """Count now. The batches are read first, so what is decided meanwhile is in flight, and counted once."""
    history = history or read_history(topology, settings)
    intake, dedup = topology.agent("s1_intake"), topology.agent("s2_dedup")
    counts: Counter[str] = Counter()
    # of raw, by partition: where retention has taken the beginning, we count from a batch that is whole
    starts: dict[int, int] = {}
    for partition, steps in history.of(intake).items():
        first = first_complete(topology, settings, intake, partition, steps, "artifacts.decided")
        if first or steps[0].event["sequence"]:
            later = [step.event["first_offset"] for step in steps[first:] if step.event["topic"] == "artifacts.raw"]
            starts[partition] = later[0] if later else history.applied(intake, partition).get("artifacts.raw", -1) + 1
        counts += _outcomes(steps[first:])
    dedup_to = {p: history.applied(dedup, p).get("artifacts.admitted", -1) for p in range(dedup.partitions)}
    if starts:
        counts += _count_decided(topology, settings, starts, dedup_to)
    else:
        for steps in history.of(dedup).values():
            counts += _outcomes(steps)
    submitted = waiting_for_intake = waiting_for_dedup = 0
    progress("counting artifacts.raw")
    intake_to = {p: history.applied(intake, p).get("artifacts.raw", -1) for p in range(intake.partitions)}
    for message in fold(settings, topology.topic("artifacts.raw").name, start=starts):
        submitted += 1
        waiting_for_intake += message.offset() > intake_to[message.partition()]
    progress("counting artifacts.admitted")
    decode = decoder("admitted")
    for message in fold(settings, topology.topic("artifacts.admitted").name):
        if message.offset() > dedup_to[message.partition()]:
            facts = decode(message.value())["facts"]
            waiting_for_dedup += (
                starts.get(facts["raw_partition"], 0)
                <= facts["raw_offset"]
                <= intake_to.get(facts["raw_partition"], -1)
            )  # else it is waiting for intake, as of then
    return Balance(submitted, {name: counts[name] for name in OUTCOMES}, waiting_for_intake, waiting_for_dedup)


def _outcomes(steps: Iterable[Step]) -> Counter[str]:
    counts = Counter[str]()
    for step in steps:
        counts.update({name: number for name, number in step.event["counts"].items() if name in OUTCOMES})
    return counts


def _count_decided(
    topology: Topology, settings: Settings, starts: Mapping[int, int], dedup_to: Mapping[int, int]
) -> Counter[str]:
    """What s2 decided of raw artifacts from these offsets on, counted decision by decision: its batches can't say from which on."""
    decode, counts = decoder("decided"), Counter[str]()
    for message in fold(settings, topology.topic("artifacts.decided").name):
        event = decode(message.value())
        facts = event["facts"]
        if (
            facts["raw_offset"] >= starts.get(facts["raw_partition"], 0)
            and event["input_offset"] <= dedup_to[event["input_partition"]]
        ):
            counts[event["decision"].lower()] += 1
    return counts
