"""`icn lag`: who is behind, by how much, since when, and whether that will pass."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from streams.cli.show import json_option, network, print_json, say, table_lines
from streams.errors import BrokerError, IcnError
from streams.units import human_ms
from streams.words import counted, printable, when

if TYPE_CHECKING:
    from streams.watch.lag import Lag, Picture
    from streams.watch.monitor import Monitor

LOOKS_MIN = 3  # for a trend
BAD_SHOWN = 20
EVERY, EVERY_MIN_S = "5s", 0.2
FAILS = {"WARN": ("WARN", "ERR"), "ERR": ("ERR",)}


def _seconds(_: click.Context, option: click.Parameter, text: str | None) -> float | None:
    from streams.units import duration_ms

    try:
        return None if text is None else duration_ms(text) / 1000
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"{option.opts[0]}: {error}") from error


@click.command()
@click.option("--group", "groups", multiple=True, help="Only this consumer group, or those like 'icn-*' (repeat).")
@click.option("--partitions", "each", is_flag=True, help="A line for each partition.")
@click.option(
    "--over",
    "over_s",
    metavar="DURATION",
    callback=_seconds,
    help="Look three times in this time, for trend and verdict: 10s, 1m.",
)
@click.option("--watch", is_flag=True, help="Go on looking, until Ctrl-C.")
@click.option(
    "--every",
    "every_s",
    metavar="DURATION",
    show_default=EVERY,
    callback=_seconds,
    help="Between two looks of --watch.",
)
@click.option(
    "--allowed", default=0, show_default=True, type=click.IntRange(0), help="Events of lag that count as none."
)
@click.option("--fail-on", type=click.Choice(list(FAILS)), help="Exit code 1 if a group is as bad as that, or worse.")
@json_option
def lag(
    groups: tuple[str, ...],
    each: bool,
    over_s: float | None,
    watch: bool,
    every_s: float | None,
    allowed: int,
    fail_on: str | None,
    as_json: bool,
) -> None:
    """Show the consumer lag of every group on the cluster, whoever's: events, age of the oldest that waits, trend, when it will be over.

    \b
    Status of a group: OK; ERR: it stopped, stalls, went back or is held up; WARN: its lag grows at every look; ?: behind, and looked at
    fewer than three times. What stopped is known at once; the rest takes three looks (--over, --watch).
    In a narrow terminal columns are left out; --json has them all.

    \b
    Example:
      icn lag --over 10s
      icn lag --group icn-s2-dedup --partitions
      icn lag --group 'icn-*'
      icn lag --watch
      icn lag --over 30s --fail-on ERR --json
    """
    from streams.units import duration_ms
    from streams.watch.monitor import Monitor

    if watch and (fail_on or over_s is not None):
        wrong = "--fail-on" if fail_on else "--over"
        raise click.UsageError(f"{wrong} needs an end, and --watch has none")
    if every_s is not None and not watch:
        raise click.UsageError("--every is for --watch")
    _, settings = network()
    monitor = Monitor(settings, allowed)
    if watch:
        every_s = duration_ms(EVERY) / 1000 if every_s is None else max(EVERY_MIN_S, every_s)
        try:
            _watch(monitor, groups, each, every_s, as_json)
        except KeyboardInterrupt:
            sys.stdout.flush()
            os._exit(130)  # questions that are under way would be waited for
    pause_s = over_s / (LOOKS_MIN - 1) if over_s else 0.0
    for number in range(LOOKS_MIN if over_s else 1):
        time.sleep(pause_s if number else 0)
        picture = monitor.look(groups)
        _require(monitor, groups, picture, settings.require_brokers())
    if as_json:
        print_json(as_document(picture))
    else:
        for line in _lines(picture, each):
            click.echo(line)
        if not over_s and any(one.status == "?" and one.error is None for one in picture.groups):
            say("? behind, and looked at fewer than three times: --over 10s says whether it moves")
    sys.exit(1 if fail_on and any(one.status in FAILS[fail_on] for one in picture.groups) else 0)


def _require(monitor: Monitor, groups: Sequence[str], picture: Picture, brokers: str) -> None:
    """What was asked for is there. Raises IcnError."""
    from streams.watch.cluster import is_named

    if missing := [one for one in groups if not any(is_named(name, [one]) for name in picture.look.groups)]:
        known = sorted(monitor.look().look.groups)
        raise IcnError(
            f'no group "{missing[0]}" at {brokers}',
            f"known: {', '.join(known)}" if known else "no group has committed anything: icn up, or icn worker",
        )


def as_document(picture: Picture) -> dict[str, Any]:
    """{at_ms, took_s, groups: [...], partitions: [...]}; of a partition its owner, too: {client_id, host}, or None."""
    return {
        "at_ms": picture.at_ms,
        "took_s": round(picture.took_s, 3),
        "groups": [one._asdict() for one in picture.groups],
        "partitions": [one._asdict() | {"owner": _owner(picture, one)} for one in picture.partitions],
    }


def _owner(picture: Picture, one: Lag) -> dict[str, str] | None:
    owner = picture.look.groups[one.group].owners.get((one.topic, one.partition))
    return None if owner is None else {"client_id": owner.client_id, "host": owner.host}


def _watch(monitor: Monitor, groups: Sequence[str], each: bool, every_s: float, as_json: bool) -> None:
    """Ctrl-C ends it."""
    on_screen = sys.stdout.isatty() and not as_json
    answered_ms = time.time_ns() // 1_000_000
    while True:
        late = threading.Timer(2 * every_s, say, [f"no answer since {when(answered_ms)}"])
        late.daemon = True
        late.start()
        try:
            picture = monitor.look(groups)
        except BrokerError as error:  # it may come back; what was known is old by then
            say(f"{error.args[0]}; what is shown is of {when(answered_ms)}: looking again")
            time.sleep(every_s)
            continue
        finally:
            late.cancel()
        answered_ms = picture.at_ms
        if as_json:
            print_json(as_document(picture))
        else:
            lines = [
                *_lines(picture, each),
                f"looked at in {picture.took_s:.1f} s, every {every_s:g} s; Ctrl-C ends it",
            ]
            text = "\n".join(f"{line}\x1b[K" if on_screen else line for line in lines)
            click.echo(f"\x1b[H{text}\x1b[J" if on_screen else f"{text}\n")
        time.sleep(max(0.0, every_s - picture.took_s))


def _lines(picture: Picture, each: bool) -> Iterator[str]:
    from streams.domain.lag import BAD

    total = sum(one.lag or 0 for one in picture.groups)
    worst = [one for one in picture.groups if one.status in ("ERR", "WARN")]
    yield (
        f"{when(picture.at_ms)}: {counted(len(picture.groups), 'group')}, {total:,} events behind; "
        + (f"{len(worst)} in trouble" if worst else "none in trouble")
    )
    if each:
        rows = [_partition(picture, one) for one in picture.partitions]
        yield from table_lines(_PARTITIONS, rows, right=(2, 3, 4, 5, 6, 7, 8, 11), spare=_SPARE_OF_PARTITIONS)
        return
    yield from table_lines(_GROUPS, map(_group, picture.groups), right=(3, 4, 5, 6, 7, 8), spare=_SPARE_OF_GROUPS)
    for group in picture.groups:
        if group.error is not None:
            yield f"→ {printable(group.group)} can't be looked at: {group.error}"
    bad = [one for one in picture.partitions if one.status in (*BAD, "WARN", "ABANDONED", "CLOSED")]
    hot = [one for one in picture.partitions if one.is_hot]
    for one in bad[:BAD_SHOWN]:
        yield f"→ {_told(one)}"
    if len(bad) > BAD_SHOWN:
        yield f"… and {len(bad) - BAD_SHOWN} more (--partitions)"
    for one in hot[:BAD_SHOWN]:
        yield f"→ {_place(one)} is hot: {one.lag:,} behind, far more than the group's others"
    for one in picture.partitions:
        if one.lost:
            yield f"→ {_place(one)} lost {one.lost:,} events: retention took them before they were read"


_GROUPS = (
    "group",
    "state",
    "status",
    "members",
    "lag",
    "oldest waits",
    "grows/s",
    "closes in",
    "of kept",
    "partitions",
)
_SPARE_OF_GROUPS = (9, 8, 7, 6, 3, 1)  # the least important first; group, status, lag and age stay
_PARTITIONS = (
    "group", "topic", "partition", "committed", "end", "lag", "oldest waits", "grows/s", "closes in", "status", "owner", "margin",
)  # fmt: skip
_SPARE_OF_PARTITIONS = (11, 8, 4, 3, 10, 7)
WHY = {
    "STOP": "nobody works on it",
    "STALL": "somebody should, and nothing moves",
    "REWIND": "went back, and is not where it was",
    "HELD": "an open transaction hides what is behind it",
    "WARN": "falls further behind at every look",
    "ABANDONED": "committed once, and none of the group's members owns it",
    "CLOSED": "not authorised to look at it",
}


def _group(one: Any) -> tuple[Any, ...]:
    return (
        one.group,
        one.state.lower(),
        one.status,
        one.members,
        _number(one.lag),
        _age(one.lag, one.lag_seconds),
        _rate(one.growth_per_second),
        _closes(one.lag, one.closes_in_s),
        "-" if one.retention_ratio is None else f"{one.retention_ratio:.0%}",
        f"{one.partitions}" + (f", {one.without_commit} without a commit" if one.without_commit else ""),
    )


def _partition(picture: Picture, one: Lag) -> tuple[Any, ...]:
    owner = _owner(picture, one)
    return (
        one.group,
        one.topic,
        one.partition,
        _number(one.committed),
        _number(one.end),
        _number(one.lag),
        _age(one.lag, one.lag_seconds),
        _rate(one.growth_per_second),
        _closes(one.lag, one.closes_in_s),
        one.status,
        "-" if owner is None else f"{owner['client_id']} {owner['host']}",
        _number(one.margin),
    )


def _place(one: Lag) -> str:
    return printable(f"{one.group}: {one.topic}/{one.partition}")


def _told(one: Lag) -> str:
    held = f"; {one.held:,} events are held" if one.status == "HELD" else ""
    behind = f", {one.lag:,} behind" if one.lag else ""
    return f"{_place(one)} {one.status}: {WHY[one.status]}{behind}{held}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _age(lag: int | None, seconds: float | None) -> str:
    return "-" if not lag or seconds is None else human_ms(seconds * 1000)


def _rate(grows: float | None) -> str:
    return "-" if grows is None else "0" if abs(grows) < 0.05 else f"{grows:+.1f}"


def _closes(lag: int | None, seconds: float | None) -> str:
    return "-" if not lag or seconds is None else human_ms(seconds * 1000)
