"""`icn cat`: any topic of the network, decoded."""

from __future__ import annotations

import json
import re
from typing import Any

import click

from streams.cli.show import network
from streams.words import when


@click.command()
@click.argument("topic")
@click.option("-p", "--partition", type=int, help="Only this partition.")
@click.option(
    "-o",
    "--offset",
    default="beginning",
    show_default=True,
    help="Where to start: beginning, N (offset), -N (the last N of each partition), s@MS (broker time).",
)
@click.option("-c", "--count", type=click.IntRange(1), help="Stop after so many records.")
@click.option(
    "-f",
    "--format",
    "form",
    help="kcat-like: %t topic %p partition %o offset %T time %k key %s value %h headers, %%, \\n, \\t.",
)
@click.option("-J", "--json", "as_json", is_flag=True, help="One JSON object a line; the same without -f.")
def cat(topic: str, partition: int | None, offset: str, count: int | None, form: str | None, as_json: bool) -> None:
    """Print a topic's records from the beginning to the end as of now, Avro decoded, then stop.

    \b
    Example:
      icn cat artifacts.decided -o -3
      icn cat receipts -f '%k %s\\n'
    """
    from streams.broker.topics import fold
    from streams.watch.records import last_records

    if form is not None and as_json:
        raise click.UsageError("--format and --json exclude each other")
    if form is not None and (unknown := re.findall(r"%([^tpoTksh%]|$)", form.replace("%%", ""))):
        raise click.BadParameter(f"%{unknown[0]} is unknown; there are %t %p %o %T %k %s %h %%", param_hint="--format")
    if not (where := re.fullmatch(r"beginning|(-?)([0-9]{1,18})|s@([0-9]{1,15})", offset)):
        raise click.BadParameter(f"{offset!r} is none of beginning, N, -N, s@MS", param_hint="--offset")
    topology, settings = network()
    name, partitions = _topic(topology, topic)
    if partition is not None and not 0 <= partition < partitions:
        raise click.BadParameter(f"{name} has the partitions 0 to {partitions - 1}", param_hint="--partition")
    backwards, number, since_ms = where.groups()
    if backwards:
        found = last_records(settings, name, int(number), partition)
    elif since_ms:
        found = fold(settings, name, partition, since_ms=int(since_ms))
    else:
        found = fold(settings, name, partition, start=dict.fromkeys(range(partitions), int(number or 0)))
    for read, message in enumerate(found, 1):
        click.echo(
            _formatted(message, form) if form else json.dumps(as_object(message), ensure_ascii=False), nl=form is None
        )
        if read == count:
            break


def _topic(topology: Any, topic: str) -> tuple[str, int]:
    """(name, partitions) of a topic or changelog. Raises TopologyError."""
    for agent in topology.agents.values():
        if topic == agent.changelog:
            return agent.changelog, agent.partitions
    declared = topology.topic(topic)
    return declared.name, declared.partitions


def as_object(message: Any) -> dict[str, Any]:
    """A record as JSON: what can't be decoded is shown as hex, with the reason."""
    from streams.runtime.reread import as_record

    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": as_text(message.key()),
        "headers": {k: as_text(v) for k, v in as_record(message).headers or ()},
        "value": decoded(message.value()),
    }


def decoded(data: bytes | None) -> Any:
    """A value as JSON: an event, JSON itself, or the reason why it is neither."""
    from streams.codec import Undecodable, decode_any, jsonable

    if data is None:
        return None
    try:
        event = jsonable(decode_any(data)[1])
    except Undecodable as error:
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return {"undecodable": error.reason, "detail": str(error), "hex": data[:4096].hex()}
    if isinstance(event.get("artifact"), str):  # the original record, carried along: show it decoded too
        event["artifact"] = jsonable(decode_any(bytes.fromhex(event["artifact"]))[1])
    return event


def as_text(data: bytes | None) -> str | None:
    """A key or header: text, or hex where it is none."""
    if data is None:
        return None
    try:
        text = data.decode()
        return text if text.isprintable() else data.hex()
    except UnicodeDecodeError:
        return data.hex()


def _formatted(message: Any, form: str) -> str:
    shown = as_object(message)
    values = {
        "%": "%",
        "t": shown["topic"],
        "p": shown["partition"],
        "o": shown["offset"],
        "T": when(shown["timestamp"]),
        "k": shown["key"] or "",
        "s": json.dumps(shown["value"], ensure_ascii=False),
        "h": ",".join(f"{k}={v}" for k, v in shown["headers"].items()),
    }
    text = form.replace("\\n", "\n").replace("\\t", "\t")
    return re.sub("%(.)", lambda found: str(values[found[1]]), text)
