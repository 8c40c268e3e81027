"""One real Apache Kafka for the whole run, started on demand; ended with the run, however that ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.broker.local import LocalBroker
from tests.support.network import Network, network

os.environ.pop("COLUMNS", None)  # pytest's workers have one, and a table would be cut to it
# Several tests at a time share the cores. Threads of one sum then wait for each other, and a sum takes ten times as long.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# A broker that lives for a minute is up before the second compiler's work pays.
os.environ.setdefault("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1")

# They wait more than they compute. Begun last, one of them would keep one core busy while the others are idle.
LONGEST = (
    "faults/test_soak.py",
    "faults/test_network_survives.py",
    "faults/test_up.py",
    "faults/test_dedup_survives.py",
    "broker/test_pruned.py",
    "broker/test_patterns.py",
    "broker/test_demo.py",
    "broker/test_replay.py",
    "audit/test_log_survives.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get("/".join(item.path.parts[-2:]), len(places)))


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers, one Kafka for all of pytest's workers: who needs it first starts it, and stops it when all are done."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    servers, broker = folder / "kafka.servers", None
    with (folder / "kafka.users").open("w") as users:
        with (folder / "kafka.start").open("w") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not servers.exists():
                broker = LocalBroker(folder / "kafka")
                servers.write_text(broker.start(owned=True))
            fcntl.flock(users, fcntl.LOCK_SH)
        yield servers.read_text()
        if broker is not None:
            fcntl.flock(users, fcntl.LOCK_EX)
            broker.stop()


@pytest.fixture
def net(brokers: str, tmp_path: Path) -> Iterator[Network]:
    """A deployment of its own, limits as in topology.yaml."""
    with network(brokers, tmp_path) as made:
        yield made


@pytest.fixture
def whole_net(brokers: str, tmp_path: Path) -> Iterator[Network]:
    """The same with every stage."""
    with network(brokers, tmp_path, whole=True) as made:
        yield made


@pytest.fixture(scope="session")
def seed() -> int:
    """Of all random faults; printed, and set by ICN_TEST_SEED to see a failure again."""
    import random

    chosen = int(os.environ.get("ICN_TEST_SEED", random.randrange(1 << 30)))
    print(f"ICN_TEST_SEED={chosen}")
    return chosen


@pytest.fixture(scope="session")
def faults() -> int:
    """How many faults of a class: 5 in scripts/test, at least 20 in scripts/test-long."""
    return int(os.environ.get("ICN_TEST_FAULTS", "5"))
