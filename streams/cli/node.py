"""`icn node`: who may speak."""

from __future__ import annotations

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.words import when


@click.group()
def node() -> None:
    """Register and list nodes."""


@node.command()
@click.argument("node_id")
@click.option("--principal", required=True, help="Person or organisation that answers for the node.")
@click.option("--capability", "capabilities", multiple=True, help="What it can collect: file, http, feed, … (repeat).")
@click.option("--capacity", default=3, type=click.IntRange(1), show_default=True, help="Collections at a time.")
@click.option("--rotate", is_flag=True, help="Give a registered node a new token; the old one is revoked.")
@json_option
def register(
    node_id: str, principal: str, capabilities: tuple[str, ...], capacity: int, rotate: bool, as_json: bool
) -> None:
    """Register a node and print its token; it is also kept in the state folder, where `icn produce` finds it.

    \b
    Example:
      icn node register node-7 --principal alice
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.registrations import in_force, register, registered, token_path
    from streams.errors import IcnError

    for what, text in (("node id", node_id), ("principal", principal), *(("capability", c) for c in capabilities)):
        if not text.strip() or not text.isprintable():
            raise IcnError(f"{what} {text!r}: at least one character, none of them a control character")
    topology, settings = network()
    if rotate and node_id not in registered(topology, settings):
        raise IcnError(f'node "{node_id}" is not registered, so it has no token to rotate', "leave out --rotate")
    made = register(topology, settings, node_id, principal, capabilities, capacity, rotate)
    operator_action(topology, settings, this_command())
    live = in_force(topology, settings, made["partition"], made["offset"], 10)
    if as_json:
        print_json(
            {
                "node_id": node_id,
                "principal": principal,
                "generation": made["generation"],
                "token": made["token"],
                "in_force": live,
            }
        )
        return
    click.echo(made["token"])
    say(f"{node_id}: generation {made['generation']}, token kept in {token_path(settings, node_id)}")
    say("in force" if live else "written; it takes effect when an intake worker runs (icn worker s1)")


@node.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List registered nodes.

    \b
    Example:
      icn node list
    """
    from streams.broker.registrations import registered

    topology, settings = network()
    nodes = registered(topology, settings)
    keys = ("node_id", "principal", "generation", "capabilities", "capacity", "registered_ms")
    rows = [{key: nodes[name][key] for key in keys} for name in sorted(nodes)]
    if as_json:
        print_json(rows)
    else:
        table(
            ("node", "principal", "generation", "capabilities", "capacity", "registered"),
            [
                (
                    r["node_id"],
                    r["principal"],
                    r["generation"],
                    ", ".join(r["capabilities"]) or "-",
                    r["capacity"],
                    when(r["registered_ms"]),
                )
                for r in rows
            ],
            right=(2, 4),
        )
