"""`icn replay`: anyone can check every decision from the topics alone."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from streams.cli.moment import Moment
from streams.cli.policies import diff
from streams.cli.show import json_option, network, print_json, progress, table


@click.group(invoke_without_command=True)
@click.option("--verify", is_flag=True, help="Recompute and compare. Read only.")
@click.option("--stage", "stages", multiple=True, help="Only this stage, or coordinator (repeat).")
@click.option("--from", "from_ms", type=Moment(), help="Compare only what was decided from this time on (broker time).")
@click.option("--to", "to_ms", type=Moment(), help="… and before this time.")
@json_option
@click.pass_context
def replay(
    context: click.Context,
    /,
    verify: bool,
    stages: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    as_json: bool,
) -> None:
    """Recompute the decisions of every stage from its input topics, along the recorded batches, and compare byte for byte; and the
    coordinator's steps.

    Exit code 0: all identical, and the conservation equation balances. 1: a difference, the first one with its coordinates. 2: could not
    judge (other rule version, pruned by retention, nothing there).

    \b
    Example:
      icn replay --verify
      icn replay --verify --stage s2 --from 2026-11-23T12:00:00Z
      icn replay diff --policy careful.yaml
    """
    if context.invoked_subcommand is not None:
        if verify:
            raise click.UsageError(f"--verify or {context.invoked_subcommand}, not both")
        return
    if not verify:
        raise click.UsageError("say what to do: icn replay --verify, or icn replay diff --policy FILE")
    sys.exit(verify_all(stages, from_ms, to_ms, as_json))


def verify_all(
    stages: tuple[str, ...] = (), from_ms: int | None = None, to_ms: int | None = None, as_json: bool = False
) -> int:
    """The exit code."""
    from streams.agents.coordinator import STAGE as COORDINATOR
    from streams.broker.deployment_key import check_key
    from streams.replay.conservation import balance
    from streams.replay.coordination import verify_coordinator
    from streams.replay.follow import read_history
    from streams.replay.phoenix import verify_feed
    from streams.replay.verify import SHOWN_MAX
    from streams.replay.verify import verify as verify_stage
    from streams.replay.windows import verify_windows
    from streams.runtime.rules import rule_version
    from streams.runtime.worker import load_stage

    topology, settings = network()
    check_key(topology, settings)
    history = read_history(topology, settings)
    results = []
    named = [one for stage in stages if stage != COORDINATOR for one in topology.named(stage)]
    woken = {"s5_patterns": verify_windows, "s6_phoenix": verify_feed}
    wanted = named if stages else [*topology.agents, *topology.windows]
    for name in wanted:
        if name in topology.windows:
            rule = rule_version(topology)
            results.append(woken[name](topology, settings, rule, from_ms, to_ms, progress))
            continue
        stage, rule = load_stage(name, topology, settings)
        results.append(verify_stage(topology, settings, stage, rule, history, from_ms, to_ms, progress))
    if not stages or COORDINATOR in stages:
        rule = rule_version(topology)
        results.append(verify_coordinator(topology, settings, rule, from_ms, to_ms, progress))
    sums = balance(topology, settings, history, progress)
    found = [finding for result in results for finding in result.findings]
    wrong = [finding for finding in found if finding.judged]
    compared = sum(result.compared for result in results)
    code = 1 if wrong or sums.residual else 2 if found or not compared or not sums.submitted else 0
    if as_json:
        print_json(
            {
                "verdict": ("identical", "different", "not judged")[code],
                "stages": [asdict(r) for r in results],
                "conservation": asdict(sums) | {"in_flight": sums.in_flight, "residual": sums.residual},
            }
        )
        return code
    table(
        ("stage", "batches", "inputs recomputed", "outputs compared", "differences"),
        [(r.stage, r.batches, r.decided, r.compared, sum(f.judged for f in r.findings)) for r in results],
        right=(1, 2, 3, 4),
    )
    for result in results:
        if result.left_out:
            click.echo(
                f"{result.stage}: {result.left_out} batches are pruned by retention and not judged; "
                f"{result.seeded} of their rows were taken from the decisions that read them"
            )
        if result.follow:
            click.echo(f"{result.stage}: {result.follow} batches follow from one that differs and are not judged")
    for finding in found[:SHOWN_MAX]:
        click.echo(f"{finding.kind} {finding.where}\n  {finding.detail}")
    if len(found) > SHOWN_MAX:
        click.echo(f"… and {len(found) - SHOWN_MAX} more (--json)")
    click.echo(conservation_line(sums))
    click.echo(
        (
            "identical: every output is what its inputs give, byte for byte",
            "DIFFERENT: see above",
            "not judged: "
            + (found[0].detail if found else "nothing was decided" + (" in that time" if from_ms or to_ms else " yet")),
        )[code]
    )
    return code


def conservation_line(sums) -> str:  # type: ignore[no-untyped-def]
    """The equation with its numbers."""
    parts = " + ".join(f"{number} {name.replace('_', '-')}" for name, number in sums.outcomes.items())
    return f"{sums.submitted} submitted = {parts} + {sums.in_flight} in flight; residual {sums.residual}"


replay.add_command(diff)
