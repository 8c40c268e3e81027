"""What is read and written by hand is what Avro's library reads and writes."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import fastavro
import pytest

from streams import codec
from streams.avro import avro_bytes, slicer, zigzag
from streams.bench.load import admitted_records, artifact

WANTED = ("dedup_hash", "source_digest", "confidence", "raw_ms", "artifact_id", "node_id")
BORDERS = [
    border + step
    for bits in (0, 6, 13, 14, 20, 27, 28, 34, 41, 42, 62)
    for border in (1 << bits,)
    for step in (-1, 0, 1)
]


def written(kind: str, value: Any) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(kind), value)
    return out.getvalue()


@pytest.mark.parametrize("number", [0, *BORDERS, *(-border for border in BORDERS), (1 << 63) - 1, -(1 << 63)])
def test_a_long_is_written_as_avro_writes_it(number: int) -> None:
    assert zigzag(number) == written("long", number)


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8191, 8192, 100_000])
def test_bytes_are_written_as_avro_writes_them(length: int) -> None:
    assert avro_bytes(b"x" * length) == written("bytes", b"x" * length)


def test_a_slice_of_an_event_is_what_decoding_all_of_it_gives() -> None:
    """Also where a string's length takes two bytes or three, and at both ends of a long."""
    rng = random.Random(1)
    take, decode, encode = slicer("admitted", "facts", WANTED), codec.decoder("admitted"), codec.encoder("admitted")
    for _, value, _ in admitted_records(200, 50):
        event = decode(value)
        facts = event["facts"]
        facts |= {
            "raw_ms": rng.choice([0, -1, 63, 64, 1_800_000_000_000, (1 << 63) - 1]),
            "artifact_id": "é" * rng.choice([0, 1, 31, 32, 5_000]),
            "node_id": "n" * rng.choice([1, 63, 64, 9_000]),
            "raw_offset": rng.choice([0, 200, 1 << 40]),
        }
        value = encode(event)

        *fields, start, end = take(value)

        assert fields == [facts[name].encode() if isinstance(facts[name], str) else facts[name] for name in WANTED]
        assert value[end:] == avro_bytes(event["artifact"]), "the facts end where the artifact begins"
        assert start == codec.HEADER_BYTES


def test_an_event_cut_anywhere_within_its_facts_is_an_error() -> None:
    take = slicer("admitted", "facts", WANTED)
    value = next(iter(admitted_records(1, 1)))[1]
    end = take(value)[-1]

    for cut in range(codec.HEADER_BYTES, end):
        with pytest.raises((IndexError, ValueError, struct.error)):
            take(value[:cut])


def test_the_same_bytes_are_refused_in_the_same_words() -> None:
    """A dead letter quotes them, and replay compares it byte for byte: nothing of where a process had it in its memory."""
    whole, decode, refused = codec.encoder("artifact")(artifact(1)), codec.decoder("artifact"), 0
    for cut in range(len(whole)):
        told = set()
        for value in (whole[:cut], bytes(bytearray(whole[:cut]))):
            with pytest.raises(codec.Undecodable) as error:
                decode(value)
            told.add(str(error.value))
            refused += 1
        assert len(told) == 1 and " at 0x" not in told.pop()
    print(f"{refused} refusals")


def test_a_negative_length_is_an_error() -> None:
    take = slicer("admitted", "facts", WANTED)
    value = next(iter(admitted_records(1, 1)))[1]
    artifact_id = take(value)[4]

    with pytest.raises(ValueError, match="negative length"):
        take(value.replace(avro_bytes(artifact_id), zigzag(-len(artifact_id)) + artifact_id))
