"""The network's page on the broker: planned, applied, guarded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from confluent_kafka.admin import AdminClient

from streams.broker.admin import Admin, Existing, Wanted, plan
from streams.errors import ContractError
from tests.support.network import Network, wait_until

TOPIC = Wanted("t", 4, {"cleanup.policy": "delete", "retention.ms": "1000", "max.message.bytes": "5"})
AS_WANTED = Existing(4, dict(TOPIC.config))


def delete_topic(net: Network, alias: str) -> None:
    """Behind ICN's back."""
    admin = AdminClient(net.settings.librdkafka())
    name = net.topic(alias)
    for future in admin.delete_topics([name], operation_timeout=30).values():
        future.result(30)
    wait_until(lambda: name not in admin.list_topics(timeout=10).topics, 30, "the broker has forgotten it")


@pytest.mark.parametrize(
    ("existing", "actions"),
    [
        ({}, ["create"]),
        ({"t": AS_WANTED}, []),
        ({"t": replace(AS_WANTED, partitions=8)}, ["refuse"]),
        ({"t": replace(AS_WANTED, partitions=2)}, ["refuse"]),
        ({"t": replace(AS_WANTED, config={**TOPIC.config, "max.message.bytes": "4"})}, ["configure"]),
        ({"t": replace(AS_WANTED, config={**TOPIC.config, "retention.ms": "500"})}, ["configure"]),
        ({"t": replace(AS_WANTED, config={**TOPIC.config, "retention.ms": "5000"})}, ["refuse"]),
        ({"t": replace(AS_WANTED, config={**TOPIC.config, "cleanup.policy": "compact"})}, ["refuse"]),
    ],
)
def test_the_planner_grows_and_never_shrinks_or_repartitions(existing: dict[str, Existing], actions: list[str]) -> None:
    """Pure: no broker is asked."""
    assert actions == [step.action for step in plan([TOPIC], existing)]


def test_apply_is_idempotent_and_plan_then_shows_nothing(net: Network) -> None:
    """The fixture has applied it once."""
    assert Admin(net.settings).apply(net.topology) == []
    assert json.loads(net.icn("topics", "plan", "--json").stdout) == []


def test_plan_shows_the_difference_and_ends_1(net: Network) -> None:
    """A missing topic is a line of its own."""
    delete_topic(net, "links")

    shown = net.icn("topics", "plan", "--json", check=False)

    assert shown.returncode == 1
    assert [("create", net.topic("links"))] == [(s["action"], s["topic"]) for s in json.loads(shown.stdout)]


def test_a_worker_refuses_to_start_on_a_missing_topic(net: Network) -> None:
    """One clear line, exit code 2, no traceback."""
    delete_topic(net, "receipts")

    ended = net.icn("worker", "s2", check=False)

    assert ended.returncode == 2
    assert f'topic "{net.topic("receipts")}" is missing' in ended.stderr
    assert "icn topics plan" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_repartitioned_topic_is_refused(net: Network) -> None:
    """Keys would change places."""
    topics = dict(net.topology.topics)
    topics["artifacts.decided"] = replace(topics["artifacts.decided"], partitions=8)

    with pytest.raises(ContractError, match="has 4 partitions, topology says 8"):
        Admin(net.settings).require(replace(net.topology, topics=topics), [net.topic("artifacts.decided")])


def test_without_a_broker_there_is_one_line_and_no_traceback(net: Network) -> None:
    """Nobody listens on port 1."""
    ended = net.icn("lag", check=False, ICN_BROKERS="127.0.0.1:1")

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "is the broker running?" in ended.stderr
