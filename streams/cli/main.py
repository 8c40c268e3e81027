"""`icn`: the command line. One command group per file, imported only when called: `icn lag` must not wait for Faust."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import click

from streams import __version__
from streams.errors import BrokerError, IcnError, NotFoundError
from streams.words import printable

# command -> module in streams.cli, in the order of a newcomer's first day
COMMANDS = {
    "demo": "demo",
    "up": "up",
    "broker": "broker",
    "topics": "topics",
    "worker": "worker",
    "registry": "registry",
    "node": "node",
    "target": "target",
    "plan": "plan",
    "produce": "produce",
    "receipts": "receipts",
    "top": "top",
    "artifact": "artifact",
    "patterns": "patterns",
    "phoenix": "phoenix",
    "export": "export",
    "judge": "judge",
    "verdict": "verdict",
    "reputation": "reputation",
    "lag": "lag",
    "exporter": "exporter",
    "dashboard": "dashboard",
    "cat": "cat",
    "dlq": "dlq",
    "replay": "replay",
    "rebuild": "rebuild",
    "audit": "audit",
    "certify": "certify",
    "soak": "soak",
    "check": "check",
    "status": "status",
    "bench": "bench",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return getattr(importlib.import_module(f"streams.cli.{COMMANDS[cmd_name]}"), cmd_name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="icn")
@click.option("--topology", type=click.Path(path_type=Path), help="The network's file (ICN_TOPOLOGY).")
@click.option("--broker", "brokers", metavar="HOST:PORT,…", help="Kafka to use (ICN_BROKERS). Default: the local one.")
@click.option("--state", type=click.Path(path_type=Path), help="Folder of everything local (ICN_STATE).")
@click.option("--quiet", is_flag=True, help="Say only what was asked for.")
def icn(topology: Path | None, brokers: str | None, state: Path | None, quiet: bool) -> None:
    """ICN: a fleet of collecting nodes as one trusted, prioritised, auditable stream on Kafka.

    \b
    Example:
      icn up                              run everything here, until Ctrl-C
      icn node register node-7 --principal alice
      icn produce findings.jsonl --node node-7
      icn top
    """
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False
    for name, value in (
        ("ICN_TOPOLOGY", topology),
        ("ICN_BROKERS", brokers),
        ("ICN_STATE", state),
        ("ICN_QUIET", "1" if quiet else None),
    ):
        if value is not None:
            os.environ[name] = str(value)  # child processes see the same


def main(argv: list[str] | None = None) -> None:
    """Exit codes: 0 fine, 1 found something wrong, or not found, 2 could not do it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file's name or an id may hold what is no text
    try:
        code: Any = icn.main(argv, prog_name="icn", standalone_mode=False)
    except click.exceptions.Exit as error:
        code = error.exit_code
    except click.ClickException as error:
        if isinstance(error, click.UsageError):
            error.message += meant(error)
        error.show()
        code = 2
    except click.Abort:
        code = 130
    except IcnError as error:
        click.echo("\n".join(map(printable, f"icn: {fitting(error)}".split("\n"))), err=True)
        code = 1 if isinstance(error, NotFoundError) else 2
    except BrokenPipeError:  # `icn cat … | head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        code = 0
    except OSError as error:
        click.echo(f"icn: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        code = 2
    except Exception as error:
        if not _from_kafka(error):
            raise  # a bug: its traceback is what we need
        click.echo(f"icn: {of_kafka(error)}", err=True)
        code = 2
    sys.exit(code if isinstance(code, int) else 0)


def meant(error: click.UsageError) -> str:
    """The commands that an unknown one was probably meant to be, or all there are."""
    group = error.ctx.command if error.ctx else None
    if not isinstance(group, click.Group) or not error.message.startswith("No such command"):
        return ""
    assert error.ctx is not None
    known = group.list_commands(error.ctx)
    wanted = error.message.split("'")[1]
    close = difflib.get_close_matches(wanted, known)
    return f" Did you mean {' or '.join(close)}?" if close else f" There is: {', '.join(known)}."


def fitting(error: IcnError) -> IcnError:
    """The same with the hint that fits this command line: whoever raised it doesn't know whether the local broker is meant."""
    from streams.cli.show import broker_hint

    if isinstance(error, BrokerError) and "icn broker status" in error.hint:
        error.hint = broker_hint()
    return error


def _from_kafka(error: Exception) -> bool:
    kafka = sys.modules.get("confluent_kafka")  # not imported: not raised by it
    return kafka is not None and isinstance(error, kafka.KafkaException)


def of_kafka(error: Exception) -> IcnError:
    """A KafkaException nobody expected, as one line for a person."""
    from confluent_kafka import KafkaError

    from streams.cli.show import broker_hint

    told = error.args[0] if error.args else error
    if not isinstance(told, KafkaError):
        return BrokerError(f"Kafka: {told}", broker_hint())
    if told.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION):
        return BrokerError(f"Kafka: {told.str()}", "icn topics apply makes what is missing")
    if told.code() in (
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
    ):
        return BrokerError(f"Kafka: {told.str()}", "it may just have started: try again in a moment")
    return BrokerError(f"Kafka: {told.str()}", broker_hint())
