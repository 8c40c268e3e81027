"""`icn plan`: who collects what in the newest tick, and why."""

from __future__ import annotations

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.words import counted, when


@click.command()
@json_option
def plan(as_json: bool) -> None:
    """Show the newest plan: who collects what, what it cost and the next best would have, what is left and why, risks.

    Exit code 1: targets were due and nobody could take them.

    \b
    Example:
      icn plan
    """
    from streams.broker.targets import targets
    from streams.errors import NotFoundError
    from streams.watch.fleet import newest_plan, standstill

    topology, settings = network()
    found = newest_plan(topology, settings)
    if found is None:
        raise NotFoundError("no tick has been planned yet", "icn up, or icn worker, plans one a minute")
    if as_json:
        print_json(found)
        raise click.exceptions.Exit(1 if found["left"] else 0)
    known = targets(topology, settings)
    where = {key: f"{one.type} {one.location}" for key, one in known.items()}
    if words := standstill(topology, found):
        say(words)
    say(f"tick of {when(found['slot_ms'])}: {counted(found['due'], 'target')} due ({found['at']})")
    if found["choices"]:
        table(
            ("target", "what", "node", "cost", "next best", "its cost"),
            [
                (
                    c["target_id"],
                    where.get(c["target_id"], "removed since"),
                    c["node_id"],
                    f"{c['cost']:.3f}",
                    c["next_best"] or "-",
                    "-" if c["next_cost"] is None else f"{c['next_cost']:.3f}",
                )
                for c in found["choices"]
            ],
            right=(3, 5),
            whole=(0,),
        )
    for one in found["left"]:
        click.echo(f"left: {one['target_id']} ({where.get(one['target_id'], 'removed since')}): {one['reason']}")
    for one in found["given_up"]:
        click.echo(f"given up: {one['target_id']} of {one['node_id']}: {one['reason']}")
    for risk in found["risks"]:
        click.echo(f"risk: {risk}")
    if found["nodes"]:
        click.echo()
        table(
            ("node", "state", "useful", "load", "now given"),
            [
                (
                    n["node_id"],
                    n["state"],
                    "-" if n["usefulness"] is None else f"{n['usefulness']:.2f}",
                    f"{n['load']}/{n['capacity']}",
                    n["assigned"],
                )
                for n in found["nodes"]
            ],
            right=(2, 3, 4),
            whole=(0,),
        )
    raise click.exceptions.Exit(1 if found["left"] else 0)
