"""`icn dlq`: what could not be processed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from streams.cli.cat import as_text, decoded
from streams.cli.show import clip, confirm, json_option, network, print_json, progress, say, table
from streams.words import counted, when

if TYPE_CHECKING:
    from streams.agents.letters import Letter


@click.group()
def dlq() -> None:
    """Look at dead letters, the original bytes, where they came from and why; and send them again."""


def _json(one: Letter) -> dict[str, Any]:
    return {
        "id": one.id,
        "time_ms": one.time_ms,
        **one.about,
        "open": one.is_open,
        "key": as_text(one.key),
        "value": one.value,
        "bytes": len(one.value or b""),
    }


@dlq.command("list")
@click.argument("topic", required=False)
@click.option("--last", default=50, type=click.IntRange(1), show_default=True, help="How many of the newest.")
@click.option("--all", "every", is_flag=True, help="With those that were sent again.")
@json_option
def list_(topic: str | None, last: int, every: bool, as_json: bool) -> None:
    """List dead letters, newest last, and count the reasons. Those that were sent again are left out, but for --all. Exit code 1 if there
    are any.

    \b
    Example:
      icn dlq list artifacts.raw
    """
    from streams.agents.letters import letters as of

    letters = [_json(one) for one in of(*network(), topic) if every or one.is_open]
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
    from streams.agents.letters import aliases, letters
    from streams.errors import IcnError, NotFoundError

    topology, settings = network()
    topic, _, place = letter_id.partition("/")
    if not place:
        raise IcnError(
            f'"{letter_id}" names no dead letter', "icn dlq list shows their ids, for example artifacts.raw.dlq/0/3"
        )
    (dead,) = aliases(topology, topic)
    own = topology.topic(topic).alias == dead
    found = next(
        (
            _json(one)
            for one in letters(topology, settings, topic)
            if place == (f"{one.partition}/{one.offset}" if own else f"{one.about['partition']}/{one.about['offset']}")
        ),
        None,
    )
    if found is None:
        raise NotFoundError(f'no dead letter "{letter_id}"', f"icn dlq list {dead}")
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


@dlq.command()
@click.argument("topic", required=False)
@click.option("--reason", "reasons", multiple=True, help="Only letters of this reason (repeat).")
@click.option("--limit", type=click.IntRange(1), help="At most so many, the oldest first.")
@click.option(
    "--rate", default=100.0, show_default=True, type=click.FloatRange(0.1, 1e6), help="At most so many a second."
)
@click.option(
    "--attempts",
    default=3,
    show_default=True,
    type=click.IntRange(1, 99),
    help="What has failed more often is left alone.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be sent.")
@click.option("--yes", is_flag=True, help="Send without asking.")
@json_option
def redrive(
    topic: str | None,
    reasons: tuple[str, ...],
    limit: int | None,
    rate: float,
    attempts: int,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Send dead letters again to the topic they came from: key, bytes, headers and partition as they were. Each once, also if this is
    broken off and called again; one that fails again is a new letter of a higher attempt.

    Only of topics that nodes, judges and collectors write: a record on the others that no batch explains would be an invented one.

    \b
    Example:
      icn dlq redrive artifacts.raw --reason bad_signature --dry-run
      icn dlq redrive --limit 10 --yes
    """
    from streams.agents.letters import letters
    from streams.audit.record.process import operator_action, this_command
    from streams.replay.redrive import plan
    from streams.replay.redrive import redrive as send

    topology, settings = network()
    made = plan(topology, letters(topology, settings, topic), reasons, attempts, limit)
    sums = Counter((one.source, str(one.about["reason"]), one.attempt) for one in made.chosen)
    if not as_json:
        for why, number in made.left.most_common():
            say(f"left: {counted(number, 'letter')} {why}")
        if made.chosen:
            rows = [(source, reason, attempt, n) for (source, reason, attempt), n in sums.most_common()]
            table(("to", "reason", "attempt", "letters"), rows, right=(2, 3))
    sent = 0
    if made.chosen and not dry_run:
        if not yes:
            confirm(f"send {counted(len(made.chosen), 'letter')} again?")
        sent = send(topology, settings, made.chosen, rate, lambda n: progress(f"{n} of {len(made.chosen)} sent"))
        operator_action(topology, settings, this_command(), f"{counted(sent, 'dead letter')} sent again")
    if as_json:
        told = [
            {"to": source, "reason": reason, "attempt": attempt, "letters": n}
            for (source, reason, attempt), n in sums.most_common()
        ]
        print_json({"chosen": told, "left": dict(made.left), "sent": sent, "dry_run": dry_run})
    else:
        click.echo(
            f"{counted(len(made.chosen), 'letter')} would be sent"
            if dry_run
            else f"{counted(sent, 'letter')} sent again"
        )
