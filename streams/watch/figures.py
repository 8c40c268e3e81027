"""What the topics tell of the network, folded record by record: stages, dead letters, seals, ticks, nodes, windows, rounds. Pure.

Everything but `recent` is the same whoever reads the topics, and in whatever order between them.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.domain.ticks import HOUR_MS
from streams.replay.conservation import OUTCOMES
from streams.watch.presence import presence

RECENT_MS = 300_000  # of a rate
BREAK_MS = 300_000  # between two ticks: the network was down
ENDED_KEPT = 1_000  # ticks
KINDS: Mapping[bool | None, str] = {True: "kept", None: "idle", False: "failed"}
LEVEL = 0.95  # of the bound on reliability


@dataclass
class StageFigures:
    """Of one stage, from its batches."""

    records: int = 0
    batches: int = 0
    redelivered: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    newest_ms: int | None = None  # broker time of its newest batch
    rule: str = ""  # hex, of the newest
    applied: dict[int, dict[str, int]] = field(default_factory=dict)  # partition -> source -> last offset
    recent: deque[tuple[int, str, int]] = field(
        default_factory=deque
    )  # (broker time, source, records) of the last minutes
    by_hour: dict[int, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )  # counts of the last hours, UTC

    def take(self, event: Mapping[str, Any], time_ms: int) -> None:
        self.records += event["records"]
        self.batches += 1
        self.redelivered += event["redelivered"]
        self.counts.update(event["counts"])
        self.applied[event["partition"]] = dict(event["applied"])
        if self.newest_ms is None or time_ms >= self.newest_ms:
            self.newest_ms, self.rule = time_ms, event["rule"].hex()
        hour = time_ms // HOUR_MS
        self.by_hour[hour].update(event["counts"])
        for old in [one for one in self.by_hour if one < hour - 1]:
            del self.by_hour[old]
        self.recent.append((time_ms, event["topic"], event["records"]))
        while self.recent and self.recent[0][0] < time_ms - RECENT_MS:
            self.recent.popleft()

    def per_second(self, now_ms: int, source: str | None = None) -> float:
        """Records a second, of the last five minutes; of one source, or of all."""
        late = (
            records for at_ms, topic, records in self.recent if at_ms > now_ms - RECENT_MS and source in (None, topic)
        )
        return sum(late) * 1000 / RECENT_MS


class Letter(NamedTuple):
    """One dead letter that nobody has dealt with."""

    time_ms: int
    reason: str


class Sealed(NamedTuple):
    """The newest checkpoint of one partition of the audit log."""

    size: int  # entries
    time_ms: int


@dataclass
class Ticks:
    """Of the newest schedule. ended: slot -> whether it brought something; None: there was nothing to do."""

    schedule: str = ""
    ended: dict[int, bool | None] = field(default_factory=dict)  # of the newest; the others are only counted
    counted_to: int = 0  # slots before are not heard of again
    now: Counter[str] = field(default_factory=Counter)  # kept, idle, and expected: how many slots are over
    newest_ms: int | None = None  # begin of it
    since_ms: int | None = None  # begin of the first one after the last break
    before: Counter[str] = field(default_factory=Counter)  # of schedules before: kept, idle, expected

    def take(self, event: Mapping[str, Any]) -> None:
        if event["kind"] == "planned":
            if self.newest_ms is None or event["slot_ms"] - self.newest_ms > BREAK_MS:
                self.since_ms = event["slot_ms"]
            self.newest_ms = max(self.newest_ms or 0, event["slot_ms"])
        slot = event["slot"]
        if slot is None or slot < 0:  # before it begins
            return
        if event["schedule"] != self.schedule:
            self.before = self.sums
            self.schedule, self.ended = event["schedule"], {}
            self.now, self.counted_to = Counter(), 0
        if event["kind"] == "ended" and slot >= self.counted_to and slot not in self.ended:
            self.ended[slot] = event["success"]
            self.now.update({KINDS[event["success"]]: 1})
            self.now["expected"] = max(self.now["expected"], slot + 1)
            if len(self.ended) > 2 * ENDED_KEPT:
                self.ended = {one: self.ended[one] for one in sorted(self.ended)[-ENDED_KEPT:]}
                self.counted_to = min(self.ended)

    @property
    def sums(self) -> Counter[str]:
        """expected: slots that are over; kept: that brought something; idle: that had nothing to do. The rest failed, or never was."""
        return self.before + self.now

    @property
    def reliability(self) -> float | None:
        """Share of ticks kept, of those that had something to do [0..1]; None: there was none."""
        kept, of = self._kept_of()
        return kept / of if of else None

    @property
    def reliability_at_least(self) -> float | None:
        """Lower end of Clopper and Pearson's 95 % interval, as if ticks failed independently: `icn audit report` doesn't suppose that."""
        from scipy.special import betaincinv

        kept, of = self._kept_of()
        if not of:
            return None
        return float(betaincinv(kept, of - kept + 1, (1 - LEVEL) / 2)) if kept else 0.0

    def _kept_of(self) -> tuple[int, int]:
        sums = self.sums
        return sums["kept"], sums["expected"] - sums["idle"]


@dataclass
class Figures:
    """All of it, so far."""

    stages: dict[str, StageFigures] = field(default_factory=dict)
    letters: dict[tuple[str, int, int], Letter] = field(default_factory=dict)  # (alias, partition, offset)
    redriven: set[tuple[str, int, int]] = field(default_factory=set)
    sealed: dict[int, Sealed] = field(default_factory=dict)  # partition of the audit log
    ticks: Ticks = field(default_factory=Ticks)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)  # as the newest plan has them
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)  # node -> its newest registration
    reputations: dict[str, dict[str, Any]] = field(default_factory=dict)  # node -> its newest revision
    targets: set[str] = field(default_factory=set)
    window: dict[str, Any] | None = None
    round: dict[str, Any] | None = None
    fed: int = 0

    def stage(self, name: str) -> StageFigures:
        return self.stages.setdefault(name, StageFigures())

    def take(self, alias: str, event: dict[str, Any], time_ms: int) -> None:
        """A record of a topic that has a schema."""
        if alias == "batches":
            self.stage(event["stage"]).take(event, time_ms)
        elif alias == "ticks":
            self.ticks.take(event)
            if event["kind"] == "planned":
                self.nodes = {node["node_id"]: node for node in event["nodes"]}
        elif alias == "control":
            self._control(event)
        elif alias == "reputation":
            known = self.reputations.get(event["node_id"])
            if known is None or event["revision"] >= known["revision"]:
                self.reputations[event["node_id"]] = event
        elif alias == "targets":
            (self.targets.add if event["kind"] == "added" else self.targets.discard)(event["target_id"])
        elif alias == "windows":
            if self.window is None or event["slot_ms"] > self.window["slot_ms"]:
                self.window = event
        elif alias == "phoenix.rounds":
            self.fed += event["fed"]
            if self.round is None or event["slot_ms"] > self.round["slot_ms"]:
                self.round = event
        elif alias == "redrives":
            at = (f"{event['topic']}.dlq", event["partition"], event["offset"])
            self.redriven.add(at)
            self.letters.pop(at, None)

    def _control(self, event: dict[str, Any]) -> None:
        if event["kind"] not in ("node_registered", "node_unregistered"):
            return
        known = self.registered.get(event["node_id"])
        if known is None or event["generation"] >= known["generation"]:
            self.registered[event["node_id"]] = event

    def letter(self, alias: str, partition: int, offset: int, letter: Letter) -> None:
        """A record of a topic of dead letters."""
        if (alias, partition, offset) not in self.redriven:
            self.letters[alias, partition, offset] = letter

    @property
    def node_names(self) -> list[str]:
        """Registered now."""
        return sorted(name for name, event in self.registered.items() if event["kind"] == "node_registered")

    def state_of(self, name: str) -> str:
        """Of a registered node, as `presence` has it."""
        return presence(self.nodes.get(name), self.registered[name].get("capabilities", ()))

    @property
    def node_states(self) -> Counter[str]:
        """How many registered nodes are in which state."""
        return Counter(map(self.state_of, self.node_names))

    @property
    def outcomes(self) -> Counter[str]:
        """Of artifacts, ever: how many of each."""
        found = Counter[str]()
        for name in ("s1_intake", "s2_dedup"):
            if name in self.stages:
                found.update({k: v for k, v in self.stages[name].counts.items() if k in OUTCOMES})
        return found
