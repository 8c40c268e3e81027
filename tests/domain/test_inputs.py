"""What a person gives: files, fields, formats. One bad line costs that line, and nobody sees a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streams.cli.main import of_kafka
from streams.cli.show import CELL_MIN, fit, left_after
from streams.domain.artifact import Limits
from streams.errors import ArtifactError
from streams.sdk.artifacts import make_artifact
from streams.sdk.files import read_artifacts
from streams.words import counted

LIMITS = Limits(content_max=1 << 20, metadata_max=256, metadata_bytes_max=64 << 10)


def read(path: Path) -> list[tuple[str, Any]]:
    """(line, fields or why not)."""
    return [
        (where.removeprefix(str(path)), str(found.args[0]) if isinstance(found, ArtifactError) else found)
        for where, found in read_artifacts(str(path))
    ]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"simulated": "false"}, "simulated is 'false'; it must be true or false"),
        ({"simulated": 0}, "simulated is 0"),
        ({"metadata": []}, "metadata is []; it must map strings to strings"),
        ({"metadata": 0}, "metadata is 0"),
        ({"metadata": {"a": 1}}, "metadata has 'a': 1"),
        ({"metadata": {"a": "\ud800"}}, "metadata.a holds a lone surrogate"),
        ({"metadata": {"\ud800": "a"}}, "a key of metadata holds a lone surrogate"),
        ({"content_type": ""}, "content_type has 0 characters"),
        ({"artifact_id": 0}, "artifact_id is 0; it must be a string"),
        ({"artifact_id": "\ud800"}, "artifact_id holds a lone surrogate"),
        ({"source": "https://\ud800"}, "source holds a lone surrogate at character 8"),
        ({"content": "\udc80"}, "content holds a lone surrogate"),
        ({"content": None}, "content is missing"),
        ({"confidence": 10**400}, "confidence is 1000"),
        ({"confidence": 10**5000}, "confidence is int"),
        ({"collected_at": 1 << 63}, "collected_at is 9223372036854775808; it must fit into 64 bits"),
        ({"collected_at": "yesterday"}, "collected_at is 'yesterday'"),
        ({"self": 1}, "unknown field 'self'"),
        ({"node_id": "n"}, "unknown field 'node_id'"),
    ],
)
def test_what_the_network_would_reject_is_an_artifact_error(fields: dict, words: str) -> None:
    """Field, value and what it must be; never another exception."""
    with pytest.raises(ArtifactError) as told:
        make_artifact("n1", {"content": "x"} | fields, LIMITS)

    assert str(told.value.args[0]).startswith(words)


def test_none_is_not_given_and_has_the_default() -> None:
    """As a null in JSON."""
    none = dict.fromkeys(("content_type", "metadata", "simulated", "confidence", "artifact_id", "collected_at"))
    made = make_artifact("n1", {"content": "x"} | none, LIMITS)

    assert (made["content_type"], made["metadata"], made["simulated"], made["confidence"]) == ("text", {}, False, 0.5)


def test_a_simulated_deployment_makes_each_artifact_simulated() -> None:
    """Whatever the author says."""
    assert make_artifact("n1", {"content": "x", "simulated": False}, LIMITS, simulated=True)["simulated"]


def test_a_broken_line_costs_that_line(tmp_path: Path) -> None:
    """JSONL: the others are read, each problem has its line."""
    file = tmp_path / "a.jsonl"
    deep, long = b"[" * 100_000, b'{"confidence": %s}' % (b"9" * 5000)
    file.write_bytes(b"\n".join([b'{"content": "one"}', b"{", b"\xff", deep, long, b"[]", b"", b'{"content": "two"}']))

    assert read(file) == [
        (":1", {"content": "one"}),
        (":2", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        (":3", "not UTF-8 at byte 0"),
        (":4", "JSON nested too deeply"),
        (":5", "a number has too many digits"),
        (":6", "list, expected an object with the artifact's fields"),
        (":8", {"content": "two"}),
    ]


def test_csv_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    """Byte order mark, semicolons, CRLF, true and false; a multi-line cell counts its lines."""
    file = tmp_path / "a.csv"
    rows = 'content;confidence;simulated;colour\r\n"one\r\nline";0.5;TRUE;red\r\ntwo;;false;\r\n'
    file.write_bytes(("\ufeff" + rows).encode())

    assert read(file) == [
        (":2", {"content": "one\r\nline", "confidence": 0.5, "simulated": True, "metadata": {"colour": "red"}}),
        (":4", {"content": "two", "simulated": False, "metadata": {}}),
    ]


def test_a_broken_csv_row_costs_that_row(tmp_path: Path) -> None:
    """An open quote ends it: where the next row begins can't be known."""
    file = tmp_path / "a.csv"
    file.write_bytes(b'content,confidence,simulated\na,x,\nb\xff,1,\nc,1,no\nd,1,,\ne,1,\n"f,1,\n')

    assert read(file) == [
        (":2", "confidence is 'x'; it must be a number"),
        (":3", "content is not UTF-8"),
        (":4", "simulated is 'no'; it must be true or false"),
        (":5", "4 cells, but 3 columns"),
        (":6", {"content": "e", "confidence": 1.0, "metadata": {}}),
        (":7", "not CSV: a quote is not closed"),
    ]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("text,confidence", "no column `content`; found: text, confidence"),
        ("content,a,a", "column `a` is there twice"),
        ("content,metadata", "a column can't be `metadata`"),
    ],
)
def test_a_csv_header_is_judged_once(tmp_path: Path, header: str, words: str) -> None:
    """Not once a row."""
    file = tmp_path / "a.csv"
    file.write_text(f"{header}\n1,2\n3,4\n")

    assert read(file) == [(":1", words)]


