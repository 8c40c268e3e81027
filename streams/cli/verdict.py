"""`icn verdict`: say whether an artifact is true."""

from __future__ import annotations

import sys

import click

from streams.cli.show import json_option, network, print_json


@click.command()
@click.argument("artifact_id", metavar="ARTIFACT")
@click.argument("outcome", type=click.Choice(["confirmed", "refuted", "unclear"]))
@click.option("--judge", "name", required=True, help="Who says so: a registered judge (icn judge register).")
@click.option("--node", "node_id", help="Whose artifact, where several nodes used the same id.")
@click.option("--reason", help="Why, in your words; it is kept with the verdict.")
@json_option
def verdict(artifact_id: str, outcome: str, name: str, node_id: str | None, reason: str | None, as_json: bool) -> None:
    """Judge an artifact, and say whether the verdict counts for its node's reputation. Exit code 1 if it doesn't.

    A judge's first verdict on an artifact stands. Verdicts on what one's own principal sent count nothing; unclear is kept on record, and
    counts nothing either.

    \b
    Example:
      icn verdict 01a20a73-a527-7893-b6eb-7dbf6b42db83 refuted --judge carol --reason "a clean installer"
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.sdk.judge import Judge

    topology, settings = network()
    with Judge(name, topology=topology) as judge:
        vote = judge.say(judge.find(artifact_id, node_id), outcome, reason)
    operator_action(topology, settings, this_command(), reason or "")
    if as_json:
        print_json({field: getattr(vote, field) for field in vote.__dataclass_fields__})
    elif outcome == vote.ignored == "unclear":
        click.echo(f"{artifact_id} unclear: on record at {vote.at}, counts nothing")
    elif vote.ignored is not None:
        click.echo(f"{artifact_id} {outcome}: counts nothing ({vote.ignored}): {vote.detail}")
    else:
        tested = "tested against its claim" if vote.tested else "its claim was tested before, by another verdict"
        when = "in the score when the hour ends, at once if it proves inflation"
        click.echo(
            f"{artifact_id} {outcome}: weighs {vote.weight:g} for {vote.node_id}, {tested}; {when}; at {vote.at}"
        )
    sys.exit(1 if vote.ignored not in (None, outcome) else 0)
