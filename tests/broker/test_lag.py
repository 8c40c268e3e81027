"""Lag as an operator needs it: 0 when idle, events and seconds when behind, and who is not working."""

from __future__ import annotations

import json
import time

import pytest
from confluent_kafka import Producer

from streams.watch.lag import read_lag
from tests.support.chain import add_nodes, node, settled
from tests.support.network import Network, wait_until


def test_an_idle_network_shows_0_not_1_and_a_stopped_one_what_waits(net: Network) -> None:
    """Transactions end in a control record; a plain lag monitor would show 1 for ever."""
    add_nodes(net, "n1")
    net.worker()
    with node(net, "n1") as n1:
        n1.submit("one").result(60)
        settled(net)
        groups = [agent.group for agent in net.topology.agents.values()]

        def seen() -> set[tuple[str, int]]:
            return {(row.status, row.lag) for row in read_lag(net.settings, groups)}

        wait_until(lambda: seen() == {("OK", 0)}, 10, "every group OK at 0; a minute's tick may be on its way")
        net.stop()
        for number in range(7):
            n1.submit(f"while nobody works {number}")
        n1.flush(1)
        time.sleep(1)
        rows = wait_until(
            lambda: [r for r in read_lag(net.settings, groups) if r.topic == net.topic("artifacts.raw") and r.lag],
            20,
            "lag",
        )

        assert [(row.lag, row.lag_seconds > 0.5) for row in rows] == [(7, True)]
        shown = json.loads(net.icn("lag", "--json", "--group", groups[0]).stdout)
        assert {
            "group",
            "topic",
            "partition",
            "committed",
            "end",
            "lag",
            "lag_seconds",
            "status",
            "state",
            "held",
        } == set(shown[0])
        net.worker()
        n1.flush(60)
    settled(net)


def test_an_open_transaction_that_holds_everybody_up_is_seen(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of committed records see nothing behind it: without a word of it, lag would be 0 and all well."""
    monkeypatch.setattr("streams.watch.lag.HELD_AFTER_S", 0.5)
    add_nodes(net, "n1")
    net.worker()
    group = net.topology.agent("s1").group
    with node(net, "n1") as n1:
        n1.submit("before").result(60)
        settled(net)
        stranger = Producer(net.settings.librdkafka_producer(**{"transactional.id": f"{net.topology.deployment}-open"}))
        stranger.init_transactions(30)
        stranger.begin_transaction()
        stranger.produce(net.topic("artifacts.raw"), b"never committed", b"nobody")
        stranger.flush(10)
        held = [n1.submit(f"behind it {number}") for number in range(5)]
        row = wait_until(
            lambda: next((r for r in read_lag(net.settings, [group]) if r.status == "HELD"), None), 20, "HELD"
        )
        wait_until(lambda: max(r.held for r in read_lag(net.settings, [group])) == 6, 20, "all six are behind it")
        assert (row.topic, row.lag) == (net.topic("artifacts.raw"), 0)
        assert not any(future.done() for future in held)
        stranger.abort_transaction()
        assert {future.result(30).outcome for future in held} == {"unique"}
    settled(net)


def test_the_lag_command_is_light() -> None:
    """No Faust, no aiokafka, no numpy on its way."""
    import subprocess
    import sys

    code = "import streams.watch.lag, streams.cli.lag, sys; sys.exit(any(m in sys.modules for m in ('faust', 'aiokafka', 'numpy', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
