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
from streams.audit.record.events import TYPES, payload_of
from streams.audit.record.methodology import FUTURE_MS
from streams.audit.record.schedule import Schedule, read_schedule
from streams.clock import Moment
from streams.words import printable

TICKS = ("tick_started", "tick_completed", "tick_failed")
ENDS = ("collection_success", "collection_empty", "collection_failure")
JOBS = ("collection_start", *ENDS)
PRESSURE = ("backpressure_accept", "backpressure_reject", "backpressure_retry")
NUMBER = {name: number for number, name in enumerate(TYPES)}
NONE = -1
SHOWN_MAX = 200
COUNT_MAX = 1 << 40
HOLE_MAX = 1 << 20  # more records than this at once are as bad
PLACE_BITS = 44


class Hole(NamedTuple):
    """seqs of a run that aren't there: between these broker times [ms]. partition: where; is_beginning: nothing of the run is before it."""

    run: int
    first: int
    last: int
    from_ms: int
    to_ms: int
    partition: int = 0
    is_beginning: bool = False

    @property
    def records(self) -> int:
        return min(self.last - self.first + 1, HOLE_MAX)


@dataclass
class Run:
    """One process, from its start to its exit. Times are the broker's [ms]; places as in Column, NONE: not there."""

    run_id: bytes
    producer_id: str
    boot_id: bytes
    schedule: Schedule | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    start: int = NONE
    methodology: str | None = None
    methodology_offset: int = -1
    exit: int = NONE
    exit_ms: int = 0
    exit_code: int | None = None  # None: no process_exit
    exit_is_signed: bool = False
    last_ms: int = 0
    next_seq: int = 0
    types: set[str] = field(default_factory=set)

    @property
    def has_ended(self) -> bool:
        """By itself, and in its own name."""
        return self.exit_code is not None and self.exit_is_signed


class Column(NamedTuple):
    """Of one kind of record; all of the same length."""

    place: array[int]  # partition and offset, see `place_of`
    run: array[int]
    kind: array[int]  # index in TICKS, JOBS or PRESSURE
    tick: array[int]
    job: array[int]  # index in Evidence.jobs
    attempt: array[int]
    ts_ms: array[int]  # the broker's
    boot_ns: array[int]
    number: array[int]  # artifacts, or for a tick the duration [ns]
    success: array[int]  # 1, 0, NONE

    @classmethod
    def empty(cls) -> Column:
        return cls(*(array("q") for _ in cls._fields))


def place_of(partition: int, offset: int) -> int:
    """Both in one number."""
    return partition << PLACE_BITS | offset


