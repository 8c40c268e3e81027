"""Recomputes every decision from its inputs, stage by stage, and compares byte for byte. Read only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streams.broker.topics import fold
from streams.codec import Undecodable, decode_any, jsonable
from streams.replay.beginning import Beginning, find_beginning
from streams.replay.follow import Gap, History, Sources, Step, read_history
from streams.replay.outputs import Origin, Output, read_output
from streams.runtime.reread import as_record
from streams.runtime.stage import MemoryRows, Stage
from streams.settings import Settings
from streams.topology import Topology

SHOWN_MAX = 20


@dataclass(frozen=True)
class Finding:
    """One place where record and recomputation differ."""

    # DIFFERS, MISSING, INVENTED, DOUBLED, SKIPPED, HOLE, OTHER_COUNTS; PRUNED and OTHER_RULE: can't be judged
    kind: str
    where: str  # topic/partition/offset, or the batch
    detail: str

    @property
    def judged(self) -> bool:
        """Whether this is something wrong, and not something that can't be told."""
        return self.kind not in ("PRUNED", "OTHER_RULE")


@dataclass
class Result:
    """Of one stage."""

    stage: str
    batches: int = 0
    left_out: int = 0  # batches before those: retention took their inputs or outputs
    follow: int = 0  # batches after one that differs: they can't be judged
    seeded: int = 0  # rows of theirs that were taken from the decision that read them first
    decided: int = 0  # input records recomputed
    compared: int = 0  # output records compared
    findings: list[Finding] = field(default_factory=list)


