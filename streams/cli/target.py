"""`icn target`: what is to be collected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.words import counted, when

if TYPE_CHECKING:
    from streams.domain.targets import Target


@click.group()
def target() -> None:
    """Add, list and remove what is to be collected."""


def _duration(name: str, value: str) -> int:
    from streams.errors import IcnError
    from streams.units import duration_ms

    try:
        return duration_ms(value)
    except ValueError as error:
        raise IcnError(f"{name}: {error}", "for example: 30s, 15m, 6h") from error


@target.command()
@click.argument("type_", metavar="TYPE")
@click.argument("location")
@click.option("--priority", default=5, show_default=True, help="1 to 10, 10 first.")
@click.option("--interval", default="1h", show_default=True, help="It is due again so long after it was collected.")
@click.option("--retry", default="5m", show_default=True, help="Pause after an attempt without a success.")
@click.option("--meta", "metadata", multiple=True, metavar="KEY=VALUE", help="Goes into each artifact (repeat).")
@click.option("--force", is_flag=True, help="Also where no registered node can serve it.")
@json_option
def add(
    type_: str,
    location: str,
    priority: int,
    interval: str,
    retry: str,
    metadata: tuple[str, ...],
    force: bool,
    as_json: bool,
) -> None:
    """Add a target, or change it. TYPE: file, http, feed, stix, taxii, or what a collector of yours is for.

    \b
    Example:
      icn target add feed https://example.org/feed.xml --interval 15m --meta domain=malware
      icn target add file /var/lib/reports --priority 8
    """
    from streams.domain.targets import Target
    from streams.errors import IcnError

    pairs = []
    for one in metadata:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise IcnError(f"--meta {one!r}: KEY=VALUE was expected", "for example: --meta domain=malware")
        pairs.append((name, value))
    made = Target(
        type_, location, priority, _duration("--interval", interval), _duration("--retry", retry), tuple(sorted(pairs))
    )
    _add([made], force)
    if as_json:
        print_json({"target_id": made.id})
    else:
        click.echo(made.id)


def _add(new: list[Target], force: bool) -> None:
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.registrations import registered
    from streams.broker.targets import add, check
    from streams.collectors.collector import known_capabilities
    from streams.errors import IcnError

    topology, settings = network()
    known = known_capabilities(topology)
    able = {one for node in registered(topology, settings).values() for one in node["capabilities"]}
    needs = topology.protocol["coordination"]["needs"]
    for one in new:
        check(one)
        needed = needs.get(one.type, one.type)
        if needed not in known and not force:
            raise IcnError(
                f'target {one.type}:{one.location[:200]}: no collector for "{needed}" is known',
                f"there are: {', '.join(sorted(known))}; --force adds it all the same",
            )
        if needed not in able and not force:
            raise IcnError(
                f"target {one.type}:{one.location[:200]}: no registered node can {needed}",
                f"icn node register NAME --capability {needed} --principal NAME, or --force",
            )
    add(topology, settings, new)
    operator_action(topology, settings, this_command())


@target.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Also those that no registered node can serve.")
@json_option
def import_(file: Path, force: bool, as_json: bool) -> None:
    """Add many: a CSV or JSONL file with type and location, and priority, interval, retry, metadata where wanted.

    All are checked before the first is added.

    \b
    Example:
      icn target import targets.csv
    """
    from streams.cli.targets_file import read_targets

    new = read_targets(file)
    _add(new, force)
    if as_json:
        print_json([{"target_id": one.id} for one in new])
    else:
        say(f"{counted(len(new), 'target')} added or changed")


@target.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List targets, the most important first, with what their last collection came to.

    \b
    Example:
      icn target list
    """
    from streams.watch.fleet import target_list

    topology, settings = network()
    rows = target_list(topology, settings)
    if as_json:
        print_json(rows)
        return
    table(
        ("target", "type", "location", "priority", "every", "last", "by", "collected"),
        [
            (
                r["target_id"],
                r["type"],
                r["location"],
                r["priority"],
                _every(r["interval_ms"]),
                r["last_outcome"] or "never tried",
                r["last_node"] or "-",
                when(r["collected_ms"]),
            )
            for r in rows
        ],
        right=(3, 4),
        whole=(0,),
    )
    for r in rows:
        if r["last_error"]:
            say(f"{r['target_id']}: {r['last_error']}")


def _every(ms: int) -> str:
    for unit, name in ((3_600_000, "h"), (60_000, "m"), (1_000, "s")):
        if ms % unit == 0:
            return f"{ms // unit}{name}"
    return f"{ms}ms"


@target.command()
@click.argument("ids", nargs=-1, required=True, metavar="TARGET…")
@click.option("--why", default="", help="For the audit log.")
@json_option
def remove(ids: tuple[str, ...], why: str, as_json: bool) -> None:
    """Remove targets by id. What a node is collecting of them is given up.

    \b
    Example:
      icn target remove ff6b044d91282a62
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.targets import remove, targets
    from streams.errors import NotFoundError

    topology, settings = network()
    known: dict[str, Any] = targets(topology, settings)
    for one in ids:
        if one not in known:
            raise NotFoundError(f'no target "{one}"', "icn target list")
    remove(topology, settings, [known[one] for one in dict.fromkeys(ids)])
    operator_action(topology, settings, this_command(), why)
    if as_json:
        print_json([{"target_id": one} for one in dict.fromkeys(ids)])
    else:
        say(f"{counted(len(set(ids)), 'target')} removed")
