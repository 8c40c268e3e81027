"""`icn status`: one screen."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, table
from streams.words import counted, when


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the network on one screen: artifacts and outcomes, rates of the last five minutes, stages, lag, and what needs attention.

    Exit code 1 if something needs attention.

    \b
    Example:
      icn status
    """
    from streams.agents.letters import open_letters
    from streams.broker.registrations import registered
    from streams.replay.conservation import OUTCOMES
    from streams.replay.follow import read_history
    from streams.watch.monitor import read_lag

    topology, settings = network()
    history, now_ms = read_history(topology, settings), time.time_ns() // 1_000_000
    lags = read_lag(settings, [one.group for one in (*topology.agents.values(), *topology.windows.values())])
    totals: Counter[str] = Counter()
    stages: list[dict[str, Any]] = []
    for agent in topology.agents.values():
        steps = [step for partition in history.of(agent).values() for step in partition]
        recent = sum(step.event["records"] for step in steps if step.time_ms > now_ms - 300_000)
        mine = [row for row in lags if row.group == agent.group]
        for step in steps if agent.name in ("s1_intake", "s2_dedup") else ():
            totals.update({k: v for k, v in step.event["counts"].items() if k in OUTCOMES})
        stages.append(
            {
                "stage": agent.name,
                "records": sum(step.event["records"] for step in steps),
                "per_second_5m": round(recent / 300, 2),
                "lag": sum(row.lag or 0 for row in mine),
                "group": mine[0].state.lower() if mine else "no commit yet",
                "rule": steps[-1].event["rule"].hex() if steps else None,
            }
        )
    windows = [
        {
            "stage": agent.name,
            "group": next((row.state.lower() for row in lags if row.group == agent.group), "no commit yet"),
            **_newest(topology, settings, agent.name),
        }
        for agent in topology.windows.values()
    ]
    dead = len(open_letters(topology, settings))
    attention = [
        f"{s['stage']} is not running ({counted(s['lag'], 'event')} waiting): icn worker {s['stage']}"
        for s in stages
        if s["group"] in ("empty", "dead")
    ]
    attention += [
        f"{w['stage']} is not running: icn worker {w['stage']}" for w in windows if w["group"] in ("empty", "dead")
    ]
    attention += [f"{counted(dead, 'dead letter')}: icn dlq list"] if dead else []
    about = {
        "deployment": topology.deployment,
        "broker": settings.brokers,
        "simulated": topology.simulated,
        "nodes": len(registered(topology, settings)),
        "outcomes": {name: totals[name] for name in OUTCOMES},
        "stages": stages,
        "windows": windows,
        "dead_letters": dead,
        "attention": attention,
    }
    if as_json:
        print_json(about)
    else:
        if topology.simulated:
            click.echo("SIMULATED deployment: none of this enters a reliability figure")
        click.echo(
            f"{topology.deployment} at {settings.brokers}: {counted(about['nodes'], 'node')}; "
            + (", ".join(f"{n} {k.replace('_', '-')}" for k, n in totals.items()) or "no artifact yet")
        )
        table(
            ("stage", "records", "per s (5 min)", "lag", "group", "rule version"),
            [(s["stage"], s["records"], s["per_second_5m"], s["lag"], s["group"], s["rule"] or "-") for s in stages],
            right=(1, 2, 3),
        )
        for w in windows:
            click.echo(f"{w['stage']}: {_of_newest(w)}")
        for line in attention or ["nothing needs attention"]:
            click.echo(f"→ {line}" if attention else line)
    sys.exit(1 if attention else 0)


def _newest(topology: Any, settings: Any, stage: str) -> dict[str, Any]:
    """What the newest window, or round, says."""
    if stage == "s6_phoenix":
        from streams.watch.phoenix import newest_round

        round_ = newest_round(topology, settings)
        return {
            "ends_ms": round_ and round_["slot_ms"],
            **{name: round_ and round_[name] for name in ("fed", "waiting", "opens_ms")},
        }
    from streams.agents.windows_written import newest_window

    window = newest_window(topology, settings)[0]
    return {
        "ends_ms": window and window["slot_ms"],
        **{name: window and window[name] for name in ("texts", "patterns")},
    }


def _of_newest(of: dict[str, Any]) -> str:
    if "fed" in of:
        if not of["ends_ms"]:
            return "nothing fed yet"
        full = f"; its windows are full until {when(of['opens_ms'])}" if of["opens_ms"] else ""
        return f"{of['fed']} fed, {of['waiting']:,} wait, {when(of['ends_ms'])}{full}"
    if of["ends_ms"]:
        return f"{counted(of['patterns'], 'pattern')} in {of['texts']:,} texts to {when(of['ends_ms'])}"
    return "no window yet"
