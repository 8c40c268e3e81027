"""`icn soak`: a run of the whole system, with a verdict at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from streams.cli.show import say

STATE = ".icn-soak"


@click.command()
@click.option("--duration", default="72h", show_default=True, help="How long: 72h, 20m, 90s.")
@click.option(
    "--cadence", default="60s", show_default=True, help="Of a tick; all limits that belong to ticks follow it."
)
@click.option(
    "--fleet", type=click.Path(path_type=Path), help="YAML: nodes and targets. Without it, sources are made up."
)
@click.option("--example", is_flag=True, help="Print a fleet to begin with.")
def soak(duration: str, cadence: str, fleet: Path | None, example: bool) -> None:
    """Run everything against a promise of ticks, and judge it at the end: broker (if none is given), stages, sealer, nodes, ticks.

    What ends is started again, and on record. Started again with the same options after it was killed, it goes on with the same promise:
    what was missed is missed. Ctrl-C ends it early, with its report. State: .icn-soak, or --state.

    Exit code: that of icn audit report.

    \b
    Example:
      icn soak --duration 20m --cadence 2s
      icn soak --fleet fleet.yaml
    """
    from streams.errors import IcnError
    from streams.local.fleet import EXAMPLE, read_fleet
    from streams.units import duration_ms

    if example:
        click.echo(EXAMPLE, nl=False)
        return
    from streams.cli.audit_reading import require
    from streams.local.network import UpLock
    from streams.runtime.worker import setup_logging
    from streams.soak.run import Soak
    from streams.soak.state import keep, resume_or_begin
    from streams.topology import load

    require("arch", "jinja2", "matplotlib")
    try:
        duration_ms_, cadence_ms = duration_ms(duration), duration_ms(cadence)
    except ValueError as error:
        raise IcnError(str(error), "for example: --duration 20m --cadence 2s") from error
    if cadence_ms < 1_000 or duration_ms_ < cadence_ms:
        raise IcnError("a tick takes a second at least, and a run one tick", "--duration 20m --cadence 2s")
    if fleet is not None:
        read_fleet(fleet)
    state = Path(os.environ.get("ICN_STATE", STATE)).expanduser().absolute()
    run = resume_or_begin(state, duration_ms_, cadence_ms, fleet)
    lock = UpLock(state)
    lock.take()
    keep(state, run)
    setup_logging()
    if run.made_up:
        say("no --fleet: what is collected is made up, and the report will say so first")
    sys.exit(Soak(state, run, load(), say).run())
