"""`icn receipts`: what a node was told."""

from __future__ import annotations

from collections import Counter

import click

from streams.cli.show import json_option, network, print_json, table, when


@click.command()
@click.option("--node", "node_id", required=True, help="Whose receipts.")
@click.option("--last", default=20, show_default=True, help="How many of the newest.")
@json_option
def receipts(node_id: str, last: int, as_json: bool) -> None:
    """Show a node's receipts: per batch and stage what was accepted, duplicate and rejected, and the quota left.

    \b
    Example:
      icn receipts --node node-7
    """
    from streams.broker.topics import fold
    from streams.codec import decoder
    from streams.sdk.partition import partition_of

    topology, settings = network()
    topic, decode = topology.topic("receipts"), decoder("receipt")
    found = [
        (m, decode(m.value()))
        for m in fold(settings, topic.name, partition_of(node_id.encode(), topic.partitions))
        if m.key() == node_id.encode()
    ]
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
    rows = []
    for message, receipt in found:
        kinds = Counter(o["outcome"] for o in receipt["outcomes"])
        why = Counter(o["reason"] for o in receipt["outcomes"] if o["reason"])
        rows.append(
            (
                when(message.timestamp()[1]),
                receipt["stage"],
                ", ".join(f"{n} {k}" for k, n in kinds.items()),
                ", ".join(f"{n} {k}" for k, n in why.items()) or "-",
                "-" if receipt["quota_left"] is None else receipt["quota_left"],
                receipt["status"],
                "; ".join(receipt["suggestions"]),
            )
        )
    table(("time", "stage", "outcomes", "reasons", "quota left", "status", "suggestions"), rows, right=(4,))
