"""Patterns in a network of real processes: what people see, why, and that it is found again from the offsets."""

from __future__ import annotations

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from streams.sdk import Node
from tests.domain.test_window import said, vocabulary
from tests.support.chain import add_nodes, check_replay, node, settled, tick
from tests.support.fold import events
from tests.support.network import Network, network, wait_until

HOUR_MS = 3_600_000


def send(to: Node, topics: dict[str, list[str]], hour: int, count: int, rng: random.Random) -> None:
    """So many texts of each topic."""
    for name, words in topics.items():
        for number in range(count):
            text = said(words, number, rng).content
            to.submit(text, artifact_id=f"{hour}-{to.node_id}-{name}-{number}", collected_at=hour * HOUR_MS)


def windows(net: Network) -> list[dict[str, Any]]:
    return events(net.settings, net.topic("windows"))


def test_patterns_are_listed_explained_drawn_and_found_again(brokers: str, tmp_path: Path) -> None:
    """Three topics, one of a single node; two windows, between which the process is killed and another worker takes over."""
    rng = random.Random(7)
    topics = {name: vocabulary(name, rng, 10) for name in ("mail", "leak", "loader")}
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        add_nodes(net, "n1", "n2")
        net.worker()
        with node(net, "n1") as n1, node(net, "n2") as n2:
            send(n1, topics, 1, 20, rng)
            send(n2, {"mail": topics["mail"], "leak": topics["leak"]}, 1, 10, rng)
            settled(net)
            tick(net, 2)
            wait_until(lambda: windows(net), 60, "the first window")
            first = json.loads(net.icn("patterns", "list", "--json").stdout)

            (process,) = net.window_processes("s5_patterns")
            process.send_signal(signal.SIGKILL)
            net.worker("s5")
            send(n1, topics, 3, 10, rng)
            settled(net)
            tick(net, 4)
            wait_until(lambda: len(windows(net)) == 2, 90, "the second window")

        now = json.loads(net.icn("patterns", "list", "--json").stdout)
        ids = [{one["pattern_id"] for one in found["patterns"]} for found in (first, now)]
        assert ids[0] == ids[1] and len(ids[0]) == 3
        assert sorted(one["size"] for one in first["patterns"]) == [20, 30, 30]
        assert sorted(one["size"] for one in now["patterns"]) == [30, 40, 40]
        lone = next(one for one in now["patterns"] if one["size"] == 30)
        assert (lone["nodes"], lone["source_entropy_bits"]) == (1, 0.0) and lone["name"].startswith("loader")
        assert now["window"]["before_ms"] == first["window"]["slot_ms"] == 2 * HOUR_MS

        wanted = lone["pattern_id"]
        assert "a campaign of one node" in net.icn("patterns", "show", wanted).stdout
        told = json.loads(net.icn("patterns", "explain", wanted, lone["members"][0], "--json").stdout)
        assert sum(word["share"] for word in told["words"]) == pytest.approx(told["margin"], abs=1e-9)
        assert told["margin"] > 0 and told["words"][0]["word"].startswith("loader")
        shown = net.icn("patterns", "explain", wanted, lone["members"][0]).stdout
        assert f"[{told['words'][0]['word']}]" in shown
        net.icn("patterns", "list", "--plot", str(tmp_path / "map.svg"))
        assert lone["name"].encode() in (tmp_path / "map.svg").read_bytes()

        other = next(one for one in now["patterns"] if one["pattern_id"] != wanted)
        elsewhere = net.icn("patterns", "explain", other["pattern_id"], lone["members"][0]).stdout
        assert f"is not in {other['pattern_id']}, but in {wanted}" in elsewhere
        itself = net.icn("patterns", "explain", wanted, lone["members"][0], "--not", wanted, check=False)
        assert itself.returncode == 2 and "can't be told from itself" in itself.stderr
        nowhere = net.icn("patterns", "list", "--plot", str(tmp_path / "none" / "map.svg"), check=False)
        assert nowhere.returncode == 2 and "is no folder" in nowhere.stderr and not nowhere.stdout
        missing = net.icn("patterns", "show", "pattern-none", check=False)
        assert missing.returncode == 1 and "no pattern of the newest window" in missing.stderr

        net.stop()
        found = {stage["stage"]: stage for stage in check_replay(net)["stages"]}["s5_patterns"]
        assert (found["batches"], found["decided"], found["compared"]) == (2, 80 + 110, 2 + 6)
        print(f"\n1 kill; 2 windows, {found['compared']} events found again, identical")


def test_before_the_first_window_one_is_told_when_it_comes(net: Network) -> None:
    done = net.icn("patterns", "list", check=False)
    assert done.returncode == 1 and "they end every 10m" in done.stderr