class Evidence:
    """Give `visit` to the verifiers of all partitions."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.jobs: dict[str, int] = {}
        self.ticks, self.jobs_done, self.pressure = Column.empty(), Column.empty(), Column.empty()
        self.types: Counter[str] = Counter()
        self.artifacts: dict[tuple[str, str], int] = {}  # (type, name of the count) -> artifacts
        self.seals: list[tuple[int, int]] = []  # ms, entries covered
        # of every record
        self.place, self.run, self.ts_ms = array("q"), array("i"), array("q")
        self.duration_ns, self.success, self.type = array("q"), array("b"), array("b")
        self.crashes: list[tuple[int, str, int]] = []  # ms, child, code
        self.actions: list[tuple[int, str, str]] = []  # ms, who, what
        self.exceptions: list[tuple[int, str, str]] = []  # ms, producer, error
        self.watchdogs: list[tuple[int, str]] = []  # ms, producer
        self.anomalies: Counter[str] = Counter()
        self._runs: dict[bytes, int] = {}
        self._holes: dict[int, list[Hole]] = {}

    @property
    def holes(self) -> list[Hole]:
        """Of all runs."""
        return [hole for holes in self._holes.values() for hole in holes]

    def visit(self, partition: int, item: Item, record: dict[str, Any]) -> None:
        """A record that counts: whole, for the first time, decoded."""
        number = self._runs.get(record["run_id"])
        is_first = number is None
        if number is None:
            number = self._runs[record["run_id"]] = len(self.runs)
            self.runs.append(Run(record["run_id"], shown(record["producer_id"]), record["boot_id"]))
        run, type_ = self.runs[number], record["type"]
        seq = int.from_bytes((item.value or b"")[SEQ], "big")
        if seq > run.next_seq:
            since_ms = item.ts_ms if is_first else run.last_ms
            hole = Hole(number, run.next_seq, seq - 1, since_ms, item.ts_ms, partition, is_first)
            self._holes.setdefault(number, []).append(hole)
        elif seq < run.next_seq and not self._fill(number, seq):
            return  # it is in another partition, too
        run.next_seq, run.last_ms = max(run.next_seq, seq + 1), max(run.last_ms, item.ts_ms)
        run.types.add(type_)
        place, at_ms = place_of(partition, item.offset), item.ts_ms
        self._every(place, item, record, number)
        if type_ in TICKS:
            self._row(self.ticks, TICKS.index(type_), place, item, record, number)
        elif type_ in JOBS:
            self._row(self.jobs_done, JOBS.index(type_), place, item, record, number)
        elif type_ in PRESSURE:
            self._row(self.pressure, PRESSURE.index(type_), place, item, record, number)
        elif type_ == "exception":
            self.exceptions.append((at_ms, run.producer_id, shown(record["error"] or "?")))
        elif type_ == "watchdog_timeout":
            self.watchdogs.append((at_ms, run.producer_id))
        elif record["payload"]:
            try:
                self._payload(run, type_, place, item, record)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                self.anomalies["payloads that can't be read"] += 1

    def _fill(self, number: int, seq: int) -> bool:
        """It stands behind its place: it is no longer missing. False: it never was."""
        holes = self._holes.get(number, [])
        for at, hole in enumerate(holes):
            if hole.first <= seq <= hole.last:
                parts = (hole._replace(last=seq - 1), hole._replace(first=seq + 1))
                holes[at : at + 1] = [part for part in parts if part.first <= part.last]
                return True
        return False

    def _every(self, place: int, item: Item, record: dict[str, Any], run: int) -> None:
        type_, success, duration_ns = record["type"], record["success"], record["duration_ns"]
        if record["artifact_count"] > COUNT_MAX:
            self.anomalies["counts that can't be"] += 1
            record["artifact_count"] = 0
        self.types[type_] += 1
        if record["artifact_count"]:  # what was counted twice under one name counts once
            job = record["job_id"]
            name = (type_, f"{run} {item.offset}" if job is None else f"{record['tick']} {job}")
            self.artifacts[name] = record["artifact_count"]
        self.place.append(place)
        self.run.append(run)
        self.ts_ms.append(item.ts_ms)
        self.type.append(NUMBER[type_])
        self.success.append(NONE if success is None else int(success))
        if duration_ns is not None and duration_ns < 0:
            self.anomalies["negative durations"] += 1
            duration_ns = None
        self.duration_ns.append(NONE if duration_ns is None else duration_ns)
        if record["wall_ns"] // 1_000_000 > item.ts_ms + FUTURE_MS:
            self.anomalies["time stamps more than 5 s ahead of the broker"] += 1

    def _row(self, to: Column, kind: int, place: int, item: Item, record: dict[str, Any], run: int) -> None:
        tick, job, attempt, success = record["tick"], record["job_id"], record["attempt"], record["success"]
        to.place.append(place)
        to.run.append(run)
        to.kind.append(kind)
        to.tick.append(NONE if tick is None else tick)
        to.job.append(NONE if job is None else self.jobs.setdefault(job, len(self.jobs)))
        to.attempt.append(0 if attempt is None else attempt)
        to.ts_ms.append(item.ts_ms)
        to.boot_ns.append(record["boot_ns"])
        to.number.append((record["duration_ns"] or 0) if to is self.ticks else record["artifact_count"])
        to.success.append(NONE if success is None else int(success))

    def _payload(self, run: Run, type_: str, place: int, item: Item, record: dict[str, Any]) -> None:
        form = payload_of(type_)
        if form is None or form.sha256 != record["schema_sha256"]:
            raise ValueError("a payload of another schema")
        told, at_ms = form.decode(record["payload"]), item.ts_ms
        if type_ == "process_start":
            manifest = json.loads(told["manifest"])
            if not isinstance(manifest, dict):
                raise ValueError("no manifest")
            run.manifest, run.start = manifest, place
            run.schedule = read_schedule(manifest.get("schedule"))
        elif type_ == "methodology":
            run.methodology, run.methodology_offset = told["text"], item.offset
        elif type_ == "process_exit":
            run.exit_code, run.exit, run.exit_ms = told["code"], place, at_ms
            run.exit_is_signed = _is_signed(run.manifest, told["signature"], (item.value or b"")[PREV])
        elif type_ == "process_crash":
            self.crashes.append((at_ms, shown(told["child"]), told["code"]))
        elif type_ == "seal":
            self.seals.append((at_ms, told["size"]))
        elif type_ == "operator_action":
            self.actions.append((at_ms, shown(told["who"]), shown(told["what"])))


def shown(text: str) -> str:
    """A stranger's words, for a terminal: no control characters, not too many."""
    return printable(text[:SHOWN_MAX])


def moment_of(run: Run) -> Moment | None:
    """The clocks that a run read at its start, as its manifest has them."""
    try:
        clock = run.manifest["clock"]
        at = Moment(int(clock["wall_ns"]), int(clock["mono_ns"]), int(clock["boot_ns"]))
        return at if all(abs(ns) < 1 << 62 for ns in at) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _is_signed(manifest: dict[str, Any], signature: bytes, prev_hash: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(manifest["public_key"])).verify(signature, prev_hash)
    except (InvalidSignature, KeyError, ValueError, TypeError):
        return False
    return True
