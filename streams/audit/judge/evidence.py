"""What a log says that matters to the judge: one pass over the verified records, kept in columns. Nothing is judged here."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.audit.layout import PREV, SEQ, Item
from streams.audit.record.clock import Moment
from streams.audit.record.events import TYPES, payload_of
from streams.audit.record.schedule import Schedule, read_schedule

TICKS = ("tick_started", "tick_completed", "tick_failed")
ENDS = ("collection_success", "collection_empty", "collection_failure")
JOBS = ("collection_start", *ENDS)
PRESSURE = ("backpressure_accept", "backpressure_reject", "backpressure_retry")
NUMBER = {name: number for number, name in enumerate(TYPES)}
FUTURE_MS = 5_000  # a record from further ahead than this is an anomaly
NONE = -1
SHOWN_MAX = 200
COUNT_MAX = 1 << 40


class Hole(NamedTuple):
    """Records of a run that aren't there, or aren't believed: between these times [ms, wall]."""

    run: int
    records: int
    from_ms: int
    to_ms: int


@dataclass
class Run:
    """One process, from its start to its exit."""

    run_id: bytes
    producer_id: str
    first_ms: int
    schedule: Schedule | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    methodology: str | None = None
    methodology_offset: int = -1
    boot_id: bytes = b""
    last_ms: int = 0
    next_seq: int = 0
    exit_code: int | None = None  # None: no process_exit
    exit_is_signed: bool = False
    types: set[str] = field(default_factory=set)


class Column(NamedTuple):
    """Of one kind of record; all of the same length."""

    offset: array[int]
    run: array[int]
    kind: array[int]  # index in TICKS, JOBS or PRESSURE
    tick: array[int]
    job: array[int]  # index in Evidence.jobs
    attempt: array[int]
    wall_ms: array[int]
    boot_ns: array[int]
    number: array[int]  # artifacts, or for a tick the duration [ns]
    success: array[int]  # 1, 0, NONE

    @classmethod
    def empty(cls) -> Column:
        return cls(*(array("q") for _ in cls._fields))


class Evidence:
    """Give `visit` to the verifiers of all partitions."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.jobs: dict[str, int] = {}
        self.holes: list[Hole] = []
        self.ticks, self.jobs_done, self.pressure = Column.empty(), Column.empty(), Column.empty()
        self.types: Counter[str] = Counter()
        self.artifacts: dict[tuple[str, str], int] = {}  # (type, name of the count) -> artifacts
        self.seals: list[tuple[int, int]] = []  # ms, entries covered
        self.partition_of: list[int] = []  # of a run
        # of every record
        self.offset, self.run, self.ts_ms = array("q"), array("i"), array("q")
        self.duration_ns, self.success, self.type = array("q"), array("b"), array("b")
        self.crashes: list[tuple[int, str, int]] = []  # ms, child, code
        self.actions: list[tuple[int, str, str]] = []  # ms, who, what
        self.exceptions: list[tuple[int, str, str]] = []  # ms, producer, error
        self.watchdogs: list[tuple[int, str]] = []  # ms, producer
        self.samples: list[tuple[int, dict[str, Any]]] = []
        self.summaries: list[tuple[int, str]] = []
        self.anomalies: Counter[str] = Counter()
        self.wrong_payloads = 0
        self._runs: dict[bytes, int] = {}

    def visit(self, partition: int, item: Item, record: dict[str, Any]) -> None:
        """A record that counts: whole, for the first time, decoded."""
        number = self._runs.get(record["run_id"])
        wall_ms = record["wall_ns"] // 1_000_000
        if number is None:
            number = self._runs[record["run_id"]] = len(self.runs)
            self.runs.append(Run(record["run_id"], shown(record["producer_id"]), wall_ms, boot_id=record["boot_id"]))
            self.partition_of.append(partition)
        run, type_ = self.runs[number], record["type"]
        seq = int.from_bytes((item.value or b"")[SEQ], "big")
        if seq > run.next_seq:
            self.holes.append(Hole(number, seq - run.next_seq, run.last_ms or wall_ms, wall_ms))
        run.next_seq, run.last_ms = max(run.next_seq, seq + 1), max(run.last_ms, wall_ms)
        run.types.add(type_)
        self._every(item, record, number, wall_ms)
        if type_ in TICKS:
            self._row(self.ticks, TICKS.index(type_), item, record, number, wall_ms)
        elif type_ in JOBS:
            self._row(self.jobs_done, JOBS.index(type_), item, record, number, wall_ms)
        elif type_ in PRESSURE:
            self._row(self.pressure, PRESSURE.index(type_), item, record, number, wall_ms)
        elif type_ == "exception":
            self.exceptions.append((wall_ms, run.producer_id, shown(record["error"] or "?")))
        elif type_ == "watchdog_timeout":
            self.watchdogs.append((wall_ms, run.producer_id))
        elif record["payload"]:
            try:
                self._payload(run, type_, item, record, wall_ms)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.wrong_payloads += 1

    def _every(self, item: Item, record: dict[str, Any], run: int, wall_ms: int) -> None:
        type_, success, duration_ns = record["type"], record["success"], record["duration_ns"]
        if record["artifact_count"] > COUNT_MAX:
            self.anomalies["counts that can't be"] += 1
            record["artifact_count"] = 0
        self.types[type_] += 1
        if record["artifact_count"]:  # what was counted twice under one name counts once
            job = record["job_id"]
            name = (type_, f"{run} {item.offset}" if job is None else f"{record['tick']} {job}")
            self.artifacts[name] = record["artifact_count"]
        self.offset.append(item.offset)
        self.run.append(run)
        self.ts_ms.append(item.ts_ms)
        self.type.append(NUMBER[type_])
        self.success.append(NONE if success is None else int(success))
        if duration_ns is not None and duration_ns < 0:
            self.anomalies["negative durations"] += 1
            duration_ns = None
        self.duration_ns.append(NONE if duration_ns is None else duration_ns)
        if wall_ms > item.ts_ms + FUTURE_MS:
            self.anomalies["time stamps more than 5 s ahead of the broker"] += 1

    def _row(self, to: Column, kind: int, item: Item, record: dict[str, Any], run: int, wall_ms: int) -> None:
        tick, job, attempt, success = record["tick"], record["job_id"], record["attempt"], record["success"]
        to.offset.append(item.offset)
        to.run.append(run)
        to.kind.append(kind)
        to.tick.append(NONE if tick is None else tick)
        to.job.append(NONE if job is None else self.jobs.setdefault(job, len(self.jobs)))
        to.attempt.append(0 if attempt is None else attempt)
        to.wall_ms.append(wall_ms)
        to.boot_ns.append(record["boot_ns"])
        to.number.append((record["duration_ns"] or 0) if to is self.ticks else record["artifact_count"])
        to.success.append(NONE if success is None else int(success))

    def _payload(self, run: Run, type_: str, item: Item, record: dict[str, Any], wall_ms: int) -> None:
        form = payload_of(type_)
        if form is None or form.sha256 != record["schema_sha256"]:
            raise ValueError("a payload of another schema")
        told = form.decode(record["payload"])
        if type_ == "process_start":
            manifest = json.loads(told["manifest"])
            if not isinstance(manifest, dict):
                raise ValueError("no manifest")
            run.manifest = manifest
            run.schedule = read_schedule(run.manifest.get("schedule"))
        elif type_ == "methodology":
            run.methodology, run.methodology_offset = told["text"], item.offset
        elif type_ == "process_exit":
            run.exit_code = told["code"]
            run.exit_is_signed = _is_signed(run.manifest, told["signature"], (item.value or b"")[PREV])
        elif type_ == "process_crash":
            self.crashes.append((wall_ms, shown(told["child"]), told["code"]))
        elif type_ == "seal":
            self.seals.append((item.ts_ms, told["size"]))
        elif type_ == "operator_action":
            self.actions.append((wall_ms, shown(told["who"]), shown(told["what"])))
        elif type_ == "resource_sample":
            self.samples.append((wall_ms, told))
        elif type_ == "run_summary":
            self.summaries.append((wall_ms, told["text"]))


def shown(text: str) -> str:
    """A stranger's words, for a terminal: no control characters, not too many."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:SHOWN_MAX])


def moment_of(run: Run) -> Moment | None:
    """The clocks that a run read at its start, as its manifest has them."""
    try:
        clock = run.manifest["clock"]
        at = Moment(int(clock["wall_ns"]), int(clock["mono_ns"]), int(clock["boot_ns"]))
        return at if all(abs(ns) < 1 << 62 for ns in at) else None
    except (KeyError, TypeError, ValueError):
        return None


def _is_signed(manifest: dict[str, Any], signature: bytes, prev_hash: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest["public_key"])).verify(signature, prev_hash)
    except (InvalidSignature, KeyError, ValueError, TypeError):
        return False
    return True
