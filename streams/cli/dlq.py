"""`icn dlq`: what could not be processed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

import click

from streams.cli.cat import as_text, decoded
from streams.cli.show import clip, json_option, network, print_json, table
from streams.words import when


@click.group()
def dlq() -> None:
    """Look at dead letters: the original bytes, where they came from, and why."""


def _topics(topology: Any, topic: str | None) -> list[Any]:
    """The dead letters' topics: all, or that of this topic, by alias or full name, with or without .dlq. Raises TopologyError."""
    from streams.errors import TopologyError

    all_ = {alias: declared for alias, declared in topology.topics.items() if alias.endswith(".dlq")}
    if topic is None:
        return list(all_.values())
    alias = topology.topic(topic).alias.removesuffix(".dlq")
    if f"{alias}.dlq" not in all_:
        raise TopologyError(f'topic "{topic}" has no dead letters', f"known: {', '.join(all_)}")
    return [all_[f"{alias}.dlq"]]


def _letters(topology: Any, settings: Any, topic: str | None = None) -> list[dict[str, Any]]:
    from streams.broker.topics import fold

    found = [
        (message, declared.alias) for declared in _topics(topology, topic) for message in fold(settings, declared.name)
    ]
    found.sort(key=lambda pair: (pair[0].timestamp()[1], pair[1], pair[0].partition(), pair[0].offset()))
    return [_letter(alias, message) for message, alias in found]


def _letter(alias: str, message: Any) -> dict[str, Any]:
    from streams.runtime.reread import as_record

    headers = {
        k[8:]: (v or b"").decode(errors="replace")
        for k, v in as_record(message).headers or ()
        if k.startswith("icn_dlq_")
    }
    why: dict[str, Any] = dict.fromkeys(("topic", "partition", "offset", "reason", "detail"), "-") | headers
    for name in ("partition", "offset", "timestamp_ms", "attempt"):
        if why.get(name, "").isdecimal():
            why[name] = int(why[name])
    return {
        "id": f"{alias}/{message.partition()}/{message.offset()}",
        "time_ms": message.timestamp()[1],
        **why,
        "key": as_text(message.key()),
        "value": message.value(),
        "bytes": len(message.value() or b""),
    }


@dlq.command("list")
@click.argument("topic", required=False)
@click.option("--last", default=50, type=click.IntRange(1), show_default=True, help="How many of the newest.")
@json_option
def list_(topic: str | None, last: int, as_json: bool) -> None:
    """List dead letters, newest last, and count the reasons. Exit code 1 if there are any.

    \b
    Example:
      icn dlq list artifacts.raw
    """
    letters = _letters(*network(), topic)
    if as_json:
        print_json([{k: v for k, v in letter.items() if k != "value"} for letter in letters[-last:]])
    elif letters:
        table(
            ("id", "time", "reason", "bytes", "from", "detail"),
            [
                (
                    x["id"],
                    when(x["time_ms"]),
                    x["reason"],
                    x["bytes"],
                    f"{x['topic']}/{x['partition']}/{x['offset']}",
                    clip(x["detail"], 80),
                )
                for x in letters[-last:]
            ],
            right=(3,),
        )
        click.echo(
            "  ".join(f"{reason}: {number}" for reason, number in Counter(x["reason"] for x in letters).most_common())
        )
    else:
        click.echo("no dead letters")
    sys.exit(1 if letters else 0)


@dlq.command()
@click.argument("letter_id", metavar="ID")
@json_option
def show(letter_id: str, as_json: bool) -> None:
    """Show one dead letter with its bytes. Exit code 1 if there is none.

    ID: its coordinates as `icn dlq list` shows them, or those of the record it was.

    \b
    Example:
      icn dlq show artifacts.raw.dlq/0/3
      icn dlq show icn.artifacts.raw/0/17
    """
    from streams.errors import IcnError, NotFoundError

    topology, settings = network()
    topic, _, place = letter_id.partition("/")
    if not place:
        raise IcnError(
            f'"{letter_id}" names no dead letter', "icn dlq list shows their ids, for example artifacts.raw.dlq/0/3"
        )
    (dead,) = _topics(topology, topic)
    own = topology.topic(topic) is dead
    found = next(
        (
            x
            for x in _letters(topology, settings, topic)
            if place == (x["id"].partition("/")[2] if own else f"{x['partition']}/{x['offset']}")
        ),
        None,
    )
    if found is None:
        raise NotFoundError(f'no dead letter "{letter_id}"', f"icn dlq list {dead.alias}")
    data = found["value"] or b""
    found["decoded"] = decoded(data)
    if as_json:
        print_json(found)
        return
    times = {"time_ms": ("time", when(found["time_ms"]))}
    if isinstance(found.get("timestamp_ms"), int):
        times["timestamp_ms"] = ("sent", when(found["timestamp_ms"]))
    for name, value in found.items():
        if name not in ("value", "decoded"):
            label, text = times.get(name, (name, value))
            click.echo(f"{label:14} {clip(str(text), 1000)}")
    click.echo(f"{'value':14} {json.dumps(found['decoded'], ensure_ascii=False)}")
    for start in range(0, min(len(data), 512), 16):
        row = data[start : start + 16]
        click.echo(f"  {start:06x}  {row.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}")
    if len(data) > 512:
        click.echo(f"  … {len(data) - 512} more bytes (--json has all, as hex)")
