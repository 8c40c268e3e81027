"""Avro's rules of schema resolution, as a table: what a reader may differ in from the writer."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from streams import codec
from streams.broker.compatibility import compatible, graph


def record(*fields: Any, name: str = "icn.R", **more: Any) -> dict[str, Any]:
    """A record schema. A field: (name, type), (name, type, default) or (name, type, default, aliases)."""
    made = [dict(zip(FIELD, field, strict=False)) for field in fields]
    return {"type": "record", "name": name, "fields": made} | more


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    """An enum schema."""
    return {"type": "enum", "name": "icn.E", "symbols": list(symbols)} | more


def fixed(size: int, name: str = "icn.F", **more: Any) -> dict[str, Any]:
    """A fixed schema."""
    return {"type": "fixed", "name": name, "size": size} | more


def linked(value: Any, name: str = "icn.L") -> dict[str, Any]:
    """A list node: a record that contains itself."""
    return record(("value", value), ("next", ["null", name]), name=name)


FIELD = ("name", "type", "default", "aliases")
ARRAY, MAP = {"type": "array", "items": "int"}, {"type": "map", "values": "int"}

READABLE = {  # what differs -> (reader, writer)
    "nothing differs": ("string", "string"),
    "int read as long": ("long", "int"),
    "int read as float": ("float", "int"),
    "int read as double": ("double", "int"),
    "long read as double": ("double", "long"),
    "float read as double": ("double", "float"),
    "string read as bytes": ("bytes", "string"),
    "bytes read as string": ("string", "bytes"),
    "a logical type": ("long", {"type": "long", "logicalType": "timestamp-millis"}),
    "a new field with a default": (record(("a", "int"), ("b", "int", 0)), record(("a", "int"))),
    "a new field whose default is null": (record(("b", ["null", "int"], None)), record()),
    "a field gone": (record(), record(("a", "int"))),
    "fields in another order": (record(("a", "int"), ("b", "int")), record(("b", "int"), ("a", "int"))),
    "a field renamed by an alias": (record(("new", "long", 0, ["old"])), record(("old", "int"))),
    "a record renamed by an alias": (record(name="icn.New", aliases=["R"]), record(name="icn.R")),
    "a record in another namespace": (record(name="new.R"), record(name="old.R")),
    "an enum that knows more": (enum("a", "b"), enum("a")),
    "an unknown symbol and a default": (enum("a", default="a"), enum("a", "b")),
    "the same fixed": (fixed(8), fixed(8)),
    "items promoted": ({"type": "array", "items": "long"}, ARRAY),
    "values promoted": ({"type": "map", "values": "long"}, MAP),
    "a wider union": (["null", "int", "string"], ["null", "int"]),
    "a type becomes a union with it": (["null", "int"], "int"),
    "a type becomes a union with a wider one": (["null", "long"], "int"),
    "a union of one becomes its type": ("long", ["int"]),
    "branches in another order": (["int", "null"], ["null", "int"]),
    "a record in a union": (["null", record(("a", "long"))], record(("a", "int"))),
    "a record that contains itself": (linked("long"), linked("int")),
    "a named type used twice": (record(("a", fixed(8)), ("b", "F")), record(("a", fixed(8)), ("b", "icn.F"))),
}

UNREADABLE = {  # what differs -> (reader, writer, each sentence)
    "long read as int": ("int", "long", ["int: written as long, can't be read as int"]),
    "double read as long": ("long", "double", ["long: written as double, can't be read as long"]),
    "float read as int": ("int", "float", ["int: written as float, can't be read as int"]),
    "string read as int": ("int", "string", ["int: written as string, can't be read as int"]),
    "boolean read as int": ("int", "boolean", ["int: written as boolean, can't be read as int"]),
    "a new field without default": (
        record(("a", "int"), ("b", "int")),
        record(("a", "int")),
        ["icn.R.b: not written, and the reader has no default for it"],
    ),
    "a field renamed": (
        record(("new", "int")),
        record(("old", "int")),
        ["icn.R.new: not written, and the reader has no default for it"],
    ),
    "a field's type": (
        record(("a", "int", 0)),
        record(("a", "string")),
        ["icn.R.a: written as string, can't be read as int"],
    ),
    "two fields": (
        record(("a", "int"), ("b", "int")),
        record(("a", "string")),
        [
            "icn.R.a: written as string, can't be read as int",
            "icn.R.b: not written, and the reader has no default for it",
        ],
    ),
    "a record renamed": (
        record(name="New"),
        record(name="R"),
        ["New: written as record R, the reader has record New without that alias"],
    ),
    "a record read as map": (MAP, record(), ["map: written as record icn.R, can't be read as map"]),
    "unknown symbols": (
        enum("a"),
        enum("a", "b", "c"),
        ["icn.E: the reader doesn't know b, c, and its enum has no default"],
    ),
    "a fixed of another size": (fixed(8), fixed(16), ["icn.F: written with 16 bytes, read with 8"]),
    "a fixed renamed": (
        fixed(8, "G"),
        fixed(8),
        ["G: written as fixed icn.F, the reader has fixed G without that alias"],
    ),
    "items": ({"type": "array", "items": "string"}, ARRAY, ["array[]: written as int, can't be read as string"]),
    "values": ({"type": "map", "values": "string"}, MAP, ["map{}: written as int, can't be read as string"]),
    "deep inside": (
        record(("a", {"type": "array", "items": record(("b", "int"), name="S")})),
        record(("a", {"type": "array", "items": record(("b", "string"), name="S")})),
        ["icn.R.a[].b: written as string, can't be read as int"],
    ),
    "a narrower union": (
        ["null", "int"],
        ["null", "int", "string"],
        ["union: written as string, which no branch of the reader's union reads (null, int)"],
    ),
    "a union read as one of its types": ("int", ["null", "int"], ["int: written as null, can't be read as int"]),
    "a record in a union": (
        ["null", record(("a", "int"))],
        record(("a", "string")),
        ["union.a: written as string, can't be read as int"],
    ),
    "a record that contains itself": (
        linked("int"),
        linked("long"),
        ["icn.L.value: written as long, can't be read as int"],
    ),
    "a shared type, told once": (
        record(("a", fixed(8)), ("b", "F")),
        record(("a", fixed(16)), ("b", "F")),
        ["icn.R.a: written with 16 bytes, read with 8"],
    ),
}

NOT_AVRO = {
    "an unknown type": "strin",
    "a type used but not defined": record(("a", "icn.S")),
    "a number": 5,
    "nothing": None,
    "no items": {"type": "array"},
    "no fields": {"type": "record", "name": "R"},
    "a field twice": record(("a", "int"), ("a", "int")),
    "a union in a union": ["null", ["int"]],
    "a branch twice": ["int", "int"],
    "a name that is none": record(name="1R"),
    "a type defined twice": [fixed(8), record(("a", fixed(8)))],
    "a name that is a number": fixed(8) | {"name": 1},
}


@pytest.mark.parametrize(("reader", "writer"), READABLE.values(), ids=READABLE)
def test_a_reader_may_differ_in(reader: Any, writer: Any) -> None:
    """No problems."""
    assert compatible(reader, writer) == []


@pytest.mark.parametrize(("reader", "writer", "sentences"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_reader_may_not_differ_in(reader: Any, writer: Any, sentences: list[str]) -> None:
    """Each problem is one sentence that starts with its path."""
    assert compatible(reader, writer) == sentences


@pytest.mark.parametrize("schema", NOT_AVRO.values(), ids=NOT_AVRO)
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    """A ValueError, whatever is wrong."""
    with pytest.raises(ValueError):
        graph(schema)


@pytest.mark.parametrize(("reader", "writer"), READABLE.values(), ids=READABLE)
def test_fastavro_reads_what_we_call_readable(reader: Any, writer: Any) -> None:
    """One record of the writer's, through the library that reads our topics."""
    out, written, read = io.BytesIO(), fastavro.parse_schema(writer), fastavro.parse_schema(reader)
    fastavro.schemaless_writer(out, written, _sample(graph(writer)))
    fastavro.schemaless_reader(io.BytesIO(out.getvalue()), written, read)


