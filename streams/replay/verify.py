"""Recomputes every decision from its inputs, stage by stage, and compares byte for byte. Read only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.broker.topics import fold
from streams.codec import Undecodable, decode_any, jsonable
from streams.replay.beginning import Beginning, find_beginning
from streams.replay.follow import Gap, History, Sources, read_history
from streams.runtime.stage import MemoryRows, Stage
from streams.settings import Settings
from streams.topology import Topology

Identity = tuple[Any, ...]
SHOWN_MAX = 20


@dataclass(frozen=True)
class Finding:
    """One place where record and recomputation differ."""

    kind: (
        str  # DIFFERS, MISSING, INVENTED, DOUBLED, SKIPPED, HOLE, OTHER_COUNTS; PRUNED and OTHER_RULE: can't be judged
    )
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
    The end is frozen at the start: what is decided meanwhile is not looked at.
    """
    result = Result(stage.agent.name)
    result.findings += [Finding("DIFFERS", where, f"not a batch: {what}") for where, what in history.garbage]
    expected: dict[tuple[str, Identity], bytes] = {}
    ignored: set[tuple[str, Identity]] = set()
    begins: dict[int, Beginning] = {}
    for partition, steps in sorted(history.of(stage.agent).items()):
        progress(f"{stage.agent.name}/{partition}: {len(steps)} batches")
        begins[partition] = begin = find_beginning(topology, settings, stage.agent, partition, steps)
        _recompute(topology, settings, stage, rule, partition, begin, (from_ms, to_ms), result, expected, ignored)
    last = {partition: steps[-1].event["sequence"] for partition, steps in history.of(stage.agent).items()}
    if not any(not finding.judged for finding in result.findings):
        ahead = _compare(topology, settings, stage, history, last, begins, expected, ignored, result, progress)
        _judge_ahead(topology, settings, stage, ahead, result)
    result.findings.sort(key=lambda finding: (not finding.judged, _place(finding.where)))
    return result


def _place(where: str) -> tuple[str, int, int]:
    topic, _, rest = where.partition("/")
    numbers = [int(part) for part in rest.replace("..", "/").split("/") if part.isdigit()]
    return topic, *[*numbers, 0, 0][:2]  # type: ignore[return-value]


def _recompute(
    topology: Topology,
    settings: Settings,
    stage: Stage,
    rule: bytes,
    partition: int,
    begin: Beginning,
    window: tuple[int | None, int | None],
    result: Result,
    expected: dict[tuple[str, Identity], bytes],
    ignored: set[tuple[str, Identity]],
) -> None:
    result.left_out += begin.left_out
    if not begin.steps:
        where = f"{stage.agent.name}/{partition}"
        result.findings.append(Finding("PRUNED", where, f"all {begin.left_out} batches are gone, in part at least"))
        return
    rows = MemoryRows(begin.seeds)
    for batch in begin.before:
        rows.apply(stage.decide(rows, batch).rows)
    sources = Sources(topology, settings, stage.agent, partition, begin.starts, begin.steps[-1].event["applied"])
    for number, step in enumerate(begin.steps, begin.left_out):
        event = step.event
        if event["sequence"] != number:
            result.findings.append(
                Finding("HOLE", step.at, f"batch {number} of {stage.agent.name}/{partition} is missing or doubled")
            )
            return
        if event["rule"] != rule:
            result.findings.append(
                Finding(
                    "OTHER_RULE",
                    step.at,
                    f"decided under rule version {event['rule'].hex()}, this code and topology are "
                    f"{rule.hex()}: verify with the release and protocol settings of then",
                )
            )
            return
        try:
            batch = sources.batch(event)
        except Gap as gap:
            result.findings.append(Finding("SKIPPED", str(gap).split(" ")[0], str(gap)))
            return
        decided = stage.decide(rows, batch)
        rows.apply(decided.rows)
        result.batches += 1
        result.decided += len(batch.records)
        if decided.counts != event["counts"]:
            result.findings.append(
                Finding("OTHER_COUNTS", step.at, f"recorded {event['counts']}, recomputed {decided.counts}")
            )
        inside = (window[0] is None or step.time_ms >= window[0]) and (window[1] is None or step.time_ms < window[1])
        for alias, messages in decided.outputs.items():
            for message in messages:
                key = (alias, _identity(alias, message["key"], message["value"], message.get("headers", ())))
                if inside:
                    expected[key] = _digest(message["key"], message["value"], message.get("headers", ()))
                else:
                    ignored.add(key)
    result.seeded += rows.seeded


