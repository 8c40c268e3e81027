"""`icn judge`: who may say whether an artifact is true."""

from __future__ import annotations

import math
from collections import Counter

import click

from streams.cli.show import clip, json_option, network, print_json, say, table
from streams.words import counted, when


@click.group()
def judge() -> None:
    """Register judges, and see what became of their verdicts."""


@judge.command()
@click.argument("name")
@click.option("--principal", required=True, help="Person or organisation that answers for the judge.")
@click.option(
    "--weight", default=1.0, type=click.FloatRange(0, 1), show_default=True, help="What one of its verdicts weighs."
)
@click.option(
    "--rotate", is_flag=True, help="Change a registered judge, and give it a new token; the old one is revoked."
)
@json_option
def register(name: str, principal: str, weight: float, rotate: bool, as_json: bool) -> None:
    """Register a judge and print its token; it is also kept in the state folder, where `icn verdict` finds it.

    A node is a judge too if both are registered under one name; then its votes also weigh by its own reputation.

    \b
    Example:
      icn judge register carol --principal carol
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.registrations import JUDGE, in_force, register_judge, registered, token_path
    from streams.errors import IcnError

    for what, text in (("judge", name), ("principal", principal)):
        if not text.strip() or not text.isprintable():
            raise IcnError(f"{what} {text!r}: at least one character, none of them a control character")
    if math.isnan(weight):  # no range keeps it out
        raise IcnError("weight nan: a number from 0 to 1", "what one verdict of this judge weighs beside others'")
    topology, settings = network()
    if rotate and name not in registered(topology, settings, JUDGE):
        raise IcnError(f'judge "{name}" is not registered, so it has no token to rotate', "leave out --rotate")
    made = register_judge(topology, settings, name, principal, weight, rotate)
    operator_action(topology, settings, this_command())
    live = in_force(topology, settings, made["partition"], made["offset"], 10, "s3_reputation")
    if as_json:
        keys = ("principal", "weight", "generation", "token")
        print_json({"judge": name, **{key: made[key] for key in keys}, "in_force": live})
        return
    click.echo(made["token"])
    say(f"{name}: generation {made['generation']}, token kept in {token_path(settings, name, JUDGE)}")
    say("in force" if live else "written; it takes effect when a reputation worker runs (icn worker s3)")


@judge.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List registered judges.

    \b
    Example:
      icn judge list
    """
    from streams.broker.registrations import JUDGE, registered

    topology, settings = network()
    judges = registered(topology, settings, JUDGE)
    keys = ("principal", "weight", "generation", "registered_ms")
    rows = [{"judge": name} | {key: judges[name][key] for key in keys} for name in sorted(judges)]
    if as_json:
        print_json(rows)
    else:
        table(
            ("judge", "principal", "weight", "generation", "registered"),
            [(r["judge"], r["principal"], f"{r['weight']:g}", r["generation"], when(r["registered_ms"])) for r in rows],
            right=(2, 3),
        )


@judge.command()
@click.argument("name")
@click.option(
    "-n",
    "--count",
    default=10,
    show_default=True,
    type=click.IntRange(0, 10_000),
    help="How many of the last verdicts.",
)
@json_option
def show(name: str, count: int, as_json: bool) -> None:
    """Show what became of a judge's verdicts: how many counted, and why the others did not. A trainer is a judge too.

    \b
    Example:
      icn judge show trainer-1
    """
    from streams.broker.registrations import JUDGE, registered
    from streams.errors import NotFoundError
    from streams.watch.reputation import votes_of

    topology, settings = network()
    about, votes = registered(topology, settings, JUDGE).get(name), votes_of(topology, settings, name)
    if about is None:
        raise NotFoundError(f'judge "{name}" is not registered', "icn judge list")
    sums = Counter((vote["outcome"], vote["ignored"]) for vote in votes)
    newest = votes[len(votes) - count :] if count else []
    if as_json:
        told = [{"outcome": outcome, "ignored": ignored, "votes": n} for (outcome, ignored), n in sums.most_common()]
        print_json(
            {"judge": name, "principal": about["principal"], "weight": about["weight"], "sums": told, "newest": newest}
        )
        return
    click.echo(f"{name} of {about['principal']}, weight {about['weight']:g}: {counted(len(votes), 'verdict')}")
    rows = [
        (outcome, "yes" if ignored is None else f"no: {ignored}", n) for (outcome, ignored), n in sums.most_common()
    ]
    table(("verdict", "counts", "how many"), rows, right=(2,))
    if newest:
        click.echo("")
        columns = ("time", "verdict", "weighs", "node", "artifact", "why it counts nothing")
        cells = [
            (
                when(v["voted_ms"])[:19],
                v["outcome"],
                f"{v['weight']:g}",
                clip(v["node_id"], 20),
                v["artifact_id"],
                v["detail"] or "",
            )
            for v in newest
        ]
        table(columns, cells, right=(2,), whole=(4,))