PRIMITIVE = {
    "null": None,
    "boolean": True,
    "int": 7,
    "long": 7,
    "float": 0.5,
    "double": 0.5,
    "bytes": b"x",
    "string": "x",
}


def _sample(node: dict[str, Any]) -> Any:
    match node["type"]:
        case "record":
            return {field["name"]: _sample(field["type"]) for field in node["fields"]}
        case "union":
            return _sample(node["branches"][0])
        case "enum":
            return node["symbols"][-1]
        case "fixed":
            return bytes(node["size"])
        case "array":
            return [_sample(node["items"])]
        case "map":
            return {"key": _sample(node["values"])}
    return PRIMITIVE[node["type"]]


def test_a_hope_that_failed_is_given_up() -> None:
    """B contains A and is judged while A still is; A fails unnoticed, as another branch reads it; B must fail too."""
    ours = record(("b", record(("a", ["null", "new.A"]), name="new.B")), ("leaf", "int"), name="new.A")
    theirs = record(("b", record(("a", ["null", "old.A"]), name="old.B")), ("leaf", "string"), name="old.A")
    reader = record(("x", [ours, record(name="other.A")]), ("y", "new.B"), name="Top")
    writer = record(("x", theirs), ("y", "old.B"), name="Top")
    assert compatible(reader, writer) == ["Top.x.leaf: written as string, can't be read as int"]


def test_a_failed_try_in_a_union_is_remembered() -> None:
    """R is rejected in a union where another branch fits; read on its own, it is still unreadable."""
    ours, theirs = record(("x", "int"), name="new.R"), record(("x", "string"), name="old.R")
    fits = record(("x", "string"), name="other.R")
    reader = record(("either", [ours, fits]), ("alone", "new.R"), name="Top")
    writer = record(("either", theirs), ("alone", "old.R"), name="Top")
    assert compatible(reader, writer) == ["Top.either.x: written as string, can't be read as int"]


def test_many_paths_to_one_type_take_no_time() -> None:
    """Thirty levels, each using the next twice: 2^30 paths, thirty pairs."""
    schema: Any = "int"
    for level in range(30):
        below = schema if level == 0 else f"R{level - 1}"
        schema = record(("a", schema), ("b", below), name=f"R{level}")
    assert compatible(schema, schema) == []


@pytest.mark.parametrize("name", codec.ids())
def test_every_event_reads_itself(name: str) -> None:
    """Each schema of the network."""
    assert compatible(codec.schema(name), codec.schema(name)) == []