def _compare(
    topology: Topology,
    settings: Settings,
    stage: Stage,
    history: History,
    last: dict[int, int],
    begins: Mapping[int, Beginning],
    expected: dict[tuple[str, Identity], bytes],
    ignored: set[tuple[str, Identity]],
    result: Result,
    progress: Callable[[str], None],
) -> list[tuple[str, Origin]]:
    """Findings go to the result; returned are outputs (where, origin) of inputs that were not decided when the history was read."""
    ahead: list[tuple[str, Origin]] = []
    seen: set[tuple[str, Identity]] = set()
    ends = {partition: history.applied(stage.agent, partition) for partition in last}
    for alias in (*stage.agent.writes, *(f"{a}.dlq" for a in stage.agent.reads if topology.topics[a].dlq)):
        name = topology.topics[alias].name
        progress(f"{stage.agent.name}: comparing {name}")
        for message in fold(settings, name):
            where = f"{name}/{message.partition()}/{message.offset()}"
            headers = message.headers() or ()
            try:
                identity = _identity(alias, message.key(), message.value(), headers)
                made_by = _origin(alias, message.value(), headers)
            except (Undecodable, LookupError, TypeError, ValueError) as error:
                result.findings.append(Finding("DIFFERS", where, f"not a record of this topic: {error}"))
                continue
            if made_by.stage not in (None, stage.agent.name):
                if made_by.stage not in topology.agents:
                    result.findings.append(Finding("INVENTED", where, f"no stage is called {made_by.stage!r}"))
                continue
            if made_by.offset > ends.get(made_by.partition, {}).get(made_by.source, -1):
                ahead.append((where, made_by))
                continue
            begin = begins.get(made_by.partition)
            if begin is not None and made_by.offset < begin.starts.get(made_by.source, 0):
                continue  # decided before what can be judged
            key = (alias, identity)
            if key in seen:
                result.findings.append(Finding("DOUBLED", where, "an output with this origin was there before"))
                continue
            seen.add(key)
            if key in ignored:
                continue
            result.compared += 1
            wanted = expected.pop(key, None)
            if wanted is None:
                result.findings.append(Finding("INVENTED", where, f"no input gives this output: origin {made_by}"))
            elif wanted != _digest(message.key(), message.value(), headers):
                result.findings.append(
                    Finding(
                        "DIFFERS",
                        where,
                        f"recomputing gives other bytes: origin {made_by}; recorded "
                        f"{jsonable(decode_any(message.value())[1]) if message.value() else None}",
                    )
                )
    for alias, identity in expected:
        result.findings.append(
            Finding(
                "MISSING",
                f"{topology.topics[alias].name}",
                f"no output with identity {identity} is there, its input was decided",
            )
        )
    return ahead


def _judge_ahead(
    topology: Topology, settings: Settings, stage: Stage, ahead: list[tuple[str, Origin]], result: Result
) -> None:
    """What was decided while we looked is for the next time. What was not decided even now has no input."""
    if not ahead:
        return
    now = read_history(topology, settings)
    for where, origin in ahead:
        if origin.offset > now.applied(stage.agent, origin.partition).get(origin.source, -1):
            result.findings.append(Finding("INVENTED", where, f"its input was never decided: origin {origin}"))


@dataclass(frozen=True)
class Origin:
    """The input an output came from. stage None: the topic has one writer."""

    stage: str | None
    source: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.source}/{self.partition}/{self.offset}"


def _origin(alias: str, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Origin:
    if alias.endswith(".dlq"):
        about = dict(headers)
        return Origin(
            about["icn_dlq_stage"].decode(),
            alias.removesuffix(".dlq"),
            int(about["icn_dlq_partition"]),
            int(about["icn_dlq_offset"]),
        )
    event = decode_any(value or b"")[1]
    if alias == "artifacts.admitted":
        return Origin(None, "artifacts.raw", event["facts"]["raw_partition"], event["facts"]["raw_offset"])
    if alias == "artifacts.decided":
        return Origin(None, "artifacts.admitted", event["input_partition"], event["input_offset"])
    if alias == "receipts":
        return Origin(event["stage"], event["topic"], event["partition"], event["outcomes"][0]["offset"])
    return Origin(None, event["input_topic"], event["input_partition"], event["input_offset"])


def _identity(alias: str, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> Identity:
    """What tells an output from all others: its event id where it has one, else its origin."""
    if alias == "receipts":
        return (dict(headers)["ce_id"],)
    return (str(_origin(alias, value, headers)),)


def _digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for part in (key, value, *(item for name, content in headers for item in (name.encode(), content))):
        digest.update(b"-" if part is None else len(part).to_bytes(8, "little") + part)
    return digest.digest()