def verify(
    topology: Topology,
    settings: Settings,
    stage: Stage,
    rule: bytes,
    history: History,
    from_ms: int | None = None,
    to_ms: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Recompute one stage along its recorded batches and compare with what is on its output topics.

    from_ms, to_ms: compare only batches recorded in [from, to) of broker time; earlier ones are still folded, for the rows they leave.
    What is decided while this runs is not looked at.
    """
    return _Verification(topology, settings, stage, rule, history, (from_ms, to_ms), progress).run()


@dataclass
class _Verification:
    """Of one stage: what its inputs give, beside what its topics hold."""

    topology: Topology
    settings: Settings
    stage: Stage
    rule: bytes
    history: History
    window: tuple[int | None, int | None]
    progress: Callable[[str], None]

    def __post_init__(self) -> None:
        self.name = self.stage.agent.name
        self.result = Result(self.name)
        self.begins: dict[int, Beginning] = {}
        self.expected: dict[tuple[str, str], bytes] = {}  # identity -> digest
        self.outside: set[tuple[str, str]] = set()  # identities of outputs that are not in the window
        self.views: dict[
            tuple[str, bytes | None], tuple[str, str]
        ] = {}  # (compacted topic, key) -> identity of its newest output

    def run(self) -> Result:
        for where, what in self.history.garbage:
            self._find("DIFFERS", where, f"not a batch: {what}")
        for partition, steps in sorted(self.history.of(self.stage.agent).items()):
            self.progress(f"{self.name}/{partition}: {len(steps)} batches")
            self.begins[partition] = find_beginning(self.topology, self.settings, self.stage.agent, partition, steps)
            self._recompute(partition, self.begins[partition])
        if all(finding.judged for finding in self.result.findings):
            self._judge_ahead(self._compare())
        self.result.findings.sort(key=lambda finding: (not finding.judged, _place(finding.where)))
        return self.result

    def _find(self, kind: str, where: str, detail: str) -> None:
        self.result.findings.append(Finding(kind, where, detail))

    # -- what the inputs give ---------------------------------------------

    def _recompute(self, partition: int, begin: Beginning) -> None:
        self.result.left_out += begin.left_out
        place = f"{self.name}/{partition}"
        if not begin.steps:
            self._find("PRUNED", place, f"all {begin.left_out} batches are gone, in part at least")
            return
        rows = MemoryRows()
        for batch in begin.before:
            rows.apply(self.stage.decide(rows, batch).rows)
        rows.apply(begin.rows)
        rows.seed(begin.seeds)
        ends = begin.steps[-1].event["applied"]
        sources = Sources(self.topology, self.settings, self.stage.agent, partition, begin.starts, ends)
        for number, step in enumerate(begin.steps, begin.left_out):
            if step.event["sequence"] != number:
                self._find("HOLE", step.at, f"batch {number} of {place} is missing or doubled")
                return
            if step.event["rule"] != self.rule:
                self._find(
                    "OTHER_RULE",
                    step.at,
                    f"decided under rule version {step.event['rule'].hex()}, this code and topology are "
                    f"{self.rule.hex()}: verify with the release and protocol settings of then",
                )
                return
            try:
                self._decide_again(rows, sources, step)
            except Gap as gap:
                self._find("SKIPPED", str(gap).split(" ")[0], str(gap))
                return
        self.result.seeded += rows.seeded

    def _decide_again(self, rows: MemoryRows, sources: Sources, step: Step) -> None:
        batch = sources.batch(step.event)
        decided = self.stage.decide(rows, batch)
        rows.apply(decided.rows)
        self.result.batches += 1
        self.result.decided += len(batch.records)
        if decided.counts != step.event["counts"]:
            self._find("OTHER_COUNTS", step.at, f"recorded {step.event['counts']}, recomputed {decided.counts}")
        start, end = self.window
        inside = (start is None or step.time_ms >= start) and (end is None or step.time_ms < end)
        for alias, messages in decided.outputs.items():
            for message in messages:
                output = read_output(alias, message["key"], message["value"], message.get("headers"))
                if self._is_view(alias):
                    self.views[alias, message["key"]] = output.identity
                if inside:
                    self.expected[output.identity] = output.digest
                else:
                    self.outside.add(output.identity)

    # -- what the topics hold ---------------------------------------------

    def _compare(self) -> list[tuple[str, Origin]]:
        """(where, origin) of outputs whose input was not decided yet when the history was read."""
        ahead: list[tuple[str, Origin]] = []
        seen: set[tuple[str, str]] = set()
        begun: set[tuple[str, int, int]] = set()  # (topic, partition, input partition) in which something was judged
        shown: dict[
            tuple[str, bytes | None], tuple[str, tuple[str, str]]
        ] = {}  # of views: (where, identity) of each key's newest
        agent, ends = self.stage.agent, self._ends(self.history)
        for alias in (*agent.writes, *(f"{a}.dlq" for a in agent.reads if self.topology.topics[a].dlq)):
            name = self.topology.topics[alias].name
            self.progress(f"{self.name}: comparing {name}")
            for message in fold(self.settings, name):
                where = f"{name}/{message.partition()}/{message.offset()}"
                record = as_record(message)
                try:
                    output = read_output(alias, record.key, record.value, record.headers)
                except (Undecodable, LookupError, TypeError, ValueError) as error:
                    self._find("DIFFERS", where, f"not a record of this topic: {error}")
                    continue
                if not self._is_ours(where, output.origin):
                    continue
                place = (alias, message.partition(), output.origin.partition)
                if self._is_before(output.origin):
                    if place in begun:  # outputs come in the order of their inputs
                        self._find(
                            "INVENTED", where, f"what is in front of it was decided later: origin {output.origin}"
                        )
                    continue
                begun.add(place)
                if self._is_view(alias):
                    shown[alias, record.key] = where, output.identity
                if _is_ahead(output.origin, ends):
                    ahead.append((where, output.origin))
                elif output.identity in seen:
                    self._find("DOUBLED", where, "an output with this origin was there before")
                else:
                    seen.add(output.identity)
                    self._judge(where, output, record.value)
        self._compare_views(shown, ahead)
        for alias, identity in self.expected:
            if self._is_view(alias):
                continue  # an older event of a key may be gone from it
            topic = self.topology.topics[alias].name
            self._find("MISSING", topic, f"no output with identity {identity} is there, its input was decided")
        return ahead

    def _is_view(self, alias: str) -> bool:
        return self.topology.topics[alias].cleanup == "compact"

    def _compare_views(
        self, shown: dict[tuple[str, bytes | None], tuple[str, tuple[str, str]]], ahead: list[tuple[str, Origin]]
    ) -> None:
        """A view must show the newest event of each key: an older one, said again, is a true event and yet a lie."""
        not_judged_yet = {where for where, _ in ahead}
        for (alias, key), identity in self.views.items():
            topic = self.topology.topics[alias].name
            where, newest = shown.get((alias, key), (topic, None))
            if newest != identity and where not in not_judged_yet:
                name = (key or b"").decode(errors="replace")
                self._find(
                    "DIFFERS",
                    where,
                    f"the newest event of {name} should be {identity[1]}, it is {newest and newest[1]}",
                )

    def _is_ours(self, where: str, origin: Origin) -> bool:
        """Whether it claims to be of this stage."""
        if origin.stage not in (None, self.name):
            if origin.stage not in self.topology.agents:
                self._find("INVENTED", where, f"no stage is called {origin.stage!r}")
            return False
        return True

    def _is_before(self, origin: Origin) -> bool:
        """Whether its input lies before what can be judged."""
        begin = self.begins.get(origin.partition)
        return begin is not None and origin.offset < begin.starts.get(origin.source, 0)

    def _judge(self, where: str, output: Output, value: bytes | None) -> None:
        if output.identity in self.outside:
            return
        self.result.compared += 1
        wanted = self.expected.pop(output.identity, None)
        if wanted is None:
            self._find("INVENTED", where, f"no input gives this output: origin {output.origin}")
        elif wanted != output.digest:
            self._find(
                "DIFFERS", where, f"recomputing gives other bytes: origin {output.origin}; recorded {_shown(value)}"
            )

    def _ends(self, history: History) -> dict[int, dict[str, int]]:
        return {partition: history.applied(self.stage.agent, partition) for partition in history.of(self.stage.agent)}

    def _judge_ahead(self, ahead: list[tuple[str, Origin]]) -> None:
        """What was decided while we looked is for the next time. What was not decided even now has no input."""
        if ahead:
            ends = self._ends(read_history(self.topology, self.settings))
            for where, origin in ahead:
                if _is_ahead(origin, ends):
                    self._find("INVENTED", where, f"its input was never decided: origin {origin}")


def _shown(value: bytes | None) -> Any:
    """What is there, for people: a dead letter may be anything."""
    try:
        return jsonable(decode_any(value)[1]) if value else None
    except Undecodable:
        return f"{len(value or b'')} bytes that are no record"


def _is_ahead(origin: Origin, ends: dict[int, dict[str, int]]) -> bool:
    return origin.offset > ends.get(origin.partition, {}).get(origin.source, -1)


def _place(where: str) -> tuple[str, int, int]:
    topic, _, rest = where.partition("/")
    numbers = [int(part) for part in rest.replace("..", "/").split("/") if part.isdigit()]
    return topic, *[*numbers, 0, 0][:2]  # type: ignore[return-value]
