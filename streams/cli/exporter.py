"""`icn exporter`: consumer lag and the network's figures for Prometheus, and for what was written for Burrow."""

from __future__ import annotations

import click

from streams.cli.serving import every_option, listen_option
from streams.cli.show import network, say


@click.command()
@listen_option(8000)
@every_option("10s")
@click.option(
    "--cluster", default="", help="Its name in labels and in Burrow's addresses. Default: the deployment's name."
)
@click.option(
    "--allowed", default=0, show_default=True, type=click.IntRange(0), help="Events of lag that count as none."
)
@click.option("--members", is_flag=True, help="Label partitions with their owners, as kafka-lag-exporter does.")
def exporter(listen: str, every_s: float, cluster: str, allowed: int, members: bool) -> None:
    """Serve metrics of every group on the cluster and of this network, until Ctrl-C. It only reads.

    \b
    /metrics     for Prometheus: kafka-lag-exporter's names, and icn_…
    /v3/kafka/…  for what was written for Burrow
    /ready       200 while the last look is fresh; /health: 200 while it goes on looking

    \b
    Example:
      icn exporter
      icn exporter --listen 0.0.0.0:8000 --every 30s --cluster production
    """
    from streams.exporter.exporter import Exporter
    from streams.exporter.http import serve
    from streams.http_server import address, url
    from streams.http_server import listen as listen_on

    topology, settings = network()
    with listen_on(*address(listen)) as listening:
        say(f"metrics at {url(listening)}/metrics, a look every {every_s:g} s; Ctrl-C stops it")
        serve(Exporter(topology, settings, cluster or topology.deployment, every_s, allowed, members), listening)
