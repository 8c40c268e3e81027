"""A file of targets, for `icn target import`: CSV with a header, or JSONL."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streams.broker.targets import check
from streams.domain.targets import Target
from streams.errors import IcnError
from streams.units import duration_ms

WRONG_SHOWN = 20
FIELDS = ("type", "location", "priority", "interval", "retry", "metadata")


def read_targets(file: Path) -> list[Target]:
    """All, or IcnError with the lines that are wrong. In CSV, columns of other names are metadata."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise IcnError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    rows = _jsonl(file, text) if file.suffix.lower() == ".jsonl" else _csv(file, text)
    found, wrong = [], []
    for where, row in rows:
        try:
            found.append(_target(row))
            check(found[-1])
        except (ValueError, TypeError, KeyError, IcnError) as error:
            wrong.append(f"{where}: {error.args[0]}")
    if wrong:
        more = f"\nand {len(wrong) - WRONG_SHOWN} more" if len(wrong) > WRONG_SHOWN else ""
        raise IcnError(
            "\n".join(wrong[:WRONG_SHOWN]) + more, f"a target has {', '.join(FIELDS)}; the first two are needed"
        )
    if not found:
        raise IcnError(f"{file}: nothing in it", "a header, then one target a line")
    return found


def _jsonl(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise IcnError(f"{file}:{number}: not JSON: {error}") from error
        if not isinstance(row, dict):
            raise IcnError(f"{file}:{number}: an object was expected")
        if unknown := [name for name in row if name not in FIELDS]:
            raise IcnError(f'{file}:{number}: no field "{unknown[0]}"', f"there are: {', '.join(FIELDS)}")
        yield f"{file}:{number}", row


def _csv(file: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    try:
        for row in reader:
            if None in row:
                raise IcnError(f"{file}:{reader.line_num}: more cells than columns")
            metadata = {name: cell for name, cell in row.items() if name not in FIELDS and cell}
            yield (
                f"{file}:{reader.line_num}",
                {k: v for k, v in row.items() if k in FIELDS and v} | {"metadata": metadata},
            )
    except csv.Error as error:
        raise IcnError(f"{file}:{reader.line_num}: not CSV: {error}") from error


def _target(row: Mapping[str, Any]) -> Target:
    for name in ("type", "location"):
        if not isinstance(row.get(name), str) or not row[name]:
            raise ValueError(f"{name} is missing")
    metadata = row.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise ValueError("metadata must map strings to strings")
    try:
        priority = int(row.get("priority", 5))
    except ValueError:
        raise ValueError(f"priority {row['priority']!r}: a whole number from 1 to 10 was expected") from None
    return Target(
        row["type"],
        row["location"],
        priority,
        duration_ms(str(row.get("interval", "1h"))),
        duration_ms(str(row.get("retry", "5m"))),
        tuple(sorted((str(name), str(value)) for name, value in metadata.items())),
    )
