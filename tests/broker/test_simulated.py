"""A simulated deployment: the node's claim is the time, and every artifact says that it is made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.broker.admin import Admin
from streams.errors import ContractError
from tests.support.chain import add_nodes, check_replay, node, settled
from tests.support.fold import events
from tests.support.network import Network, network


def test_time_is_compressed_only_in_a_simulated_deployment(brokers: str, tmp_path: Path) -> None:
    """181 days pass in a second: the horizon is over, the same content is new again; a day halves the score."""
    day_ms = 86_400_000
    with network(brokers, tmp_path, simulated=True) as net:
        add_nodes(net, "n1")
        net.worker()
        with node(net, "n1") as n1:
            told = [
                n1.submit("same", collected_at=at, confidence=confidence).result(60).outcome
                for at, confidence in ((day_ms, 0.5), (2 * day_ms, 0.5), (3 * day_ms, 0.9), (182 * day_ms + 1, 0.5))
            ]
        assert told == ["unique", "duplicate", "upgraded", "unique"]
        settled(net)
        assert {e["simulated"] for e in events(net.settings, net.topic("artifacts.raw"))} == {True}
        decays = sorted((e["raw_ms"], e["decay"]) for e in events(net.settings, net.topic("priorities")))
        assert [decay for _, decay in decays] == [1.0, 0.25, 1.0]
        check_replay(net)


def test_a_deployment_can_not_be_made_simulated_afterwards(net: Network) -> None:
    """Its raw topic has the broker's time."""
    net.file.write_text(net.file.read_text().replace("simulated: false", "simulated: true"))
    from streams.topology import load

    with pytest.raises(ContractError, match=r"message\.timestamp\.type"):
        Admin(net.settings).apply(load(net.file))
