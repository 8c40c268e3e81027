"""Collecting nodes from the command line: registered, started, killed, asked for too much, taken off."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chain import check_balance, check_replay, settled
from tests.support.fold import events
from tests.support.network import Network, network, wait_until
from tests.support.web import Site, hang, site, text

CADENCE = {"protocol__coordination__cadence": "2s"}


@pytest.fixture
def fleet(brokers: str, tmp_path: Path) -> Iterator[Network]:
    with network(brokers, tmp_path, **CADENCE) as net:
        (tmp_path / "data").mkdir()
        yield net


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as made:
        yield made


def run(net: Network, name: str, **collectors: Any) -> subprocess.Popen[bytes]:
    """`icn node run` with these collectors."""
    config = net.folder / f"{name}.json"  # JSON is YAML
    config.write_text(json.dumps({"node": name, "collectors": collectors}))
    process = subprocess.Popen(
        [sys.executable, "-m", "streams", "node", "run", str(config)],
        env=net.env,
        stdout=net.log,
        stderr=net.log,
        start_new_session=True,
    )
    net.workers.append(process)
    return process


def collected(net: Network, target: str) -> list[dict[str, Any]]:
    return [one for one in events(net.settings, net.topic("collections")) if one["target_id"] == target]


def successes(net: Network, target: str) -> int:
    return sum(one["outcome"] == "success" for one in collected(net, target))


def decided(net: Network) -> dict[str, str | None]:
    """node -> assignment, of the contents that were decided."""
    found = events(net.settings, net.topic("artifacts.decided"))
    return {one["facts"]["artifact_id"]: one["facts"]["assignment"] for one in found}


def test_a_node_collects_what_it_is_given_and_goes_on_after_kill_9(fleet: Network) -> None:
    """Registration, target, plan and health from the command line; the artifacts name their assignment."""
    data = fleet.folder / "data"
    fleet.restored_worker()
    fleet.icn("node", "register", "n1", "--principal", "alice", "--capability", "file")
    target = fleet.icn(
        "target", "add", "file", str(data), "--interval", "2s", "--retry", "1s", "--meta", "domain=reports"
    ).stdout.strip()
    (data / "a.txt").write_text("SHIPSHAPE")
    node = run(fleet, "n1", file={"roots": [str(data)]})
    wait_until(lambda: successes(fleet, target) == 1, 60, "a first success")
    plan = json.loads(fleet.icn("plan", "--json", check=False).stdout)
    assert [one["node_id"] for one in plan["nodes"]] == ["n1"]
    (about,) = json.loads(fleet.icn("node", "list", "--json").stdout)
    assert (about["state"], about["capabilities"], about["capacity"]) == ("active", ["file"], 3)

    node.kill()
    node.wait()
    (data / "b.jsonl").write_text('{"content": "COBALT", "threat_level": 7}\n')
    node = run(fleet, "n1", file={"roots": [str(data)]})
    wait_until(lambda: successes(fleet, target) == 2, 60, "another one after kill -9")
    second = run(fleet, "n1", file={"roots": [str(data)]})
    assert second.wait(30) == 2, "one process at a time speaks for a node"
    fleet.workers.remove(second)

    found = decided(fleet)
    assert len(found) == 2 and all(one is not None and one.endswith(target) for one in found.values())
    (shown,) = json.loads(fleet.icn("target", "list", "--json").stdout)
    assert (shown["last_node"], shown["metadata"]) == ("n1", {"domain": "reports"})
    said = json.loads(fleet.icn("node", "show", "n1", "--json").stdout)
    assert "success" in {one["outcome"] for one in said["collections"]}
    for command in (("plan",), ("node", "list"), ("node", "show", "n1"), ("target", "list")):
        assert "n1" in fleet.icn(*command, check=False).stdout
    fleet.icn("target", "remove", target, "--why", "done")
    fleet.icn("node", "unregister", "n1")
    assert json.loads(fleet.icn("node", "list", "--json").stdout) == []
    settled(fleet)
    fleet.stop()
    check_balance(fleet)
    stages = {stage["stage"]: stage["compared"] for stage in check_replay(fleet)["stages"]}
    assert stages["coordinator"] > 5


def test_a_server_that_hangs_costs_its_own_target_only_and_an_unregistered_node_stops(
    fleet: Network, server: Site
) -> None:
    """The node answers for it in time, and collects the others meanwhile."""
    server.pages |= {"/slow": hang, "/good": text("good")}
    fleet.restored_worker()
    fleet.icn("node", "register", "n1", "--principal", "alice", "--capability", "http")
    slow, good = (
        fleet.icn("target", "add", "http", server.url(path), "--interval", "2s", "--retry", "1s").stdout.strip()
        for path in ("/slow", "/good")
    )
    node = run(fleet, "n1", http={"per_host": "0s", "robots": False})
    wait_until(lambda: collected(fleet, slow) and successes(fleet, good), 60, "an answer for both")
    assert {(one["outcome"], one["error"]) for one in collected(fleet, slow)} == {("failure", "timeout")}

    fleet.icn("node", "unregister", "n1")
    assert node.wait(20) == 2, "it says so and stops: all it said from now on would be dead letters"
    assert 'node "n1" is no longer registered' in Path(fleet.log.name).read_text()


ODD = """
import threading
from streams.collectors.collector import Collected

class OddCollector:
    capability = "odd"

    def __init__(self, options): ...

    def collect(self, task):
        if task.location == "never":
            threading.Event().wait()  # it does not heed task.left_s()
        return Collected([{"content": f"{task.location}, {task.ends_s}"}])
