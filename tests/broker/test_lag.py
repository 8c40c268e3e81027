"""Lag as an operator needs it: 0 when idle, events and seconds when behind, and who is not working."""

from __future__ import annotations

import json
import time

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
        assert {("OK", 0)} == {(row.status, row.lag) for row in read_lag(net.settings, groups)}
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
        assert {"group", "topic", "partition", "committed", "end", "lag", "lag_seconds", "status", "state"} == set(
            shown[0]
        )
        net.worker()
        n1.flush(60)
    settled(net)


def test_the_lag_command_is_light() -> None:
    """No Faust, no aiokafka, no numpy on its way."""
    import subprocess
    import sys

    code = "import streams.watch.lag, streams.cli.lag, sys; sys.exit(any(m in sys.modules for m in ('faust', 'aiokafka', 'numpy', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
