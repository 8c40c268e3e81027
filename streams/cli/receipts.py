"""`icn receipts`: what a node was told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, table
from streams.words import when

ARTIFACTS_SHOWN = 10  # of one receipt


@click.command()
@click.option("--node", "node_id", required=True, help="Whose receipts.")
@click.option("--last", default=20, type=click.IntRange(1), show_default=True, help="How many of the newest.")
@json_option
def receipts(node_id: str, last: int, as_json: bool) -> None:
    """Show a node's receipts: per batch and stage what became of which artifact, and why; the quota left.

    \b
    Example:
      icn receipts --node node-7
    """
    from streams.broker.registrations import registered
    from streams.broker.topics import fold
    from streams.codec import decoder
    from streams.errors import NotFoundError
    from streams.partition import partition_of

    topology, settings = network()
    topic, decode = topology.topic("receipts"), decoder("receipt")
    found = [
        (m, decode(m.value()))
        for m in fold(settings, topic.name, partition_of(node_id.encode(), topic.partitions))
        if m.key() == node_id.encode()
    ]
    if not found and node_id not in registered(topology, settings):
        raise NotFoundError(f'node "{node_id}" is not registered', "icn node list")
    found = found[-last:]
    if as_json:
        print_json(
            [
                {
                    "topic": topic.name,
                    "partition": m.partition(),
                    "offset": m.offset(),
                    "timestamp": m.timestamp()[1],
                    **r,
                }
                for m, r in found
            ]
        )
        return
    rows: list[tuple[Any, ...]] = []
    for message, receipt in found:
        told = sorted(receipt["outcomes"], key=lambda o: o["reason"] is None)  # the refused first: they need somebody
        about = (
            "-" if receipt["quota_left"] is None else receipt["quota_left"],
            "; ".join((receipt["status"], *receipt["suggestions"])),
        )
        rows += [
            (when(message.timestamp()[1]), receipt["stage"], o["artifact_id"], _words(o), *about)
            for o in told[:ARTIFACTS_SHOWN]
        ]
        if more := Counter(o["outcome"] for o in told[ARTIFACTS_SHOWN:]):
            left = ", ".join(f"{n} {k}" for k, n in more.items())
            rows.append((when(message.timestamp()[1]), receipt["stage"], "… (--json has all)", left, *about))
    table(("time", "stage", "artifact", "outcome", "quota left", "status"), rows, right=(4,), whole=(2,))


def _words(outcome: dict[str, Any]) -> str:
    why = f" ({outcome['reason']})" if outcome["reason"] else ""
    return outcome["outcome"] + why
