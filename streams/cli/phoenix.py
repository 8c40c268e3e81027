"""`icn phoenix`: what trainers are fed, how diverse it is, and what the gate holds back."""

from __future__ import annotations

import math
import time
from typing import Any

import click

from streams.cli.show import clip, json_option, network, print_json, say, table
from streams.errors import NotFoundError
from streams.words import counted, printable, when

NO_ROUND = "nothing was fed so far: there is no round"
NO_ROUND_HINT = "rounds are made every minute; is s6_phoenix running (icn worker), are there ticks? icn status"
FOLLOW_S = 1.0
FULL = "too many of the last hour's are of the domains, nodes and types of what waits"


class Hours(click.FloatRange):
    """A tenth of an hour to 180 days."""

    def __init__(self) -> None:
        super().__init__(0.1, 24 * 180)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if math.isnan(found := float(super().convert(value, param, ctx))):  # it is in every range
            self.fail(f"{value} is no number of hours", param, ctx)
        return found


@click.group()
def phoenix() -> None:
    """Look at the feed for trainers."""


@phoenix.command()
@click.option(
    "-n", "--count", default=10, show_default=True, type=click.IntRange(0, 10_000), help="How many of the last."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@json_option
def tail(count: int, follow: bool, as_json: bool) -> None:
    """Show what was fed last, the newest last. --json: an object a line, with all of the scenario.

    rank: among all that waited then; similar: to the most similar one of the day before.

    \b
    Example:
      icn phoenix tail -n 20
      icn phoenix tail -f --json | jq .scenario_id
    """
    from streams.broker.topics import events
    from streams.codec import Undecodable, decoder
    from streams.watch.records import last_records

    topology, settings = network()
    name, decode, shown, next_ = topology.topic("phoenix.feed").name, decoder("scenario"), [], {}
    for message in last_records(settings, name, max(1, count)):
        next_[message.partition()] = message.offset() + 1
        try:
            shown.append(decode(message.value() or b""))
        except Undecodable:
            continue
    if not shown and not follow:
        raise NotFoundError(NO_ROUND.split(":")[0], NO_ROUND_HINT)
    _show(shown[len(shown) - count :] if count else [], as_json)
    if follow:
        say("waiting for what is fed; Ctrl-C ends it")
    while follow:
        time.sleep(FOLLOW_S)
        new = []
        for event, message in events(settings, name, "scenario", start=next_):
            next_[message.partition()] = message.offset() + 1
            new.append(event)
        _show(new, as_json)


def _show(fed: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for one in fed:
            print_json(one)
        return
    if fed:
        table(
            ("fed in", "rank", "score", "novelty", "similar", "tlp", "type", "domain", "node", "artifact", "input"),
            [
                (
                    when(one["slot_ms"])[11:16],
                    one["rank"],
                    f"{one['score']:.4f}",
                    f"{one['novelty']:.2f}",
                    f"{one['similarity']:.2f}",
                    one["tlp"],
                    clip(one["content_type"], 10),
                    clip(one["domain"], 24),
                    clip(one["node_id"], 20),
                    one["artifact_id"],
                    clip(one["input"], 40),
                )
                for one in fed
            ],
            right=(1, 2, 3, 4),
            whole=(9,),
        )


@phoenix.command()
@click.option("--hours", default=24.0, show_default=True, type=Hours(), help="Up to the newest round.")
@json_option
def stats(hours: float, as_json: bool) -> None:
    """Show how much was fed, how diverse it is, what the gate refuses and what starves.

    Diversity is a Vendi score: the effective number of different ones, 1 where all are alike.

    \b
    Example:
      icn phoenix stats --hours 1
    """
    from streams.watch.phoenix import stats as of_feed

    topology, settings = network()
    found = of_feed(topology, settings, hours)
    if found is None:
        raise NotFoundError(NO_ROUND, NO_ROUND_HINT)
    if as_json:
        print_json(found)
        return
    show(found)


def show(found: dict[str, Any]) -> None:
    from streams.watch.phoenix import refused_for

    of_hour = f", {found['in_last_hour']} of them in the last hour" if found["hours"] > 1 else ""
    click.echo(
        f"{found['fed']} fed in the {found['hours']:g} h to {when(found['slot_ms'])}{of_hour}; {found['waiting']:,} wait"
    )
    click.echo(
        f"{counted(found['domains_in_last_hour'], 'domain')} fed in the last hour; {found['domains_waiting']} wait, "
        f"{found['domains_starving'] or 'none'} of them for more than an hour"
    )
    if found["opens_ms"] is not None:
        click.echo(f"nothing more is fed until {when(found['opens_ms'])}: {FULL}")
    if found["fed"]:
        kinds = found["diversity"]
        click.echo(
            f"effective number of different contents {kinds['content']:.1f}, domains {kinds['domain']:.1f}, nodes {kinds['node_id']:.1f}, "
            f"content types {kinds['content_type']:.1f}"
        )
        click.echo(
            f"mean score {found['mean_score']:.4f}, mean novelty {found['mean_novelty']:.2f}, "
            f"of one node at most {found['largest_node_share']:.0%}"
        )
    reasons = sorted({*found["refused"], *found["refused_now"]}, key=lambda one: -found["refused"].get(one, 0))
    if reasons:
        rows = [(refused_for(one), found["refused"].get(one, 0), found["refused_now"].get(one, 0)) for one in reasons]
        table(("refused for", "told", "held back now"), rows, right=(1, 2))
        click.echo("told: refusals written in that time, at most 500 a minute; held back now: in the newest round")
    if found["starving"]:
        table(
            ("starving domain", "waiting", "since", "the most urgent one: why"),
            [
                (printable(one["domain"]), one["waiting"], when(one["since_ms"]), one["reason"])
                for one in found["starving"]
            ],
            right=(1,),
        )
