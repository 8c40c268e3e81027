"""`icn exporter`: consumer lag and the network's figures for Prometheus, and for what was written for Burrow."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from streams.cli.serving import every_option, listen_option
from streams.cli.show import network, say


def _regex(_: click.Context, option: click.Parameter, text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise click.UsageError(f"{option.opts[0]} {text!r}: {error}") from error


@click.command()
@listen_option(8000)
@every_option("10s")
@click.option(
    "--cluster", default="", help="Its name in labels and in Burrow's addresses. Default: the deployment's name."
)
@click.option(
    "--allowed", default=0, show_default=True, type=click.IntRange(0), help="Events of lag that count as none."
)
@click.option("--include", metavar="REGEX", callback=_regex, help="Only groups whose whole name matches.")
@click.option("--exclude", metavar="REGEX", callback=_regex, help="No group whose whole name matches.")
@click.option("--members", is_flag=True, help="Label partitions with their owners, as kafka-lag-exporter does.")
def exporter(
    listen: str,
    every_s: float,
    cluster: str,
    allowed: int,
    include: re.Pattern[str] | None,
    exclude: re.Pattern[str] | None,
    members: bool,
) -> None:
    """Serve metrics of every group on the cluster and of this network, until Ctrl-C. It only reads.

    \b
    /metrics     for Prometheus: kafka-lag-exporter's names, and icn_…
    /v3/kafka/…  for what was written for Burrow
    /ready       200 while the last look is fresh; /health: 200 while it goes on looking

    \b
    Example:
      icn exporter
      icn exporter --listen 0.0.0.0:8000 --every 30s --cluster production
      icn exporter --exclude 'console-consumer-.*|test-.*'
    """
    from streams.exporter.exporter import Exporter
    from streams.exporter.http import serve
    from streams.http_server import address, url
    from streams.http_server import listen as listen_on
    from streams.runtime.worker import setup_logging

    topology, settings = network()
    setup_logging()
    with listen_on(*address(listen)) as listening:
        say(f"metrics at {url(listening)}/metrics, a look every {every_s:g} s; Ctrl-C stops it")
        name, wanted = cluster or topology.deployment, _wanted(include, exclude)
        serve(Exporter(topology, settings, name, every_s, allowed, members, wanted), listening)


def _wanted(include: re.Pattern[str] | None, exclude: re.Pattern[str] | None) -> Callable[[str], bool]:
    def is_wanted(group: str) -> bool:
        if include is not None and not include.fullmatch(group):
            return False
        return exclude is None or not exclude.fullmatch(group)

    return is_wanted
