"""Artifacts from files: JSON, JSONL, CSV, and folders of text. Pure but for reading them."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from streams.errors import ArtifactError
from streams.sdk.artifacts import FIELDS

TEXT_TYPES = {
    ".txt": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".py": "code",
    ".c": "code",
    ".js": "code",
    ".go": "code",
    ".rs": "code",
    ".sh": "code",
    ".csv": "data",
    ".xml": "data",
    ".yaml": "data",
    ".yml": "data",
}
GROWS = (".jsonl", ".csv")  # a line an artifact: what is appended is new, the rest is not
_NUMBERS = ("confidence", "threat_level", "opportunity_value")
_CELL_MAX = 1 << 24  # characters; Python's own limit is less than what `content` may have
NOT_UTF8 = "convert it first (iconv -t UTF-8), or leave it out"
Found = Iterator[tuple[str, dict[str, Any] | ArtifactError]]


def read_artifacts(path: str, data: bytes | None = None) -> Found:
    """(where it stands, fields) of each artifact in a file, a folder of text files, or standard input (`-`: JSONL).

    What can't be read is yielded as ArtifactError: one bad line must not cost the rest. data: the file's bytes, where they are at hand; its
    name says what they are.
    """
    nothing = True
    for found in _found(path) if data is None else _of(path, data):
        nothing = False
        yield found
    if nothing:
        yield ("standard input" if path == "-" else path), ArtifactError("nothing in it")


def _found(path: str) -> Found:
    if path == "-":
        yield from _jsonl("standard input", sys.stdin.buffer)
        return
    target = Path(path)
    if target.is_dir():
        for file in sorted(target.rglob("*")):
            hidden = any(part.startswith(".") for part in file.relative_to(target).parts)
            if file.is_file() and not hidden:
                yield str(file), _text(file)
        return
    try:
        if target.suffix.lower() in GROWS:
            with target.open("rb") as lines:
                yield from _lines(path, lines)
        else:
            yield from _of(path, target.read_bytes())
    except OSError as error:
        yield path, ArtifactError(f"can't be read: {error.strerror}")


def _of(path: str, data: bytes) -> Found:
    """What bytes are is in their file's name."""
    suffix = Path(path).suffix.lower()
    if suffix in GROWS:
        yield from _lines(path, io.BytesIO(data))
    elif suffix == ".json":
        yield from _json(path, data)
    elif (text := _decoded(Path(path), data)) and (isinstance(text, ArtifactError) or text["content"]):
        yield path, text


def _lines(path: str, lines: BinaryIO) -> Found:
    if Path(path).suffix.lower() == ".jsonl":
        yield from _jsonl(path, lines)
    else:
        # surrogateescape: the one row that is not UTF-8 is found below, the others are read
        table = io.TextIOWrapper(lines, encoding="utf-8-sig", errors="surrogateescape", newline="")
        yield from _csv(path, table)
        table.detach()


def _jsonl(name: str, lines: Iterable[bytes]) -> Found:
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield f"{name}:{number}", _fields(_parsed(line.rstrip()))


def _json(name: str, data: bytes) -> Found:
    if data.strip():
        parsed = _parsed(data)
        for number, item in enumerate(parsed if isinstance(parsed, list) else [parsed], 1):
            yield f"{name}[{number}]", _fields(item)


def _parsed(data: bytes) -> Any:
    """JSON as Python has it, or the ArtifactError that says why not."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return _not_utf8(error.start)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        return ArtifactError(f"not JSON: {error.msg} at {line}character {error.colno}")
    except RecursionError:
        return ArtifactError("JSON nested too deeply", "an artifact is one flat object; only metadata is another in it")
    except ValueError:  # Python reads no integer of more than 4300 digits
        return ArtifactError("a number has too many digits", "the ranges are in docs/nodes.md")


def _fields(item: Any) -> dict[str, Any] | ArtifactError:
    if isinstance(item, dict | ArtifactError):
        return item
    return ArtifactError(
        f"{type(item).__name__}, expected an object with the artifact's fields", f"known: {', '.join(FIELDS)}"
    )


def _csv(name: str, lines: TextIO) -> Found:
    csv.field_size_limit(_CELL_MAX)
    first = lines.readline()
    if not first.strip():
        return
    # spreadsheets write `;` where the decimal sign is a comma
    delimiter = ";" if first.count(";") > first.count(",") else ","
    header = [column.strip() for column in next(csv.reader([first], delimiter=delimiter))]
    if problem := _header_problem(header):
        yield f"{name}:1", problem
        return
    rows = csv.reader(lines, delimiter=delimiter, strict=True)  # else an open quote swallows the rest of the file
    while True:
        where = f"{name}:{rows.line_num + 2}"
        try:
            row = next(rows, None)
        except csv.Error as error:
            open_quote = "a quote is not closed" if "unexpected end" in str(error) else error
            yield where, ArtifactError(f"not CSV: {open_quote}", "nothing from here to the next row was sent")
            continue
        if row is None:
            return
        if row:
            yield where, _csv_row(header, row)


def _header_problem(header: list[str]) -> ArtifactError | None:
    twice = [column for column in header if header.count(column) > 1]
    if "content" not in header:
        return ArtifactError(f"no column `content`; found: {', '.join(header)}", f"known: {', '.join(FIELDS)}")
    if twice:
        return ArtifactError(f"column `{twice[0]}` is there twice")
    if "metadata" in header:
        return ArtifactError("a column can't be `metadata`", "give each of its keys a column of its own")
    return None


def _csv_row(header: list[str], row: list[str]) -> dict[str, Any] | ArtifactError:
    """Columns named like fields are fields, others are metadata. An empty cell is not given."""
    if len(row) > len(header):
        return ArtifactError(f"{len(row)} cells, but {len(header)} columns", "put text with the delimiter in quotes")
    for column, cell in zip(header, row, strict=False):
        if any("\udc80" <= c <= "\udcff" for c in cell):
            return ArtifactError(f"{column} is not UTF-8", NOT_UTF8)
    fields: dict[str, Any] = {"metadata": {}}
    for column, cell in zip(header, row, strict=False):
        if not cell:
            continue
        if column not in FIELDS:
            fields["metadata"][column] = cell
        elif (value := _typed(column, cell)) is None:
            kind = "true or false" if column == "simulated" else "a number"
            return ArtifactError(f"{column} is {cell[:60]!r}; it must be {kind}")
        else:
            fields[column] = value
    return fields


def _typed(column: str, cell: str) -> Any:
    """A cell as its field wants it: CSV knows only text. None: it can't be that."""
    if column in _NUMBERS:
        try:
            return float(cell)
        except ValueError:
            return None
    if column == "simulated":
        return {"true": True, "false": False}.get(cell.strip().lower())
    if column == "collected_at" and len(cell) > 8 and cell.isdecimal():  # 8 digits are an ISO date
        return int(cell[:20])
    return cell


def _text(file: Path) -> dict[str, Any] | ArtifactError:
    try:
        return _decoded(file, file.read_bytes())
    except OSError as error:
        return ArtifactError(f"can't be read: {error.strerror}")


def _decoded(file: Path, data: bytes) -> dict[str, Any] | ArtifactError:
    try:
        content = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(error.start)
    return {
        "content": content,
        "content_type": TEXT_TYPES.get(file.suffix.lower(), "text"),
        "source": file.absolute().as_uri(),
        "metadata": {"source_type": "file", "collection_method": "read"},
    }


def _not_utf8(at: int) -> ArtifactError:
    return ArtifactError(f"not UTF-8 at byte {at}", NOT_UTF8)
