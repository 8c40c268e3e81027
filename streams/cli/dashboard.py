"""`icn dashboard`: one live page of the network."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click

from streams.cli.serving import every_option, listen_option
from streams.cli.show import network, say

TOKENS = "dashboard.tokens"


@click.command()
@listen_option(8050)
@every_option("2s")
@click.option(
    "--tokens",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"File with a line `role token` each. Default beyond this machine: <state>/{TOKENS}, made if it is missing.",
)
def dashboard(listen: str, every_s: float, tokens: Path | None) -> None:
    """Serve one live page of the network, until Ctrl-C. It only reads, and only topics: it can run far from the workers.

    \b
    On this machine whoever opens it sees all. Beyond it each needs a token:
      viewer    sums, no names
      auditor   nodes, reputations, priorities, patterns, what was fed
      operator  every group on the cluster, partitions in trouble, dead letters

    \b
    Example:
      icn dashboard
      icn dashboard --listen 0.0.0.0:8050
    """
    from streams.dashboard.http import Dashboard, serve
    from streams.dashboard.roles import read_tokens
    from streams.http_server import address, url
    from streams.http_server import listen as listen_on
    from streams.runtime.worker import setup_logging

    topology, settings = network()
    setup_logging()
    host, port = address(listen)
    known = read_tokens(tokens or settings.state / TOKENS) if tokens or not _is_loopback(host) else None
    with listen_on(host, port) as listening:
        for token, role in ({} if known is None else known).items():
            say(f"{role.name + ':':<10} {url(listening)}/?token={token}")
        if known is None:
            say(f"{url(listening)}/ for whoever is on this machine; Ctrl-C stops it")
        serve(Dashboard(topology, settings, known, every_s), listening)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
