"""`icn export`: what was collected, in a form that others read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.moment import Moment
from streams.cli.show import network, progress, say
from streams.words import counted, printable

if TYPE_CHECKING:
    from streams.watch.export import Exported

SHAREABLE = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT")  # the strictest last; RED is for nobody


@click.group()
def export() -> None:
    """Write what was collected for others."""


@export.command()
@click.option(
    "--since", "since_ms", metavar="TIME", type=Moment(), help="Only artifacts that came since: 7d, or a time."
)
@click.option("--until", "until_ms", metavar="TIME", type=Moment(), help="… and before: 1h, or a time.")
@click.option(
    "--tlp-max",
    type=click.Choice(SHAREABLE, case_sensitive=False),
    default=SHAREABLE[-1],
    show_default=True,
    help="Nothing that is marked stricter.",
)
@click.option("--limit", type=click.IntRange(1), help="At most so many artifacts, the first ones of icn top.")
@click.option(
    "--patterns/--no-patterns", "with_patterns", default=True, help="With those of the newest window (default)."
)
@click.option("--simulated", is_flag=True, help="With made-up artifacts; in a simulated deployment they always are.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, writable=True, allow_dash=True),
    help="Write it there instead of to stdout (-).",
)
def stix(
    since_ms: int | None,
    until_ms: int | None,
    tlp_max: str,
    limit: int | None,
    with_patterns: bool,
    simulated: bool,
    output: Path | None,
) -> None:
    """Write a STIX 2.1 bundle of artifacts (the first 10,000 characters of each), who reported them, what repeats what, judges' opinions,
    scenarios and patterns, each with its TLP 2.0 marking. TLP:RED is never exported.

    Times are the broker's, of the newest version of an artifact; with a time in UTC (2026-11-23T12:00:00Z, or ms since 1970) and not "so
    long ago", the same topics give the same bytes. What is left out is told on stderr. Exit code 1 if there is nothing to export.

    \b
    Example:
      icn export stix --since 7d --tlp-max GREEN -o shared.json
      icn export stix --limit 100 --no-patterns > top.json
    """
    from streams.agents.windows_written import newest_window
    from streams.watch.export import export as export_of
    from streams.watch.stix_choice import Choice

    output = None if str(output) == "-" else output
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise click.UsageError("nothing can be since --since and before --until: --since is not the earlier one")
    if output is not None and not output.parent.is_dir():
        raise click.BadParameter(f"there is no folder {output.parent}", param_hint="--output")
    topology, settings = network()
    if topology.simulated or settings.simulated_load:
        say("the deployment is simulated: its artifacts are made up, and are exported all the same")
        simulated = True
    choice = Choice(since_ms, until_ms, tlp_max, limit, simulated)
    patterns: list[dict[str, Any]] = newest_window(topology, settings)[1] if with_patterns else []
    done = export_of(topology, settings, choice, patterns, _reading)
    if not done.text:
        raise _nothing(done)
    if output is None:
        click.echo(done.text.encode(), nl=False)  # bytes: JSON is UTF-8, whatever the terminal's encoding
    else:
        output.write_bytes(done.text.encode())
    for line in _told(done):
        say(line)
    if output is not None:
        say(f"{printable(str(output))} written")


def _reading(topic: str, at: int, of: int) -> None:
    progress(f"reading {topic}: {at:,} of {of:,}")


def _left_out(done: Exported) -> list[str]:
    from streams.watch.stix_choice import REASONS

    return [f"{counted(n, 'artifact')} {REASONS[key]}" for key in REASONS if (n := done.chosen.left_out[key])]


def _nothing(done: Exported) -> Exception:
    from streams.errors import NotFoundError

    if left_out := _left_out(done):
        return NotFoundError(f"nothing to export: {'; '.join(left_out)}")
    return NotFoundError("nothing to export: no artifact was decided so far", "is a worker running? icn status")


def _told(done: Exported) -> list[str]:
    """Lines of what is exported, and what is not."""
    from streams.watch.stix_patterns import REASONS

    lines = [f"exported {counted(len(done.chosen.artifacts), 'artifact')}, {counted(done.objects, 'object')} in all"]
    lines += [f"left out: {line}" for line in _left_out(done)]
    lines += [
        f"left out: {counted(n, 'pattern')} {REASONS[key]}" for key in REASONS if (n := done.patterns_left_out.get(key))
    ]
    if done.patterns_silent:
        what = counted(done.patterns_silent, "pattern")
        lines.append(f"without terms and name: {what} with texts that may not be shared so far, or are gone")
    if done.near_stricter:
        what = counted(done.near_stricter, "exported artifact")
        lines.append(
            f"look at: {what} nearly the same as one that may not be shared so far, with a marking of their own"
        )
    return lines
