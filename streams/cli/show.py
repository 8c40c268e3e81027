"""Tables for people, JSON for pipes, progress for waiting. Shared by all commands."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")


def network() -> tuple[Any, Any]:
    """(topology, settings) as the command line and the environment say."""
    from streams.settings import read_settings
    from streams.topology import load

    topology = load()
    settings = read_settings(topology)
    if settings.registry:
        from streams.registry_client import adopt_ids

        adopt_ids(topology, settings)
    return topology, settings


def say(text: str) -> None:
    """What is going on, to stderr; silent with --quiet."""
    if not os.environ.get("ICN_QUIET"):
        click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One document, indented for a terminal, compact for a pipe."""
    from streams.codec import jsonable

    click.echo(json.dumps(jsonable(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], right: Iterable[int] = (), title: str = "") -> None:
    """A plain table, columns as wide as needed; `right`: columns of numbers."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    numbers = set(right)

    def line(row: Sequence[str]) -> str:
        return "  ".join(
            c.rjust(w) if i in numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()

    if title:
        click.echo(click.style(title, bold=True))
    click.echo(click.style(line(list(header)), dim=True))
    for row in cells:
        click.echo(line(row))


def when(ms: int | None) -> str:
    """A time for people, UTC, to the millisecond."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.") + f"{ms % 1000:03d}Z"


def clip(text: str, width: int) -> str:
    """One line of at most this many characters."""
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= width else one_line[: width - 1] + "…"