"""


def test_a_collector_that_never_comes_back_takes_nobody_elses_place(brokers: str, tmp_path: Path) -> None:
    """Somebody's own collector, found by its entry point, hangs in each tick; with a capacity of 2 the other target is collected all the
    same, and the process ends when it is asked to."""
    about = tmp_path / "plugin" / "odd-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[icn.collectors]\nodd = odd:OddCollector\n")
    (about.parent / "odd.py").write_text(ODD)
    with network(brokers, tmp_path, **CADENCE, protocol__coordination__needs={"odd": "odd"}) as net:
        net.env["PYTHONPATH"] = str(about.parent)
        net.restored_worker()
        net.icn("node", "register", "n1", "--principal", "alice", "--capability", "odd", "--capacity", "2")
        never, good = (
            net.icn("target", "add", "odd", location, "--interval", "2s", "--retry", "1s").stdout.strip()
            for location in ("never", "good")
        )
        node = run(net, "n1", odd={})
        wait_until(lambda: successes(net, good) >= 4 and len(collected(net, never)) >= 2, 90, "4 successes, 2 failures")
        assert {one["error"] for one in collected(net, never)} == {"timeout"}
        node.terminate()
        assert node.wait(20) == 0


def test_a_quota_that_stops_a_node_costs_no_artifact(brokers: str, tmp_path: Path) -> None:
    """Three of five are admitted: the file is read again, and the others follow when there is room (here: another node)."""
    with network(brokers, tmp_path, protocol__coordination__cadence="5s", protocol__intake__node_per_hour=3) as net:
        data = tmp_path / "data"
        data.mkdir()
        (data / "x.jsonl").write_text("".join(f'{{"content": "line {n}"}}\n' for n in range(5)))
        net.restored_worker()
        for name in ("n1", "n2"):
            net.icn("node", "register", name, "--principal", name, "--capability", "file")
        target = net.icn(
            "target", "add", "file", str(data / "x.jsonl"), "--interval", "2s", "--retry", "1s"
        ).stdout.strip()
        first = run(net, "n1", file={"roots": [str(data)]})
        wait_until(lambda: successes(net, target), 60, "a success of what was admitted")
        (one,) = [c for c in collected(net, target) if c["outcome"] == "success"][:1]
        assert (one["artifact_count"], one["claimed"]) == (3, 3)
        first.terminate()
        run(net, "n2", file={"roots": [str(data)]})
        wait_until(
            lambda: len({c["node_id"] for c in collected(net, target) if c["artifact_count"]}) == 2, 60, "the rest"
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("target", "add", "http", "https://example.org/"), "no registered node can http"),
        (("target", "add", "http", "ftp://example.org/", "--force"), "no http(s) URL"),
        (("target", "add", "ftp", "ftp://example.org/"), 'no collector for "ftp" is known'),
        (("target", "add", "http", "http://[::1", "--force"), "no http(s) URL"),
        (("target", "add", "file", "/x", "--priority", "11", "--force"), "priority 11"),
        (("target", "add", "file", "/x", "--interval", "often", "--force"), "--interval"),
        (("target", "add", "file", "a\nb", "--force"), "printable"),
        (("target", "add", "file", "/x", "--meta", "nothing", "--force"), "KEY=VALUE"),
        (("target", "import", "{bad.csv}", "--force"), "bad.csv:3: priority"),
        (("target", "import", "{none.csv}"), "No such file"),
        (("target", "remove", "0123456789abcdef"), "no target"),
        (("plan",), "no tick has been planned yet"),
        (("node", "unregister", "nobody"), "not registered"),
        (("node", "show", "nobody"), "not registered"),
        (("node", "run", "{none.yaml}"), "No such file"),
        (("node", "run", "{bad.yaml}"), 'no key "nodes"'),
        (("node", "run", "{good.yaml}"), "not registered"),
        (("soak", "--duration", "1s", "--cadence", "2s"), "a run one tick"),
    ],
)
def test_a_users_mistake_is_one_line_with_what_to_do(arguments: tuple[str, ...], words: str, net: Network) -> None:
    (net.folder / "bad.csv").write_text("type,location,priority\nfile,/a,5\nfile,/b,high\n")
    (net.folder / "bad.yaml").write_text("nodes: [1]\n")
    (net.folder / "good.yaml").write_text("node: n1\n")
    done = net.icn(*(a.replace("{", f"{net.folder}/").replace("}", "") for a in arguments), check=False)
    said = done.stderr.replace("\n", " ")
    assert done.returncode in (1, 2) and "Traceback" not in said
    assert words in said or words.split(":")[0] in said, said


def test_targets_are_imported_all_or_none(net: Network) -> None:
    net.icn("node", "register", "n1", "--principal", "alice", "--capability", "file", "--capability", "http")
    (net.folder / "targets.csv").write_text(
        "type,location,interval,domain\nfile,/a,5m,x\nhttp,https://example.org/,1h,y\n"
    )
    (net.folder / "more.jsonl").write_text(
        '{"type": "file", "location": "/a", "priority": 9}\n{"type": "feed", "location": "https://x.org/"}\n'
    )
    net.icn("target", "import", str(net.folder / "targets.csv"))
    refused = net.icn("target", "import", str(net.folder / "more.jsonl"), check=False)
    assert refused.returncode == 2 and "no registered node can feed" in refused.stderr
    rows = json.loads(net.icn("target", "list", "--json").stdout)
    assert [(r["type"], r["priority"], r["interval_ms"], r["metadata"]) for r in rows] == [
        ("file", 5, 300_000, {"domain": "x"}),
        ("http", 5, 3_600_000, {"domain": "y"}),
    ]
