"""Tables for people, JSON for pipes, progress for waiting. Shared by all commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import click

from streams.errors import BrokerError
from streams.words import columns, printable

REACH_S = 4  # a broker that restarts is back by then
CELL_MIN = 4  # narrower says nothing

_MOVES = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")  # controls and directions that JSON lets stand

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")


def network(broker: bool = True) -> tuple[Any, Any]:
    """(topology, settings) as the command line and the environment say. `broker`: the command needs one that answers."""
    from streams.settings import read_settings
    from streams.topology import load

    topology = load()
    settings = read_settings(topology)
    if broker:
        reach(settings.require_brokers())
    if settings.registry:
        from streams.registry_client import adopt_ids

        adopt_ids(topology, settings)
    return topology, settings


def reach(brokers: str) -> None:
    """Wait until one of the brokers takes a connection. Raises BrokerError: librdkafka would ask each for a minute."""
    addresses = [_address(broker) for broker in brokers.split(",")]
    deadline = time.monotonic() + REACH_S
    while True:
        for address in addresses:
            try:
                socket.create_connection(address, REACH_S / len(addresses)).close()
                return
            except (OSError, UnicodeError):  # UnicodeError: no host can be called so
                continue
        if time.monotonic() > deadline:
            raise BrokerError(f"can't reach {brokers}", broker_hint())
        time.sleep(0.2)


def _address(broker: str) -> tuple[str, int]:
    host, _, port = broker.strip().rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise BrokerError(f"no broker can be at {broker!r}", "write host:port,… for --broker or ICN_BROKERS")
    return host.strip("[]"), int(port)


def broker_hint() -> str:
    """What to do when the broker doesn't answer: only the local one can be looked at here."""
    from streams.topology import load

    if os.environ.get("ICN_BROKERS") or load().local.get("brokers"):
        return "is the broker running? is --broker (ICN_BROKERS) right?"
    from streams.broker.local import LocalBroker
    from streams.settings import read_settings

    if pid := LocalBroker(read_settings(load()).state).pid():
        return f"the local broker runs (pid {pid}) and doesn't answer yet: it may be starting, try again in a moment"
    return "icn broker status says whether the local one runs; --broker host:port uses another"


def confirm(question: str) -> None:
    """Ask before something is lost. Ends the command where the answer is no, or there is none."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:  # Ctrl-C, or no more input
        click.echo(err=True)
        agreed = False
    if not agreed:
        click.echo("nothing was done", err=True)
        raise click.exceptions.Exit(2)


def say(text: str) -> None:
    """What is going on, to stderr; silent with --quiet."""
    if not os.environ.get("ICN_QUIET"):
        click.echo(text, err=True)


def progress(text: str) -> None:
    """What is being done now, on one line of a terminal that the next one overwrites; into a file, nothing: it is no result."""
    if sys.stderr.isatty() and not os.environ.get("ICN_QUIET"):
        click.echo(f"\r{_cut(text, (_room() or 80) - 1, prose=True)}\x1b[K\r", nl=False, err=True)


def print_json(value: Any) -> None:
    """One document, indented for a terminal, compact for a pipe."""
    from streams.codec import jsonable

    text = json.dumps(jsonable(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None)
    click.echo(_MOVES.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Iterable[int] = (),
    whole: Iterable[int] = (),
    title: str = "",
) -> None:
    """A plain table, columns as wide as needed and as the terminal allows. `right`: columns of numbers; `whole`: of ids that people copy;
    neither is shortened."""
    if title:
        click.echo(click.style(title, bold=True))
    for line in table_lines(header, rows, right, whole):
        click.echo(line)


def table_lines(
    header: Sequence[str],
    rows: Iterable[Sequence[Any]],
    right: Iterable[int] = (),
    whole: Iterable[int] = (),
    spare: Sequence[int] = (),
) -> list[str]:
    """The same, not printed. spare: columns that are left out for lack of room, the first of them first; nothing is shortened then."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    numbers, kept, room = set(right), {*right, *whole}, _room()
    needed = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    if spare:
        shown = left_after(needed, spare, room)
        header, *cells = ([line[i] for i in shown] for line in [list(header), *cells])
        return _drawn(header, cells, {at for at, i in enumerate(shown) if i in numbers}, [needed[i] for i in shown])
    least = [max([1, *(len(row[i]) for row in cells)]) if i in kept else CELL_MIN for i in range(len(header))]
    widths = needed if room is None else fit(needed, least, room)
    lines = _drawn(header, cells, numbers, widths)
    return lines if room is None else [_cut(line, room, prose=True) for line in lines]


def _drawn(header: Sequence[str], cells: Sequence[Sequence[str]], right: set[int], widths: Sequence[int]) -> list[str]:
    heads = [_cut(head, width, prose=True) for head, width in zip(header, widths, strict=True)]
    shortened = [[_cut(cell, width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    lines = columns([heads, *shortened], right, widths)
    return [click.style(lines[0], dim=True), *lines[1:]]


def left_after(needed: Sequence[int], spare: Sequence[int], room: int | None) -> list[int]:
    """Columns that are shown: as few of `spare` are left out as there must be."""
    shown, left = list(range(len(needed))), list(spare)
    while left and room is not None and sum(needed[i] for i in shown) + 2 * (len(shown) - 1) > room:
        shown.remove(left.pop(0))
    return shown


def fit(needed: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Column widths that fit into `room`: the widest gives way first, none below its least."""
    widths = list(needed)
    for _ in range(sum(widths) + 2 * (len(widths) - 1) - room):
        can = [i for i in range(len(widths)) if widths[i] > least[i]]
        if not can:
            break
        widths[max(can, key=lambda i: widths[i])] -= 1
    return widths


def _room() -> int | None:
    """Characters in a line; None in a pipe, where nothing may be lost."""
    if os.environ.get("COLUMNS", "").isdecimal() or sys.stdout.isatty():
        return max(20, shutil.get_terminal_size().columns)
    return None


def _cut(text: str, width: int, prose: bool = False) -> str:
    """Shortened with …: prose at its end, names and ids in the middle, since what tells them apart is at both ends."""
    if len(text) <= width:
        return text
    tail = 0 if prose or " " in text else (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def clip(text: str, width: int) -> str:
    """One line of at most this many characters."""
    return _cut(" ".join(text.split()), width, prose=True)
