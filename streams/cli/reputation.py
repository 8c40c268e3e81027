"""`icn reputation`: how far each node is to be believed, and why."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.words import counted, when


@click.group()
def reputation() -> None:
    """Look at reputations, and attack them in a simulation."""


@reputation.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List every node's score with its uncertainty, grade, E-value and quota.

    \b
    Example:
      icn reputation list
    """
    from streams.watch.reputation import reputations

    topology, settings = network()
    found = reputations(topology, settings)
    rows = [{k: v for k, v in found[name].items() if k != "state"} for name in sorted(found)]
    if as_json:
        print_json(rows)
        return
    table(
        ("node", "grade", "score", "±", "effective", "success", "outcomes", "E", "quota", "revision", "since", "notes"),
        [
            (
                r["node_id"],
                r["grade"],
                f"{r['score']:.2f}",
                f"{r['uncertainty']:.2f}",
                f"{r['effective']:.2f}",
                ("later" if r["outcomes"] else "undecided")
                if r["success_rate"] is None
                else f"{r['success_rate']:.0%}",
                r["outcomes"],
                f"{r['e_value']:.2f}",
                r["quota"] or "no limit",
                r["revision"],
                when(r["at_ms"]),
                ", ".join(_notes(r)) or "-",
            )
            for r in rows
        ],
        right=(2, 3, 4, 5, 6, 7, 8, 9),
    )
    if not rows:
        say("no node is known yet: icn node register; s3 must run (icn status)")


@reputation.command()
@click.argument("node_id", metavar="NODE")
@click.option("-n", "--last", default=20, show_default=True, type=click.IntRange(1), help="So many revisions.")
@json_option
def show(node_id: str, last: int, as_json: bool) -> None:
    """Tell the story of one node's score: each revision with its evidence and coordinates. Exit code 1 if nothing is known.

    \b
    Example:
      icn reputation show node-7
    """
    from streams.errors import NotFoundError
    from streams.watch.reputation import pending, story

    topology, settings = network()
    revisions = story(topology, settings, node_id)
    if not revisions:
        raise NotFoundError(f'nothing known of node "{node_id}"', "icn node list shows who is registered")
    waiting = pending(topology, settings, node_id, revisions[-1]["published_ms"])
    for revision in revisions:
        revision.pop("state")
    if as_json:
        print_json({"node_id": node_id, "votes_since": waiting, "revisions": revisions})
    else:
        rules = topology.protocol["reputation"]
        for line in _told(revisions[-1], rules, topology.simulated):
            click.echo(line)
        if waiting:
            counting = {word: number for word, number in waiting.items() if word in ("confirmed", "refuted")}
            for words, what in (
                (counting, "in the score when the hour ends"),
                ({word: number for word, number in waiting.items() if word not in counting}, "they count nothing"),
            ):
                if words:
                    said = ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
                    click.echo(f"votes since: {said}; {what}")
        click.echo()
        table(
            ("revision", "at", "cause", "step", "score", "effective", "E", "evidence", "coordinates"),
            [
                (
                    r["revision"],
                    when(r["at_ms"]),
                    r["cause"],
                    f"{r['step']:+.3f}",
                    f"{r['score']:.3f}",
                    f"{r['effective']:.3f}",
                    f"{r['e_value']:.2f}",
                    "; ".join(_evidence(r)) or "-",
                    r["at"],
                )
                for r in revisions[-last:]
            ],
            right=(0, 3, 4, 5, 6),
        )


