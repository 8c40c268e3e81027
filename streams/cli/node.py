"""`icn node`: who may speak, who is there, and a node that collects."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.words import counted, when


@click.group()
def node() -> None:
    """Register nodes, look after them, run one."""


@node.command()
@click.argument("node_id")
@click.option("--principal", required=True, help="Person or organisation that answers for the node.")
@click.option("--capability", "capabilities", multiple=True, help="What it can collect: file, http, feed, … (repeat).")
@click.option("--capacity", type=click.IntRange(1), help="Collections at a time (default: 3).")
@click.option(
    "--rotate",
    is_flag=True,
    help="Give a registered node a new token, and what else is given; the old token is revoked.",
)
@json_option
def register(
    node_id: str, principal: str, capabilities: tuple[str, ...], capacity: int | None, rotate: bool, as_json: bool
) -> None:
    """Register a node and print its token; it is also kept in the state folder, where `icn produce` finds it.

    \b
    Example:
      icn node register node-7 --principal alice
      icn node register node-7 --principal alice --rotate --capability file --capacity 5
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.registrations import CAPACITY, in_force, register, registered, token_path
    from streams.collectors.collector import known_capabilities
    from streams.errors import IcnError

    for what, text in (("node id", node_id), ("principal", principal), *(("capability", c) for c in capabilities)):
        if not text.strip() or not text.isprintable():
            raise IcnError(f"{what} {text!r}: at least one character, none of them a control character")
    topology, settings = network()
    before = registered(topology, settings).get(node_id) if rotate else None
    if rotate and before is None:
        raise IcnError(f'node "{node_id}" is not registered, so it has no token to rotate', "leave out --rotate")
    if before is not None:  # what isn't given stays
        capabilities, capacity = capabilities or tuple(before["capabilities"]), capacity or before["capacity"]
        if before["principal"] != principal:
            say(f'{node_id}: "{principal}" answers for it now; until now "{before["principal"]}" did')
    if unknown := sorted(set(capabilities) - known_capabilities(topology)):
        say(
            f"no collector for {', '.join(unknown)} is installed here; there are: {', '.join(sorted(known_capabilities(topology)))}"
        )
    made = register(topology, settings, node_id, principal, capabilities, capacity or CAPACITY, rotate)
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


@node.command()
@click.argument("node_id")
@click.option("--why", default="", help="For the audit log.")
@json_option
def unregister(node_id: str, why: str, as_json: bool) -> None:
    """Take a node off: its token is revoked, what it was to collect is for others. Its reputation stays.

    \b
    Example:
      icn node unregister node-7 --why "replaced by node-9"
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.registrations import in_force, unregister

    topology, settings = network()
    done = unregister(topology, settings, node_id)
    operator_action(topology, settings, this_command(), why)
    live = in_force(topology, settings, done["partition"], done["offset"], 10)
    if as_json:
        print_json({"node_id": node_id, "in_force": live})
    else:
        say(f"{node_id}: {'no longer registered' if live else 'written; it takes effect when an intake worker runs'}")


@node.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List registered nodes: alive (state) and useful are two things. State and load are those of the newest tick.

    \b
    Example:
      icn node list
    """
    from streams.watch.fleet import fleet, newest_plan, standstill

    topology, settings = network()
    nodes = fleet(topology, settings)
    if as_json:
        print_json(nodes)
        return
    table(
        ("node", "principal", "capabilities", "state", "useful", "load", "generation", "registered"),
        [
            (
                r["node_id"],
                r["principal"],
                ", ".join(r["capabilities"]) or "-",
                r["state"],
                "-" if r["usefulness"] is None else f"{r['usefulness']:.2f}",
                f"{r['load']}/{r['capacity']}",
                r["generation"],
                when(r["registered_ms"]),
            )
            for r in nodes
        ],
        right=(4, 5, 6),
        whole=(0,),
    )
    for r in nodes:
        if r["advice"]:
            say(f"{r['node_id']}: {r['why']}. {r['advice']}")
    if words := standstill(topology, newest_plan(topology, settings)):
        say(words)


@node.command()
@click.argument("node_id")
@click.option("-n", "count", default=10, type=click.IntRange(1), show_default=True, help="Newest collections to show.")
@json_option
def show(node_id: str, count: int, as_json: bool) -> None:
    """Show a node: how it does, and what its last collections came to.

    \b
    Example:
      icn node show node-7
    """
    from streams.errors import NotFoundError
    from streams.watch.fleet import collections_of, fleet

    topology, settings = network()
    found = [row for row in fleet(topology, settings) if row["node_id"] == node_id]
    if not found:
        raise NotFoundError(f'node "{node_id}" is not registered', "icn node list")
    collected = collections_of(topology, settings, node_id, count)
    if as_json:
        print_json(found[0] | {"collections": collected})
        return
    for name, value in found[0].items():
        shown = when(value) if name.endswith("_ms") else ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name:<16}{'-' if shown in (None, '') else shown}")
    if collected:
        click.echo()
        table(
            ("when", "target", "outcome", "artifacts", "ms", "error"),
            [
                (
                    when(c["ended_at"]),
                    c["target_id"],
                    c["outcome"] + (", late" if c["late"] else ""),
                    c["artifact_count"],
                    c["duration_ms"],
                    c["error"] or "",
                )
                for c in collected
            ],
            right=(3, 4),
            whole=(1,),
        )


@node.command()
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option("--token", help="64 hex, as icn node register printed it. Default: from the state folder.")
@click.option("--example", is_flag=True, help="Print a configuration to begin with.")
def run(config: Path | None, token: str | None, example: bool) -> None:
    """Collect: take what the plan assigns to this node, submit what is found, answer for each. Until Ctrl-C.

    \b
    Example:
      icn node register node-7 --principal alice --capability file --capability http
      icn node run --example > node-7.yaml
      icn node run node-7.yaml
    """
    import os
    import signal
    import threading
    from types import FrameType

    from streams.collectors.config import EXAMPLE, read_config

    if example:
        click.echo(EXAMPLE, nl=False)
        return
    if config is None:
        raise click.UsageError("Missing argument 'CONFIG'. --example prints one.")
    from streams.collectors.node import CollectingNode
    from streams.runtime.worker import hold_on_to_lifeline, setup_logging

    hold_on_to_lifeline()
    setup_logging()
    topology, settings = network()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    answered = CollectingNode(topology, settings, read_config(config), token).run(stop)
    say(f"{counted(answered, 'assignment')} answered")
    sys.stdout.flush()
    os._exit(0)  # a collector that hangs must not keep us: its thread can't be ended
