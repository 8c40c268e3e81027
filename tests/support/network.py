"""A deployment of its own on the shared broker: own prefix, own state folder, real processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streams.certify.stand import Stand as Network
from streams.certify.stand import lag_of, wait_until
from streams.topology import PACKAGE, load

__all__ = ["ROOT", "Network", "lag_of", "network", "raw_in", "wait_until"]
ROOT = PACKAGE.parent


def raw_in(partitions: int) -> dict[str, Any]:
    """Changes for a network whose node-keyed topics have so many partitions; docs/operating.md says what that costs."""
    keyed_by_node = [
        alias
        for alias, topic in load(ROOT / "topology.yaml").topics.items()
        if topic.key == "node_id" and topic.cleanup == "delete"
    ]
    return {f"topics__{alias}__partitions": partitions for alias in keyed_by_node if not alias.endswith(".dlq")} | {
        "agents__s1_intake__reads": ["artifacts.raw", "control", "reputation.log"],
        "agents__s1_intake__feedback": ["reputation.log"],
        "agents__s1_intake__linger": {},
        "protocol__intake__undecided_max": 0,
    }


@contextlib.contextmanager
def network(brokers: str, folder: Path, whole: bool = False, **changes: Any) -> Iterator[Network]:
    """A deployment for one test; on failure the workers' last words are printed."""
    net = Network(brokers, folder, whole, **changes)
    try:
        yield net
        # a fatal end is part of the design; an exception nobody expected is a bug that a restart would hide
        _, unexpected, told = (folder / "workers.log").read_text().partition("unexpected:")
        assert not unexpected, told[:4000]
    except BaseException:
        net.log.flush()
        print((folder / "workers.log").read_text()[-12000:])
        raise
    finally:
        net.close()
