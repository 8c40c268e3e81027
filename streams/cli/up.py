"""`icn up`: everything here, in the foreground."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from streams.cli.show import reach, say


@click.command()
@click.option("--workers", default=1, type=click.IntRange(1, 16), show_default=True, help="Processes per stage.")
def up(workers: int) -> None:
    """Run the whole network here until Ctrl-C: broker if none is given, topics, workers, ticks.

    \b
    Example:
      icn up --workers 2
    """
    from streams.runtime.local import UpLock, broker_and_topics
    from streams.runtime.supervisor import Supervisor
    from streams.runtime.worker import setup_logging
    from streams.settings import read_settings
    from streams.topology import load

    topology = load()
    if given := os.environ.get("ICN_BROKERS") or topology.local.get("brokers"):
        reach(given)
    lock = UpLock(read_settings(topology).state)
    lock.take()
    with broker_and_topics(topology, say) as settings:
        setup_logging()
        os.environ["ICN_BROKERS"] = settings.brokers
        say(f"ICN is up: broker {settings.brokers}, state {settings.state}. Ctrl-C stops it.")
        modules: dict[str, Sequence[str]] = {"sealer": ["streams", "audit", "seal"]}
        modules |= {
            f"worker {n}": ["streams", "worker", *(["--no-ticks"] if n > 1 else [])] for n in range(1, workers + 1)
        }
        code = Supervisor(modules, last=("sealer",)).run()
    sys.exit(code)