def _told(r: dict[str, Any], rules: dict[str, Any], simulated: bool) -> list[str]:
    """The newest revision in words."""
    from streams.domain.admiralty import GRADES_IN_WORDS

    limit = 1 / rules["inflation"]["level"]
    lines = ["SIMULATED deployment: nothing here is a real node's reputation."] if simulated else []
    lines.append(
        f"{r['node_id']} (principal {r['principal']}): score {r['score']:.3f} ± {r['uncertainty']:.3f}, grade {r['grade']}: "
        f"{GRADES_IN_WORDS[r['grade']]}; its priorities are multiplied by {r['effective']:.3f}"
    )
    if not r["outcomes"]:
        lines.append("outcomes: none yet, so undecided")
    elif r["success_rate"] is None:
        lines.append(f"outcomes: {r['outcomes']}, of an hour that is not over; its success rate is told then")
    else:
        lines.append(
            f"outcomes: {r['outcomes']}, {r['success_rate']:.0%} of their weight speaks for it (newer ones weigh more)"
        )
    if r["probation_left"]:
        lines.append(
            f"probation: {counted(math.ceil(r['probation_left']), 'outcome')} to go; until then at most {rules['initial']:g}"
        )
    lines.append(
        f"claims: E = {r['e_value']:.3g} after {counted(r['epochs'], 'epoch')} with tests; at {limit:.3g} they would be called inflated"
        + (", as they were: it is at the floor" if r["demoted"] else "")
    )
    if r["against"]:
        said = ", ".join(f"{name} ×{factor:.3g}" for name, factor in sorted(r["against"].items()))
        bound = rules["inflation"]["alone_max"]
        lines.append(
            f"judges against it: {said}; those who weigh less than 1 bring E to {bound:g} and no further, alone"
        )
    lines.append(f"quota: {r['quota'] or 'no limit'}{' artifacts an hour' if r['quota'] else ''}")
    lines += [f"doubt: {note}" for note in _notes(r) if not note.startswith(("probation", "inflated"))]
    if r["ignored"]:
        lines.append(
            "votes ignored: " + ", ".join(f"{number} {reason}" for reason, number in sorted(r["ignored"].items()))
        )
    return lines


def _notes(r: dict[str, Any]) -> list[str]:
    notes = []
    if r["probation_left"]:
        notes.append(f"probation, {math.ceil(r['probation_left'])} to go")
    if r["demoted"]:
        notes.append("inflated claims")
    if r["anomalous"]:
        notes.append("claims far more than others, untested: halved")
    if r["suspicious_hours"]:
        notes.append(f"voted too much: halved for {r['suspicious_hours']} more clean hours")
    if r["idle_days"]:
        notes.append(f"silent: × 0.95 for each of {counted(r['idle_days'], 'day')}")
    if r["share"] < 1:
        notes.append(f"newcomers' share: × {r['share']:.3f}")
    return notes


def _evidence(r: dict[str, Any]) -> list[str]:
    return [
        (
            f"{e['kind']} +{e['successes']:g} −{e['failures']:g}"
            if e["successes"] or e["failures"]
            else f"{e['records']} of {e['kind']}, told at the hour's end"
        )
        + f" ({e['topic']} {e['first_offset']}…{e['last_offset']})"
        for e in r["evidence"]
    ]


@reputation.command()
@click.argument("attack", metavar="ATTACK|all")
@click.option("--seed", default=1, show_default=True, help="Another world.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw the attackers' share by epoch (.svg or .png).")
@json_option
def simulate(attack: str, seed: int, plot: Path | None, as_json: bool) -> None:
    """Attack the reputation rules beside a plain average and plain Beta reputation; say how much false reports weigh with each.

    Attacks: self-promotion, on-off, whitewashing, sybil, bad-mouthing, ballot-stuffing, collusion-10, -20, -30; or all. Exit code 1 if
    ICN is not the best.

    \b
    Example:
      icn reputation simulate whitewashing --plot whitewashing.svg
    """
    from streams.bench.attacks import ATTACKS
    from streams.bench.attacks import simulate as run
    from streams.domain.reputation import Rules
    from streams.errors import IcnError
    from streams.topology import load
    from streams.units import duration_ms

    if attack != "all" and attack not in ATTACKS:
        raise IcnError(f'no attack "{attack}"', f"known: {', '.join(ATTACKS)}, all")
    section = load().protocol["reputation"]
    rules = Rules.of(section, duration_ms(section["idle"]["after"]))
    rows = [run(name, rules, seed) for name in (ATTACKS if attack == "all" else (attack,))]
    if plot is not None:
        from streams.bench.attack_plot import draw

        draw(rows, plot)
        say(f"drawn: {plot}")
    if as_json:
        print_json([{"attack": r.attack, "what": r.what, "damage": r.damage, "by_epoch": r.by_epoch} for r in rows])
    else:
        table(
            ("attack", *(f"false, {scheme}" for scheme in rows[0].damage), "what the attackers do"),
            [(r.attack, *(f"{share:.1%}" for share in r.damage.values()), r.what) for r in rows],
            right=(1, 2, 3),
        )
    best = all(r.damage["ICN"] == min(r.damage.values()) for r in rows)
    sys.exit(0 if best else 1)
