"""schemas/: every event documented, sampled, and never changed without a new id."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from streams import codec
from streams.agents import receipts
from streams.avro import avro_bytes, zigzag
from streams.broker.compatibility import compatible
from streams.topology import load

NAMES = sorted(codec.ids())
FOLDER = codec.folder()


def fields_of(schema: Any) -> list[dict[str, Any]]:
    """All fields, nested records' too."""
    if isinstance(schema, list):
        return [field for item in schema for field in fields_of(item)]
    if not isinstance(schema, dict):
        return []
    own = schema.get("fields", [])
    return [
        *own,
        *(f for field in own for f in fields_of(field["type"])),
        *fields_of(schema.get("items")),
        *fields_of(schema.get("values")),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_each_event_has_a_sample_that_survives_the_wire(name: str) -> None:
    """schemas/samples/<name>.json: encoded, decoded, the same."""
    sample = codec.from_jsonable(codec.schema(name), json.loads((FOLDER / "samples" / f"{name}.json").read_text()))

    assert sample == codec.decoder(name)(codec.encoder(name)(sample))


@pytest.mark.parametrize("name", NAMES)
def test_each_field_says_what_it_means(name: str) -> None:
    """A doc of its own; durations and times with their unit; nothing named after a type."""
    schema = codec.schema(name)

    assert schema["doc"]
    for field in fields_of(schema):
        assert field.get("doc"), f"{name}.{field['name']} has no doc"
        if field["name"].endswith("_ms"):
            assert "ms" in field["doc"], f"{name}.{field['name']} doesn't name its unit"
        assert "logicalType" not in field, f"{name}.{field['name']}: logicalType belongs inside the type"


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_schema_has_a_new_id(name: str) -> None:
    """schemas/ids.yaml holds the fingerprint of what was published under each id."""
    assert codec.ids()[name]["fingerprint"] == codec.schema_fingerprint(codec.schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_new_reader_can_read_what_old_writers_wrote(name: str) -> None:
    """BACKWARD: the current schema against each older one in schemas/old."""
    for older in codec.ids()[name].get("before", ()):
        before = json.loads((FOLDER / "old" / f"{name}-{older}.avsc").read_text())
        assert compatible(codec.schema(name), before) == []


def test_ids_are_unique_and_every_schema_has_one() -> None:
    """A reused id would make old records unreadable."""
    used = [number for entry in codec.ids().values() for number in (entry["id"], *entry.get("before", ()))]

    assert len(used) == len(set(used))
    assert sorted(path.stem for path in FOLDER.glob("*.avsc")) == NAMES


def test_every_topic_names_a_schema_that_exists() -> None:
    """topology.yaml's `value`."""
    assert {topic.schema for topic in load().topics.values()} <= {*NAMES, "json", "note"}


def test_outcomes_written_by_hand_are_what_avro_writes() -> None:
    """The receipts' fast path against fastavro."""
    elements = [
        receipts.outcome(b"a-1", "admitted", 5),
        receipts.outcome(b"a-2", "rejected", 70_000, "quota_exceeded", "late"),
        receipts.outcome(b"a-3", "upgraded", 1 << 40, canonical_id=b"a-0", version=300),
    ]
    writer = receipts.Receipts(None, None)  # type: ignore[arg-type]
    writer.add_decided(b"n", b"a-3", "upgraded", zigzag(1 << 40), avro_bytes(b"a-0"), zigzag(300))
    assert writer.outcomes[b"n"] == elements[2:]
    head = codec.encoder("receipt")(
        {
            "node_id": "n",
            "stage": "s2_dedup",
            "status": "normal",
            "quota_left": 3,
            "retry_after_ms": None,
            "suggestions": ["rest"],
            "rule": bytes(8),
            "topic": "t",
            "partition": 1,
            "outcomes": [],
        }
    )

    decoded = codec.decoder("receipt")(head[:-1] + zigzag(3) + b"".join(elements) + b"\0")["outcomes"]

    assert [tuple(o.values()) for o in decoded] == [
        ("a-1", "admitted", 5, None, None, None, None, None),
        ("a-2", "rejected", 70_000, "quota_exceeded", "late", None, None, None),
        ("a-3", "upgraded", 1 << 40, None, None, "a-0", 300, None),
    ]


def test_no_registry_hosts_or_machine_paths_in_schemas() -> None:
    """Schemas are published as they are."""
    for path in FOLDER.rglob("*.avsc"):
        assert not re.search(r"/(home|root|work)/", path.read_text()), path
