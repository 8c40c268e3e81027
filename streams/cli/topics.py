"""`icn topics`: topology.yaml on the broker."""

from __future__ import annotations

import sys

import click

from streams.cli.show import json_option, network, print_json, table


@click.group()
def topics() -> None:
    """Plan, make and describe the network's topics."""


@topics.command()
@json_option
def plan(as_json: bool) -> None:
    """Show what differs between topology.yaml and the cluster. Changes nothing. Exit code 1 if something does.

    \b
    Example:
      icn topics plan
    """
    from streams.broker.admin import Admin

    topology, settings = network()
    steps = Admin(settings).plan(topology)
    _show(steps, as_json)
    sys.exit(1 if steps else 0)


@topics.command()
@json_option
def apply(as_json: bool) -> None:
    """Make what is missing. Idempotent; refuses to shrink or repartition a topic.

    \b
    Example:
      icn topics apply
    """
    from streams.audit.record.process import operator_action, this_command
    from streams.broker.admin import Admin
    from streams.broker.deployment_key import claim

    topology, settings = network()
    steps = Admin(settings).apply(topology)
    claim(topology, settings)
    if steps:
        operator_action(topology, settings, this_command())
    _show(steps, as_json)


def _show(steps: list, as_json: bool) -> None:
    if as_json:
        print_json([{"action": s.action, "topic": s.topic, "detail": s.detail} for s in steps])
    elif steps:
        signs = {"create": "+", "configure": "~", "refuse": "!"}
        table(("", "action", "topic", "detail"), [(signs[s.action], s.action, s.topic, s.detail) for s in steps])
    else:
        click.echo("the cluster is as topology.yaml says")


@topics.command()
@json_option
def describe(as_json: bool) -> None:
    """List the network's topics: key, schema, partitions, events, and who reads and writes them.

    \b
    Example:
      icn topics describe
    """
    from confluent_kafka import Consumer

    from streams.broker.admin import Admin
    from streams.broker.topics import ends

    topology, settings = network()
    existing = Admin(settings).existing([t.name for t in topology.topics.values()])
    consumer = Consumer(settings.librdkafka_reader())
    rows = []
    for alias, topic in topology.topics.items():
        there = ends(consumer, topic.name) if topic.name in existing else {}
        rows.append(
            {
                "topic": topic.name,
                "key": topic.key,
                "schema": topic.schema,
                "partitions": len(there) or None,
                "offsets": sum(high - low for low, high in there.values()) if there else None,
                "written_by": [a.name for a in topology.agents.values() if alias in a.writes],
                "read_by": [a.name for a in topology.agents.values() if alias in a.reads],
            }
        )
    consumer.close()
    if as_json:
        print_json(rows)
    else:
        table(
            ("topic", "key", "schema", "partitions", "offsets", "written by", "read by"),
            [
                (
                    r["topic"],
                    r["key"],
                    r["schema"],
                    r["partitions"] or "missing",
                    "-" if r["offsets"] is None else r["offsets"],
                    ", ".join(r["written_by"]),
                    ", ".join(r["read_by"]),
                )
                for r in rows
            ],
            right=(3, 4),
        )
