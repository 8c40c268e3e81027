"""`icn top`: what matters most now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from streams.cli.show import clip, json_option, network, print_json, table

if TYPE_CHECKING:
    from streams.settings import Settings
    from streams.topology import Topology


@click.command()
@click.option("-n", "--count", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--node", "node_id", help="Only this node's; ranks stay those of the whole list.")
@json_option
def top(count: int, node_id: str | None, as_json: bool) -> None:
    """Show the highest priorities with each factor of the score.

    score = (threat + opportunity + confidence term) × reputation × decay; decay halves in 24 h from the first sighting.

    \b
    Example:
      icn top -n 20
      icn top --node node-7
    """
    from streams.watch.ranking import top as rank

    topology, settings = network()
    best = rank(topology, settings, count, time.time_ns() // 1_000_000, node_id)
    if as_json:
        print_json(best)
        return
    show(topology, settings, best)


def show(topology: Topology, settings: Settings, best: list[dict[str, Any]]) -> None:
    """As a table, each with its content."""
    names = contents(topology, settings, best)
    table(
        ("rank", "score now", "threat", "opport.", "confid.", "× reput.", "decay", "node", "artifact", "content"),
        [
            (
                e["rank"],
                f"{e['score_now']:.4f}",
                f"{e['threat_term']:.3f}",
                f"{e['opportunity_term']:.3f}",
                f"{e['confidence_term']:.3f}",
                f"{e['effective_reputation']:.2f}",
                f"{e['decay']:.3f}",
                e["node_id"],
                e["canonical_id"],
                clip(names.get(e["canonical_id"], ""), 40),
            )
            for e in best
        ],
        right=(0, 1, 2, 3, 4, 5, 6),
        whole=(8,),
    )


def contents(topology: Topology, settings: Settings, best: list[dict[str, Any]]) -> dict[str, str]:
    """canonical_id -> content, read at its raw coordinates."""
    from streams.codec import decoder
    from streams.watch.records import record_at

    decode = decoder("artifact")
    found = {}
    for event in best:
        message = record_at(settings, topology.topic("artifacts.raw").name, event["raw_partition"], event["raw_offset"])
        if message is not None:
            found[event["canonical_id"]] = decode(message.value())["content"]
    return found
