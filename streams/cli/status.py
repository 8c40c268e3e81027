"""`icn status`: one screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, table
from streams.units import human_ms
from streams.words import counted, printable, when


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the network on one screen: what it did, what it does, how much of its limits is used, and what needs attention.

    Exit code 1 if something needs attention.

    \b
    Example:
      icn status
      icn status --json | jq -r '.attention[].command'
    """
    from streams.watch.following import read_figures
    from streams.watch.monitor import Monitor
    from streams.watch.overview import overview

    topology, settings = network()
    figures = read_figures(topology, settings)
    picture = Monitor(settings).look()
    about = overview(topology, figures, picture.groups, settings.brokers, time.time_ns() // 1_000_000)
    if as_json:
        print_json(about)
    else:
        _print(about)
    sys.exit(1 if about["attention"] else 0)


def _print(about: dict[str, Any]) -> None:
    if about["simulated"]:
        click.echo("SIMULATED deployment: none of this enters a reliability figure")
    click.echo(f"{about['deployment']} at {about['broker']}")
    for name, told in _lines(about):
        click.echo(f"  {name:<12}{told}")
    table(
        ("stage", "records", "per s (5 min)", "lag", "oldest waits", "group", "rule version"),
        [
            (
                s["stage"],
                f"{s['records']:,}",
                s["per_second_5m"],
                "-" if s["lag"] is None else f"{s['lag']:,}",
                human_ms(s["lag_seconds"] * 1000) if s["lag"] and s["lag_seconds"] is not None else "-",
                s["group"],
                s["rule"] or "-",
            )
            for s in about["stages"]
        ],
        right=(1, 2, 3, 4),
    )
    for w in about["windows"]:
        click.echo(f"{w['stage']}: {_of_newest(w)}")
    for one in about["attention"]:
        who = f" ({printable(one['detail'])})" if one["detail"] else ""
        click.echo(f"→ {one['what']}{who}: {printable(one['command'])}")
    if not about["attention"]:
        click.echo("nothing needs attention")


def _lines(about: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from streams.watch.phoenix import refused_for
    from streams.watch.presence import counted_state

    if about["uptime_ms"] is not None:
        yield "up for", human_ms(about["uptime_ms"])
    told = ", ".join(f"{n:,} {k.replace('_', '-')}" for k, n in about["outcomes"].items() if n)
    yield "artifacts", f"{told}; {about['submitted_per_minute']:g} a minute (5 min)" if told else "none yet"
    intake = about["intake"]
    hour = _of(intake["admitted_this_hour"], intake["per_hour"])
    yield "intake", f"{hour} this hour; {_of(intake['undecided'], intake['undecided_max'])} undecided"
    states = ", ".join(counted_state(n, state) for state, n in sorted(about["node_states"].items()))
    nodes = counted(about["nodes"], "node") + (f" ({states})" if states else "")
    yield "nodes", f"{nodes}, {counted(about['targets'], 'target')}"
    ticks = about["ticks"]
    if ticks["reliability"] is not None:
        kept, of = ticks["kept"], ticks["expected"] - ticks["idle"]
        share = f"{ticks['reliability']:.2%}, at least {ticks['at_least']:.2%}"
        yield "ticks", f"{kept:,} of {of:,} kept: {share}; icn audit report judges"
    for partition, log in about["audit"].items():
        yield "audit log", f"partition {partition}: {log['sealed']:,} records sealed, {when(log['sealed_ms'])}"
    phoenix = about["phoenix"]
    if phoenix["slot_ms"]:
        refused = ", ".join(f"{n:,} refused for {refused_for(reason)}" for reason, n in phoenix["refused"].items())
        held = f"; held back now: {refused}" if refused else ""
        yield "phoenix", f"{phoenix['fed']:,} fed in all, {phoenix['waiting']:,} wait{held}"


def _of(used: int, limit: int) -> str:
    return f"{used:,} of {limit:,}" if limit else f"{used:,}"


def _of_newest(of: dict[str, Any]) -> str:
    """What the newest window, or round, says."""
    if "fed" in of:
        if not of["ends_ms"]:
            return "nothing fed yet"
        full = f"; its windows are full until {when(of['opens_ms'])}" if of["opens_ms"] else ""
        return f"{of['fed']} fed in the last round, {of['waiting']:,} wait, {when(of['ends_ms'])}{full}"
    if of["ends_ms"]:
        return f"{counted(of['patterns'], 'pattern')} in {of['texts']:,} texts to {when(of['ends_ms'])}"
    return "no window yet"
