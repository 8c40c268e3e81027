"""`icn cat`: any topic of the network, decoded."""

from __future__ import annotations

import json
from typing import Any

import click

from streams.cli.show import network, when


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
@click.option("-c", "--count", type=int, help="Stop after so many records.")
@click.option(
    "-f", "--format", "form", help="kcat-like: %t topic %p partition %o offset %T time %k key %s value %h headers, \\n."
)
@click.option(
    "-J", "--json", "as_json", is_flag=True, help="One JSON object a line (the default in a pipe is the same)."
)
def cat(topic: str, partition: int | None, offset: str, count: int | None, form: str | None, as_json: bool) -> None:
    """Print a topic's records from the beginning to the end as of now, Avro decoded, then stop.

    \b
    Example:
      icn cat artifacts.decided -o -3 --json
      icn cat receipts -f '%k %s\\n'
    """
    from streams.broker.topics import fold
    from streams.errors import TopologyError

    topology, settings = network()
    try:
        name = topology.topic(topic).name
    except TopologyError:
        if topic not in {a.changelog for a in topology.agents.values()}:
            raise
        name = topic
    where: dict[str, Any] = {}
    if offset.startswith("s@"):
        where["since_ms"] = int(offset[2:])
    elif offset.lstrip("-").isdigit():
        where["last" if offset.startswith("-") else "start"] = abs(int(offset))
        if "start" in where:
            where["start"] = dict.fromkeys(range(10_000), where["start"])
    elif offset != "beginning":
        raise click.BadParameter("beginning, N, -N or s@MS", param_hint="--offset")
    for number, message in enumerate(fold(settings, name, partition, **where), 1):
        click.echo(
            _formatted(message, form) if form else json.dumps(as_object(message), ensure_ascii=False), nl=form is None
        )
        if number == count:
            break


def as_object(message: Any) -> dict[str, Any]:
    """A record as JSON: what can't be decoded is shown as hex, with the reason."""
    return {
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
        "timestamp": message.timestamp()[1],
        "key": _text(message.key()),
        "headers": {k: _text(v) for k, v in message.headers() or ()},
        "value": _value(message),
    }


def _value(message: Any) -> Any:
    from streams.codec import Undecodable, decode_any, jsonable

    data = message.value()
    if data is None:
        return None
    try:
        event = jsonable(decode_any(data)[1])
    except Undecodable as error:
        try:
            return json.loads(data)
        except ValueError:
            return {"undecodable": error.reason, "detail": str(error), "hex": data[:4096].hex()}
    if isinstance(event.get("artifact"), str):  # the original record, carried along: show it decoded too
        event["artifact"] = jsonable(decode_any(bytes.fromhex(event["artifact"]))[1])
    return event


def _text(data: bytes | None) -> str | None:
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
        "t": shown["topic"],
        "p": shown["partition"],
        "o": shown["offset"],
        "T": when(shown["timestamp"]),
        "k": shown["key"] or "",
        "s": json.dumps(shown["value"], ensure_ascii=False),
        "h": ",".join(f"{k}={v}" for k, v in shown["headers"].items()),
    }
    out, i = [], 0
    form = form.replace("\\n", "\n").replace("\\t", "\t")
    while i < len(form):
        if form[i] == "%" and i + 1 < len(form) and form[i + 1] in values:
            out.append(str(values[form[i + 1]]))
            i += 2
        else:
            out.append(form[i])
            i += 1
    return "".join(out)
