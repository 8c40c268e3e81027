"""A simulated deployment: the node's claim is the time, and every artifact says that it is made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.broker.admin import Admin
from streams.errors import ContractError
from streams.runtime.store import MARKER
from streams.tables.bands import BANDS
from streams.tables.counts import COUNTS
from streams.tables.idf import IDF
from streams.tables.originals import ORIGINALS
from streams.tables.texts import TEXTS
from tests.support.chain import add_nodes, check_replay, node, settled
from tests.support.fold import events, read_all
from tests.support.network import Network, network, wait_until


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


def test_rows_are_deleted_when_their_horizon_is_over_twice(brokers: str, tmp_path: Path) -> None:
    """Day 1, then day 362: nothing that still comes can ask for what was seen on day 1. In the tables, and in the changelogs."""
    day_ms = 86_400_000
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        add_nodes(net, "n1")
        net.worker()
        with node(net, "n1") as n1:
            for number in range(30):
                n1.submit(f"old {number}", artifact_id=f"old-{number}", collected_at=day_ms)
            for number in range(60):  # so many that each of the four partitions gets one: its event time is its own
                n1.submit(f"new {number}", artifact_id=f"new-{number}", collected_at=362 * day_ms)

            def rows() -> dict[str, int]:
                return {stage: len(live_rows(net, stage)) for stage in net.topology.agents}

            # s1: the node, the new ids, two quotas, how it stands, how many are undecided; s2: two tables; s3: the node
            left = {"s1_intake": 65, "s2_dedup": 120, "s3_reputation": 1, "s3_sketch": 0, "s4_priority": 60}
            wait_until(lambda: left.items() <= rows().items(), 90, "old rows deleted")
            # s4_near: texts and their bands
            wait_until(
                lambda: {since_ms(row) for row in live_rows(net, "s4_near").items()} == {None, 362 * day_ms},
                90,
                "the same",
            )
            assert sum(key[:1] == TEXTS.prefix for key in live_rows(net, "s4_near")) == 60
            assert n1.submit("old 3", artifact_id="old-3", collected_at=362 * day_ms).result(60).outcome == "unique"
        settled(net)
        check_replay(net)


def since_ms(row: tuple[bytes, bytes]) -> int | None:
    """Of a row of s4_near's when its horizon began; None: it is kept for ever."""
    table = next(table for table in (IDF, COUNTS, TEXTS, BANDS, ORIGINALS) if table.prefix == row[0][:1])
    return table.since_ms(row[1]) if table.since_ms else None


def live_rows(net: Network, stage: str) -> dict[bytes, bytes]:
    """What a changelog comes to, without the marker."""
    rows = {
        m.key(): m.value() for m in read_all(net.settings, net.topology.agent(stage).changelog) if m.key() != MARKER
    }
    return {key: value for key, value in rows.items() if value is not None}


def test_a_deployment_can_not_be_made_simulated_afterwards(net: Network) -> None:
    """Its raw topic has the broker's time."""
    net.file.write_text(net.file.read_text().replace("simulated: false", "simulated: true"))
    from streams.topology import load

    with pytest.raises(ContractError, match=r"message\.timestamp\.type"):
        Admin(net.settings).apply(load(net.file))
