"""`icn dlq`: what could not be processed."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import click

from streams.cli.show import clip, json_option, network, print_json, table, when


@click.group()
def dlq() -> None:
    """Look at dead letters: the original bytes, where they came from, and why."""


def _letters(topic: str | None) -> list[dict[str, Any]]:
    from streams.broker.topics import fold

    topology, settings = network()
    found = []
    for alias, declared in topology.topics.items():
        if alias.endswith(".dlq") and topic in (None, alias, declared.name, alias.removesuffix(".dlq")):
            for message in fold(settings, declared.name):
                why = {k[8:]: v.decode() for k, v in message.headers() or () if k.startswith("icn_dlq_")}
                found.append(
                    {
                        "id": f"{alias}/{message.partition()}/{message.offset()}",
                        "time_ms": message.timestamp()[1],
                        **why,
                        "key": message.key(),
                        "value": message.value(),
                        "bytes": len(message.value() or b""),
                    }
                )
    return sorted(found, key=lambda x: (x["time_ms"], x["topic"], int(x["partition"]), int(x["offset"])))


@dlq.command("list")
@click.argument("topic", required=False)
@click.option("--last", default=50, show_default=True, help="How many of the newest.")
@json_option
def list_(topic: str | None, last: int, as_json: bool) -> None:
    """List dead letters, newest last, and count the reasons. Exit code 1 if there are any.

    \b
    Example:
      icn dlq list artifacts.raw
    """
    letters = _letters(topic)
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
    """Show one dead letter with its bytes.

    \b
    Example:
      icn dlq show artifacts.raw.dlq/0/3
    """
    from streams.errors import IcnError

    found = next((x for x in _letters(letter_id.split("/")[0]) if x["id"] == letter_id), None)
    if found is None:
        raise IcnError(f'no dead letter "{letter_id}"', "icn dlq list")
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name != "value":
            click.echo(f"{name:14} {value!r}" if isinstance(value, bytes) else f"{name:14} {value}")
    data = found["value"] or b""
    for start in range(0, min(len(data), 512), 16):
        row = data[start : start + 16]
        click.echo(f"  {start:06x}  {row.hex(' '):47}  {''.join(chr(b) if 32 <= b < 127 else '.' for b in row)}")
    if len(data) > 512:
        click.echo(f"  … {len(data) - 512} more bytes (--json has all, as hex)")
