"""`icn up`: everything here, in the foreground."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from streams.cli.show import reach, say


@click.command()
@click.option("--workers", default=1, type=click.IntRange(1, 16), show_default=True, help="Processes per stage.")
@click.option("--fleet", type=click.Path(path_type=Path), help="YAML: nodes that run here too, and their targets.")
@click.option("--example", is_flag=True, help="Print a fleet to begin with.")
def up(workers: int, fleet: Path | None, example: bool) -> None:
    """Run the whole network here until Ctrl-C: broker if none is given, topics, stages, sealer, ticks, and the nodes of a fleet.

    What ends is started again, and on record; every tenth tick a line says how it goes.

    \b
    Example:
      icn up --workers 2
      icn up --fleet fleet.yaml
    """
    from streams.agents.coordinator import rules_of
    from streams.agents.promise import endless
    from streams.audit.record.schedule import KeptSchedule
    from streams.local.fleet import EXAMPLE, install, read_fleet
    from streams.local.keeper import Keeper, modules_of
    from streams.local.network import UpLock, broker_and_topics
    from streams.runtime.worker import setup_logging
    from streams.settings import read_settings
    from streams.topology import load
    from streams.words import when

    if example:
        click.echo(EXAMPLE, nl=False)
        return
    topology = load()
    wanted = None if fleet is None else read_fleet(fleet)
    if given := os.environ.get("ICN_BROKERS") or topology.local.get("brokers"):
        reach(given)
    state = read_settings(topology).state
    lock = UpLock(state)  # held by its file, which ends with this name
    lock.take()
    with broker_and_topics(topology, say) as (settings, broker):
        setup_logging()
        os.environ["ICN_BROKERS"] = settings.brokers
        nodes = {} if wanted is None else install(topology, settings, wanted, state / "fleet")
        kept = KeptSchedule(state / "audit" / "ticks.schedule")
        schedule = kept.resume_or_begin(endless(rules_of(topology).cadence_ms))
        keeper = Keeper("up", topology, settings, broker, modules_of(workers, nodes=nodes), schedule, kept, say)
        say(f"ICN is up: broker {settings.brokers}, state {state}. Ctrl-C stops it.")
        say(
            f"{schedule.text()}; they count from {when(schedule.t0_ms)}, collecting begins as soon as the stages are there"
        )
        code = keeper.run(lambda: None)
        keeper.end()
    sys.exit(code)
