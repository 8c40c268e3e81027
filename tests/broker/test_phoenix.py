"""The feed on a real broker: what it writes is what anyone finds again, also after a kill, and it knows what it has fed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.feed import FIRST_MS, MINUTE_MS, Written
from tests.support.network import network


@pytest.fixture
def written(brokers: str, tmp_path: Path) -> Iterator[Written]:
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        yield Written(net)


def load(written: Written, minute: int, count: int) -> None:
    for number in range(count):
        written.artifact(
            FIRST_MS + minute * MINUTE_MS - 1000,
            node_id=f"n{number % 12}",
            domain=f"d{number % 25}",
            content_type=("text", "code", "html")[number % 3],
            threat_level=written.rng.random() * 10,
        )


def test_rounds_are_found_again_byte_for_byte_by_a_new_process_and_by_replay(written: Written) -> None:
    """30 minutes; every fifth minute the process is another one."""
    for minute in range(30):
        load(written, minute, 40)
        if minute % 5 == 4:
            written.process = written.taken_over()
        written.round(FIRST_MS + minute * MINUTE_MS)

    fed, rounds = written.read("phoenix.feed"), written.read("phoenix.rounds")
    assert len(fed) == 100 and len({one["dedup_hash"] for one in fed}) == 100
    assert [one["fed"] for one in rounds] == [10] * 10 + [0] * 20
    result = written.verify()
    assert result.findings == [] and result.batches == 30 and result.left_out == 0
    assert result.compared == len(fed) + len(rounds) + len(written.read("phoenix.refused"))
    print(f"{result.compared} records compared, 6 processes")
