"""`icn lag`: who is behind, by how much."""

from __future__ import annotations

from dataclasses import asdict

import click

from streams.cli.show import json_option, network, print_json, table
from streams.errors import IcnError
from streams.units import human_ms


@click.command()
@click.option("--group", "groups", multiple=True, help="Only this consumer group (repeat).")
@json_option
def lag(groups: tuple[str, ...], as_json: bool) -> None:
    """Show the consumer lag of every group on the cluster: events, and the age of the oldest one waiting.

    \b
    Example:
      icn lag --group icn-s2-dedup
    """
    from streams.watch.lag import read_lag

    _, settings = network()
    rows = read_lag(settings, groups)
    if missing := sorted(set(groups) - {row.group for row in rows}):
        known = sorted({row.group for row in read_lag(settings)})
        raise IcnError(
            f'no group "{missing[0]}" has committed anything at {settings.brokers}',
            f"known: {', '.join(known)}" if known else "no group has: icn up, or icn worker",
        )
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    table(
        ("group", "topic", "partition", "committed", "end", "lag", "oldest waiting", "status", "group state"),
        [
            (
                r.group,
                r.topic,
                r.partition,
                "-" if r.committed is None else r.committed,
                r.end,
                "-" if r.lag is None else r.lag,
                "-" if r.lag_seconds is None else human_ms(r.lag_seconds * 1000) if r.lag else "-",
                r.status,
                r.state.lower(),
            )
            for r in rows
        ],
        right=(2, 3, 4, 5, 6),
    )
