"""What the audit log can say: a closed set of types, each with the payload it carries, and the bytes of a record."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import fastavro

from streams.audit.layout import HASH_BYTES, preimage_start
from streams.avro import avro_bytes, zigzag
from streams.clock import Moment
from streams.codec import folder, header, schema
from streams.errors import AuditError

SPEC = 1
NO_PAYLOAD = bytes(32)
TYPES = tuple(schema("metric_event")["fields"][1]["type"]["symbols"][1:])
CLOCK_STATES = ("UNKNOWN", "SYNCED", "UNSYNCED")
PAYLOADS = tuple(sorted(path.stem for path in (folder() / "audit").glob("*.avsc")))  # types that carry one


# outcome of a collection -> (type, success); unchanged is in no rate
COLLECTION_ENDS: Mapping[str, tuple[str, bool | None]] = {
    "success": ("collection_success", True),
    "unchanged": ("collection_empty", None),
    "empty": ("collection_empty", False),
    "failure": ("collection_failure", False),
}


class Event(NamedTuple):
    """What is said, without when and by whom. Fields as in schemas/metric_event.avsc."""

    type: str
    tick: int | None = None
    job_id: str | None = None
    attempt: int | None = None
    success: bool | None = None
    duration_ns: int | None = None
    artifact_count: int = 0
    queue_size: int | None = None
    node_id: str | None = None
    target_id: str | None = None
    error: str | None = None
    payload: Mapping[str, Any] | None = None


class Payload(NamedTuple):
    """How the payload of one type is written."""

    sha256: bytes  # of the schema's text
    form: Any

    def encode(self, value: Mapping[str, Any]) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.form, value)
        return out.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        """Raises ValueError for what isn't of this schema to its last byte."""
        rest = io.BytesIO(data)
        try:
            told = fastavro.schemaless_reader(rest, self.form, None)
        except (EOFError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"no such payload: {error}") from error
        if rest.read(1):
            raise ValueError("bytes behind the payload")
        return dict(told)


@cache
def payload_of(type_: str) -> Payload | None:
    """None: the type carries none."""
    if type_ not in PAYLOADS:
        return None
    text = (folder() / "audit" / f"{type_}.avsc").read_bytes()
    return Payload(hashlib.sha256(text).digest(), fastavro.parse_schema(json.loads(text)))


def check(event: Event) -> None:
    """Raises AuditError for what can't be said."""
    if event.type not in TYPES:
        raise AuditError(f'the audit log knows no type "{event.type}"', "SPEC of types: schemas/metric_event.avsc")
    if (event.payload is None) != (event.type not in PAYLOADS):
        raise AuditError(
            f"{event.type}: {'a payload is missing' if event.payload is None else 'it carries no payload'}"
        )
    for number in (event.tick, event.attempt, event.duration_ns, event.artifact_count, event.queue_size):
        if number is not None and not (isinstance(number, int) and 0 <= number < 1 << 62):
            raise AuditError(f"{event.type}: {number!r} is no number from 0 on")


class Writer:
    """The records of one run, as bytes, each hanging on the one before it. Written from parts, since every call waits for it; a test holds
    it against the schema."""

    def __init__(self, topic: str, producer_id: str, run_id: bytes, boot_id: bytes, first_link: bytes) -> None:
        self.seq, self.prev = 0, first_link
        self._start = hashlib.sha256(preimage_start(topic, run_id))
        who = avro_bytes(producer_id.encode()) + run_id
        spec = header("metric_event") + zigzag(SPEC)
        self._heads = {name: spec + zigzag(number) + who for number, name in enumerate(TYPES, 1)}
        self._states = {name: boot_id + zigzag(number) for number, name in enumerate(CLOCK_STATES)}

    def record(self, event: Event, at: Moment, clock_state: str) -> bytes:
        """The next record; it counts once `advance` says that it is kept."""
        (
            type_,
            tick,
            job_id,
            attempt,
            success,
            duration_ns,
            artifacts,
            queue_size,
            node_id,
            target_id,
            error,
            payload,
        ) = event
        form = payload_of(type_)
        body = b"".join(
            (
                self._heads[type_],
                _NULL if tick is None else _SOME + zigzag(tick),
                _NULL if job_id is None else _SOME + avro_bytes(job_id.encode()),
                _NULL if attempt is None else _SOME + zigzag(attempt),
                _NULL if success is None else _TRUE if success else _FALSE,
                _NULL if duration_ns is None else _SOME + zigzag(duration_ns),
                zigzag(artifacts),
                _NULL if queue_size is None else _SOME + zigzag(queue_size),
                _NULL if node_id is None else _SOME + avro_bytes(node_id.encode()),
                _NULL if target_id is None else _SOME + avro_bytes(target_id.encode()),
                _NULL if error is None else _SOME + avro_bytes(error.encode()),
                zigzag(at.wall_ns),
                zigzag(at.mono_ns),
                zigzag(at.boot_ns),
                self._states[clock_state],
                NO_PAYLOAD if form is None else form.sha256,
                _EMPTY if form is None or payload is None else avro_bytes(form.encode(payload)),
                self.seq.to_bytes(8, "big"),
                self.prev,
            )
        )
        hashed = self._start.copy()
        hashed.update(body)
        return body + hashed.digest()

    def advance(self, value: bytes) -> None:
        """The record is in the spool: the next one hangs on it."""
        self.seq, self.prev = self.seq + 1, value[-HASH_BYTES:]


_NULL, _SOME, _TRUE, _FALSE, _EMPTY = b"\x00", b"\x02", b"\x02\x01", b"\x02\x00", b"\x00"


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Integers above 2^53 - 1 must be given as strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
