"""Follows the network's small topics, and keeps its figures up to date. Large ones are only counted, from now on, for the equation of
conservation: submitted = decided + in flight."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from streams.agents.deadletters import ABOUT
from streams.audit.verify.note import NoteError, parse_checkpoint, parse_note
from streams.broker.topics import headers
from streams.codec import Undecodable, decoder
from streams.replay.conservation import OUTCOMES
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.figures import Figures, Letter, Sealed
from streams.watch.highlights import Highlights
from streams.watch.tail import Place, Recreated, Tail

# small, or compacted; between two topics there is no order
FOLLOWED = (
    "redrives",
    "control",
    "targets",
    "batches",
    "ticks",
    "reputation",
    "windows",
    "phoenix.rounds",
    "checkpoints",
)
BY_NAME = (
    "priorities",
    "reputation.log",
    "phoenix.feed",
    "patterns",
)  # larger, and only for who looks at single things
INTAKE, DEDUP = ("s1_intake", "artifacts.raw"), ("s2_dedup", "artifacts.admitted")


class Following:
    """`look` takes in what came. Everything is made anew when a topic was. by_name: highlights, too. Not for several threads."""

    def __init__(self, topology: Topology, settings: Settings, by_name: bool = False) -> None:
        self.topology, self.settings = topology, settings
        self.letters = [alias for alias in topology.topics if alias.endswith(".dlq")]
        followed = (*FOLLOWED, *(BY_NAME if by_name else ()))
        self.alias_of = {topology.topics[alias].name: alias for alias in (*followed, *self.letters)}
        self.decode = {alias: decoder(topology.topics[alias].schema) for alias in followed if alias != "checkpoints"}
        self._begin()

    def _begin(self) -> None:
        self.figures, self.highlights = Figures(), Highlights()
        self.tail = Tail(self.settings, list(self.alias_of))
        self.conservation: Conservation | None = None

    def look(self) -> Figures:
        """As of now. Raises BrokerError; what was taken in until then stays."""
        try:
            self.read()
            if self.conservation is None:
                self.conservation = Conservation(self.topology, self.settings, self.figures)
            self.conservation.look(self.figures)
        except Recreated:
            self.close()
            self._begin()
            raise
        return self.figures

    def read(self) -> Figures:
        """The same without counting what is large."""
        for message in self.tail.news():
            self._take(self.alias_of[message.topic()], message)
        return self.figures

    @property
    def residual(self) -> int | None:
        """Artifacts unexplained since this began to look; None: not looked at yet. Anything but 0 is a loss or an invention."""
        return None if self.conservation is None else self.conservation.residual

    def _take(self, alias: str, message: Any) -> None:
        time_ms = message.timestamp()[1]
        if alias == "checkpoints":
            self._sealed(message, time_ms)
        elif alias in self.decode:
            try:
                event = self.decode[alias](message.value() or b"")
            except Undecodable:  # not ours; icn replay says where it is
                return
            if alias in BY_NAME:
                self.highlights.take(alias, event, f"{message.topic()}/{message.partition()}/{message.offset()}")
            else:
                self.figures.take(alias, event, time_ms)
        else:
            told = dict(headers(message) or ())
            reason = (told.get(f"{ABOUT}reason") or b"-").decode(errors="replace")
            self.figures.letter(alias, message.partition(), message.offset(), Letter(time_ms, reason))

    def _sealed(self, message: Any, time_ms: int) -> None:
        """Whether it is to be believed is for `icn audit verify` to say: that needs a key from elsewhere."""
        origin = (message.key() or b"").decode(errors="replace")
        metrics = self.topology.topic("metrics").name
        _, _, rest = origin.partition(f"/{metrics}/")
        partition = rest.rpartition("/")[2]
        if not partition.isdecimal():
            return
        try:
            size = parse_checkpoint(parse_note(message.value() or b"").text).size
        except NoteError:
            return
        before = self.figures.sealed.get(int(partition))
        if before is None or time_ms >= before.time_ms:
            self.figures.sealed[int(partition)] = Sealed(size, time_ms)

    def close(self) -> None:
        self.tail.close()
        if self.conservation is not None:
            self.conservation.close()


class Conservation:
    """Counts what lies on raw and admitted, as far as it is decided, against what the stages' batches say of it. From now on."""

    def __init__(self, topology: Topology, settings: Settings, figures: Figures) -> None:
        self.names = {topology.topic(alias).name: (stage, alias) for stage, alias in (INTAKE, DEDUP)}
        self.before = {stage: self._told(figures, stage) for stage, _ in (INTAKE, DEDUP)}
        start = {
            (name, partition): applied.get(alias, -1) + 1
            for name, (stage, alias) in self.names.items()
            for partition, applied in figures.stage(stage).applied.items()
        }
        self.tail = Tail(settings, list(self.names), start)
        self.waiting: dict[Place, deque[int]] = {}  # offsets that were read, and are not decided yet
        self.counted = Counter[str]()
        self.residual = 0

    @staticmethod
    def _told(figures: Figures, stage: str) -> int:
        counts = figures.stage(stage).counts
        return sum(counts[outcome] for outcome in (*OUTCOMES, "admitted"))

    def look(self, figures: Figures) -> None:
        """figures: read before, so that nothing is decided that isn't on the topics. Raises BrokerError."""
        for message in self.tail.news():
            self.waiting.setdefault((message.topic(), message.partition()), deque()).append(message.offset())
        for (name, partition), offsets in self.waiting.items():
            stage, alias = self.names[name]
            decided_to = figures.stage(stage).applied.get(partition, {}).get(alias, -1)
            while offsets and offsets[0] <= decided_to:
                offsets.popleft()
                self.counted[stage] += 1
        self.residual = sum(
            self.counted[stage] - (self._told(figures, stage) - self.before[stage]) for stage in self.before
        )

    @property
    def in_flight(self) -> int:
        """Read, and not decided yet."""
        return sum(map(len, self.waiting.values()))

    def close(self) -> None:
        self.tail.close()


def read_figures(topology: Topology, settings: Settings) -> Figures:
    """As of now, read once. Raises BrokerError."""
    following = Following(topology, settings)
    try:
        return following.read()
    finally:
        following.close()
