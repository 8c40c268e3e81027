"""`icn rebuild`: tables again from topics."""

from __future__ import annotations

import click

from streams.cli.show import network, say


@click.command()
@click.argument("stages", nargs=-1, metavar="[STAGE]…")
@click.option("--execute", is_flag=True, help="Do it. Without: only say what would be done.")
def rebuild(stages: tuple[str, ...], execute: bool) -> None:
    """Wipe a stage's tables and rebuild them from its input topics, along its recorded batches. Outputs are not written again.

    Stop the workers first. The changelog is deleted and made anew, so a damaged row is gone for good.

    \b
    Example:
      icn rebuild s2              what would be done
      icn rebuild s2 --execute
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.replay.rebuild import plan, run

    topology, settings = network()
    for name in [topology.agent(stage).name for stage in stages] or list(topology.agents):
        steps = plan(topology, settings, topology.agent(name))
        for step in steps:
            click.echo(f"{name}: {step}")
        if execute:
            rows = run(topology, settings, topology.agent(name), say)
            click.echo(f"{name}: {rows} rows rebuilt")
    if execute:
        operator_action(topology, settings, this_command())
    if not execute:
        click.echo("nothing was done; --execute does it")
