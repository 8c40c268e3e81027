"""`icn registry`: the embedded schema registry."""

from __future__ import annotations

import click

from streams.cli.show import network, reach, say


@click.group()
def registry() -> None:
    """Serve the schemas to other tools, Confluent-compatible."""


@registry.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8081, type=click.IntRange(1, 65535), show_default=True, help="Port to listen on.")
def serve(host: str, port: int) -> None:
    """Serve schemas/ and what others register, until Ctrl-C. Additions are kept in the compacted topic _schemas.

    \b
    Example:
      icn registry serve --port 8081
    """
    from streams.broker.registry_http import serve as run

    topology, settings = network(broker=False)
    if settings.brokers:  # without one it serves schemas/ only
        reach(settings.brokers)
    say(f"schema registry at http://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C stops it")
    run(topology, settings, host, port)
