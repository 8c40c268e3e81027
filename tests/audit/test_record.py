"""A record's bytes: what the schema says, in a chain that hangs on the manifest."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from streams.audit.layout import PREV, SEQ, entry, first_link, record_hash
from streams.audit.record.events import PAYLOADS, TYPES, Event, Writer, check, payload_of
from streams.audit.record.log import AuditLog
from streams.audit.record.spool import Segment
from streams.clock import Moment
from streams.codec import decoder, encoder
from streams.errors import AuditError

TOPIC, RUN, BOOT = "icn.metrics", bytes(range(16)), bytes(16)
AT = Moment(1_800_000_000_000_000_000, 5, 6)
FULL = Event("tick_completed", 7, "job", 2, True, 10**9, 3, 0, "node-ü", "target", "why")
SAMPLES = {
    "process_start": {"manifest": "{}"}, "process_exit": {"code": 0, "signature": bytes(64)},
    "process_crash": {"child": "s1", "pid": 1, "code": -9}, "methodology": {"text": "{}"},
    "operator_action": {"who": "me", "what": "icn", "why": ""},
    "resource_sample": {"process": "s1", "cpu_ns": 1, "rss_bytes": 2, "open_files": 3, "disk_free_bytes": 4},
    "seal": {"origin": "o", "size": 1, "root": bytes(32), "note_sha256": bytes(32)}, "run_summary": {"text": "{}"},
}  # fmt: skip


@pytest.mark.parametrize(
    "event", [FULL, Event("exception"), *(Event(t, payload=p) for t, p in SAMPLES.items())], ids=lambda e: e.type
)
def test_the_bytes_written_from_parts_are_those_of_the_schema(event: Event) -> None:
    """Decoded, and encoded again by the Avro library: the same bytes."""
    value = Writer(TOPIC, "p-ü", RUN, BOOT, bytes(32)).record(event, AT, "SYNCED")
    decoded = decoder("metric_event")(value)

    assert encoder("metric_event")(decoded) == value
    assert {k: decoded[k] for k in event._fields if k != "payload"} == {
        k: v for k, v in event._asdict().items() if k != "payload"
    }
    form = payload_of(event.type)
    assert decoded["payload"] == (form.encode(event.payload) if form and event.payload else b"")
    assert (decoded["producer_id"], decoded["wall_ns"], decoded["clock_state"]) == ("p-ü", AT.wall_ns, "SYNCED")


def test_the_types_are_a_closed_set_and_each_payload_has_its_schema() -> None:
    """34 types; eight carry more than the envelope."""
    assert len(TYPES) == 34 and set(PAYLOADS) == set(SAMPLES) and set(PAYLOADS) <= set(TYPES)


@pytest.mark.parametrize(
    "event",
    [Event("party"), Event("unknown"), Event("methodology"), Event("exception", payload={}), Event("tick_started", tick=-1),
     Event("tick_started", tick=1 << 62), Event("tick_started", duration_ns=1.5)],  # type: ignore[arg-type]
)  # fmt: skip
def test_what_can_not_be_said_is_refused(event: Event) -> None:
    """Unknown types, missing and surplus payloads, numbers below zero or none."""
    with pytest.raises(AuditError):
        check(event)


def frames(folder: Path) -> list[bytes]:
    """All records in a producer's spool."""
    segments = sorted((Segment(path) for path in folder.glob("*.spool")), key=lambda s: s.number)
    return [frame.value for segment in segments for frame in segment.frames(0)]


def test_a_run_is_a_chain_from_its_manifest_to_its_exit(tmp_path: Path) -> None:
    """seq without holes, prev_hash of the one before; a second run names the first one's end."""
    for number in range(2):
        with AuditLog(
            tmp_path, "p", TOPIC, manifest={"n": number}, methodology={"formula": "v1"}, producer=None
        ) as log:
            log.write(FULL)
            log.write(Event("party"))
    values = frames(tmp_path / "p")
    decoded = [decoder("metric_event")(value) for value in values]

    assert [d["type"] for d in decoded] == [
        "process_start",
        "methodology",
        "tick_completed",
        "exception",
        "process_exit",
    ] * 2
    assert 'no type "party"' in decoded[3]["error"]
    for start in (0, 5):
        run = values[start : start + 5]
        key = decoded[start]["run_id"]
        manifest = payload_manifest(decoded[start]["payload"])
        assert [int.from_bytes(value[SEQ], "big") for value in run] == [0, 1, 2, 3, 4]
        assert run[0][PREV] == first_link(key, manifest)
        assert [value[PREV] for value in run[1:]] == [value[-32:] for value in run[:-1]]
        assert [record_hash(TOPIC, key, value) for value in run] == [value[-32:] for value in run]
    previous = json.loads(payload_manifest(decoded[5]["payload"]))["previous"]
    assert previous == {"run_id": decoded[0]["run_id"].hex(), "seq": 4, "record_hash": values[4][-32:].hex()}


def payload_manifest(payload: bytes) -> bytes:
    """Its only field is a string."""
    import io

    import fastavro

    form = payload_of("process_start")
    assert form is not None
    return fastavro.schemaless_reader(io.BytesIO(payload), form.form, None)["manifest"].encode()


def test_an_entry_of_the_tree_commits_to_place_time_and_bytes() -> None:
    """81 bytes; anything else there gives another entry; what is no record is sealed too."""
    value = Writer(TOPIC, "p", RUN, BOOT, bytes(32)).record(FULL, AT, "SYNCED")
    one = entry(TOPIC, 1, 2, 1, 3, RUN, value)
    others = {
        entry("other", 1, 2, 1, 3, RUN, value), entry(TOPIC, 0, 2, 1, 3, RUN, value), entry(TOPIC, 1, 3, 1, 3, RUN, value),
        entry(TOPIC, 1, 2, 0, 3, RUN, value), entry(TOPIC, 1, 2, 1, 4, RUN, value), entry(TOPIC, 1, 2, 1, 3, BOOT, value),
        entry(TOPIC, 1, 2, 1, 3, RUN, value[:9] + b"x" + value[10:]), entry(TOPIC, 1, 2, 1, 3, None, value),
        entry(TOPIC, 1, 2, 1, 3, RUN, None), entry(TOPIC, 1, 2, 1, 3, RUN, b""), entry(TOPIC, 1, 2, 1, 3, RUN, b"garbage"),
    }  # fmt: skip

    assert len(one) == 81 and len(others - {one}) == 11
    assert (
        hashlib.sha256(b"icn/audit/record/v1\n" + b"\0\0\0\x0bicn.metrics" + b"\0\0\0\x10" + RUN + value[:-32]).digest()
        == one[-32:]
    )
