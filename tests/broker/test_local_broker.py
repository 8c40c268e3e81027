"""The local Kafka says in one line why it can't start."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streams.broker.local import LocalBroker
from streams.errors import BrokerError


def test_no_room_is_told_before_it_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka itself would halt in the middle of its work."""
    monkeypatch.setattr("streams.broker.local.FREE_MIN_BYTES", 1 << 60)

    with pytest.raises(BrokerError, match=r"has \d+ MiB free; Apache Kafka wants"):
        LocalBroker(tmp_path).start()


def test_a_taken_port_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A second try, with another port, is as the first."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError, match=f"port {port}"):
            LocalBroker(tmp_path).start(port)
    assert list((tmp_path / "broker").iterdir()) == []


def test_no_cluster_id_begins_like_an_option(tmp_path: Path) -> None:
    """Kafka's format command takes it as an argument."""
    made = [LocalBroker(tmp_path / str(number)) for number in range(200)]
    for broker in made:
        broker.folder.mkdir(parents=True)

    ids = [broker._cluster_id() for broker in made]

    assert len(set(ids)) == 200 and {len(id_) for id_ in ids} == {22}
    assert not [id_ for id_ in ids if id_.startswith("-")]
