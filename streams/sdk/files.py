"""Artifacts from files: JSON, JSONL, CSV, and folders of text. Pure but for reading them."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
_NUMBERS = ("confidence", "threat_level", "opportunity_value")


def read_artifacts(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(where it stands, fields) of each artifact in a file, a folder of text files, or standard input (`-`: JSONL).

    Raises ArtifactError naming the file and line.
    """
    if path == "-":
        yield from _jsonl("standard input", sys.stdin)
        return
    target = Path(path)
    if target.is_dir():
        for file in sorted(p for p in target.rglob("*") if p.is_file() and not p.name.startswith(".")):
            yield str(file), _text(file)
        return
    suffix = target.suffix.lower()
    try:
        if suffix == ".jsonl":
            with target.open(encoding="utf-8") as lines:
                yield from _jsonl(path, lines)
        elif suffix == ".json":
            data = json.loads(target.read_text(encoding="utf-8"))
            for number, item in enumerate(data if isinstance(data, list) else [data], 1):
                yield f"{path}[{number}]", _fields(item, f"{path}[{number}]")
        elif suffix == ".csv":
            with target.open(encoding="utf-8", newline="") as table:
                for number, row in enumerate(csv.DictReader(table), 2):
                    yield f"{path}:{number}", _csv_row(row, f"{path}:{number}")
        else:
            yield path, _text(target)
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{path}: not UTF-8 at byte {error.start}", "convert it first: iconv -t UTF-8") from error
    except json.JSONDecodeError as error:
        raise ArtifactError(f"{path}:{error.lineno}: not JSON: {error.msg}") from error


def _jsonl(name: str, lines: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield f"{name}:{number}", _fields(json.loads(line), f"{name}:{number}")
            except json.JSONDecodeError as error:
                raise ArtifactError(f"{name}:{number}: not JSON: {error.msg} at character {error.colno}") from error


def _fields(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ArtifactError(
            f"{where}: {type(item).__name__}, expected an object with the artifact's fields",
            f"known: {', '.join(FIELDS)}",
        )
    return item


def _csv_row(row: dict[str | Any, str | Any], where: str) -> dict[str, Any]:
    """Columns named like fields are fields, others are metadata."""
    if None in row:
        raise ArtifactError(f"{where}: more cells than columns")
    fields: dict[str, Any] = {"metadata": {}}
    for name, value in row.items():
        if not value:
            continue
        if name in _NUMBERS:
            try:
                fields[name] = float(value)
            except ValueError as error:
                raise ArtifactError(f"{where}: {name} is {value!r}; it must be a number") from error
        elif name in FIELDS and name != "metadata":
            fields[name] = value
        else:
            fields["metadata"][name] = value
    return fields


def _text(file: Path) -> dict[str, Any]:
    try:
        content = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ArtifactError(f"{file}: not UTF-8 at byte {error.start}", "leave it out, or convert it first") from error
    return {
        "content": content,
        "content_type": TEXT_TYPES.get(file.suffix.lower(), "text"),
        "source": file.absolute().as_uri(),
        "metadata": {"source_type": "file", "collection_method": "read"},
    }
