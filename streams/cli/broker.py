"""`icn broker`: a real Apache Kafka as a local process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import click

from streams.cli.show import confirm, json_option, network, print_json, say


def _local(nodes: int = 1) -> Any:
    from streams.broker.local import LocalBroker

    _, settings = network(broker=False)
    return LocalBroker(settings.state, nodes)


def _require_unused(state: Path) -> None:
    from streams.errors import IcnError
    from streams.local.network import UpLock

    if pid := UpLock(state).holder():
        raise IcnError(f"icn up (pid {pid}) uses this broker", "end it first, with Ctrl-C there; or --force")


@click.group()
def broker() -> None:
    """Run a real Apache Kafka here, for a machine that has only Python."""


@broker.command()
@click.option("--port", default=0, help="Port to listen on (default: a free one, kept with the data).")
@click.option("--nodes", default=1, type=click.IntRange(1, 5), show_default=True, help="Brokers in the cluster.")
def start(port: int, nodes: int) -> None:
    """Start it and return when it answers; go on where it was if there is data.

    \b
    Example:
      icn broker start --port 9092
    """
    click.echo(_local(nodes).start(port, say=say))


@broker.command()
@click.option("--force", is_flag=True, help="Also while `icn up` uses it; its workers wait until it is back.")
def stop(force: bool) -> None:
    """Stop it cleanly.

    \b
    Example:
      icn broker stop
    """
    local = _local(5)
    if not force:
        _require_unused(local.folder.parent)
    stopped = local.stop()
    click.echo("stopped" if stopped else "was not running")


@broker.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether it runs, and where. Exit code 1 if it doesn't.

    \b
    Example:
      icn broker status
    """
    local = _local()
    pid = local.pid()
    about = {
        "running": pid is not None,
        "bootstrap": local.bootstrap if pid else None,
        "pid": pid,
        "data": str(local.folder),
    }
    if as_json:
        print_json(about)
    else:
        click.echo(
            f"running at {about['bootstrap']} (pid {pid}), data in {local.folder}"
            if pid
            else f"not running; data in {local.folder}"
        )
    sys.exit(0 if pid else 1)


@broker.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
def wipe(yes: bool) -> None:
    """Stop it and delete its data: every event of the local deployment, the tables made of them, what nodes have in their outboxes.

    The deployment's key and the nodes' tokens are kept.

    \b
    Example:
      icn broker wipe --yes
    """
    local = _local(5)
    state = local.folder.parent
    _require_unused(state)
    # tables and outboxes of a log that is gone: a new deployment must not go on with them
    folders = (local.folder, state / "workers", state / "outbox")
    if not yes:
        click.echo(
            f"all events: {folders[0]}\nall tables: {folders[1]}\nall artifacts under way: {folders[2]}", err=True
        )
        confirm("delete these folders?")
    local.stop()
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo("wiped")