@pytest.mark.parametrize(
    ("name", "text"), [("a.jsonl", "\n"), ("a.json", "[]"), ("a.json", ""), ("a.csv", "content\n"), ("a.txt", "")]
)
def test_an_empty_file_is_told(tmp_path: Path, name: str, text: str) -> None:
    """Silence would look like success."""
    (tmp_path / name).write_text(text)

    assert read(tmp_path / name) == [("", "nothing in it")]


def test_a_binary_file_in_a_folder_costs_that_file(tmp_path: Path) -> None:
    """Hidden ones are left out, also in hidden folders."""
    assert read(tmp_path) == [("", "nothing in it")]
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("hidden")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.bin").write_bytes(b"\x00\xff")
    (tmp_path / "c.txt").write_text("two")
    found = read(tmp_path)

    assert [where for where, _ in found] == ["/a.txt", "/b.bin", "/c.txt"]
    assert found[1][1] == "not UTF-8 at byte 1"


def test_a_table_fits_into_its_terminal_as_long_as_it_says_something() -> None:
    """The widest column gives way first; numbers keep their digits."""
    assert fit([4, 36, 10], [4, CELL_MIN, CELL_MIN], 80) == [4, 36, 10]
    assert fit([4, 36, 10], [4, CELL_MIN, CELL_MIN], 40) == [4, 22, 10]
    assert fit([9, 36, 10], [9, CELL_MIN, CELL_MIN], 10) == [9, CELL_MIN, CELL_MIN]


def test_a_table_that_leaves_out_columns_leaves_out_as_few_as_it_must() -> None:
    """Two between each; the least important first, and what is not spare never."""
    needed, spare = [30, 6, 10, 20], (3, 1)
    assert left_after(needed, spare, None) == left_after(needed, spare, 72) == [0, 1, 2, 3]
    assert left_after(needed, spare, 71) == left_after(needed, spare, 50) == [0, 1, 2]
    assert left_after(needed, spare, 49) == left_after(needed, spare, 10) == [0, 2]


def test_one_is_not_a_plural() -> None:
    """1 node, 0 nodes."""
    assert [counted(n, "node") for n in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("COORDINATOR_LOAD_IN_PROGRESS", "try again in a moment"),
        ("UNKNOWN_TOPIC_OR_PART", "icn topics apply"),
        ("_TRANSPORT", "broker"),
    ],
)
def test_what_kafka_raises_is_one_line_with_a_hint(code: str, hint: str) -> None:
    """Also where nobody expected it."""
    from confluent_kafka import KafkaError, KafkaException

    told = of_kafka(KafkaException(KafkaError(getattr(KafkaError, code))))

    assert str(told.args[0]).startswith("Kafka: ")
    assert hint in told.hint
