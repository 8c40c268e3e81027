"""The command line as a newcomer meets it: what can't be is refused in one line, what is shown is right."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from streams.sdk import Node
from tests.support.chain import add_nodes, node, settled
from tests.support.fold import read_all
from tests.support.network import Network, wait_until


def test_dead_letters_are_found_by_each_of_their_topics_names(net: Network) -> None:
    """Alias or full name, with or without .dlq; others are refused."""
    add_nodes(net, "n1")
    net.worker("s1")
    wrong = Node("n1", topology=net.topology, token="00" * 32)
    wrong.submit("by nobody knows whom")
    wrong.close(1)
    wait_until(lambda: read_all(net.settings, net.topic("artifacts.raw.dlq")), 30, "the dead letter")
    names = ("artifacts.raw", net.topic("artifacts.raw"), "artifacts.raw.dlq", net.topic("artifacts.raw.dlq"))
    for name in names:
        done = net.icn("dlq", "list", name, "--json", check=False)
        (letter,) = json.loads(done.stdout)
        assert (done.returncode, letter["reason"], letter["partition"], letter["key"]) == (1, "bad_signature", 0, "n1")
    for wanted in ("artifacts.raw.dlq/0/0", f"{net.topic('artifacts.raw')}/0/{letter['offset']}"):
        shown = json.loads(net.icn("dlq", "show", wanted, "--json").stdout)
        assert shown["decoded"]["content"] == "by nobody knows whom"
    for name in ("nope", "control"):
        assert net.icn("dlq", "list", name, check=False).returncode == 2


def test_cat_shows_the_last_records_not_the_last_offsets(net: Network) -> None:
    """Each transaction ends in a marker that takes an offset."""
    add_nodes(net, "n1")
    net.worker("s1", "s2")
    with node(net, "n1") as n1:
        for number in range(3):
            n1.submit(f"{number}").result(60)
    told = net.icn("cat", "receipts", "-f", "%p/%o\\n").stdout.split()

    assert told[-2:] == net.icn("cat", "receipts", "-o", "-2", "-f", "%p/%o\\n").stdout.split()
    assert told == net.icn("cat", "receipts", "-o", "-1000", "-f", "%p/%o\\n").stdout.split()
    for wrong in (("-p", "9"), ("-f", "%q"), ("-o", "--5"), ("-o", "s@x"), ("-J", "-f", "%o"), ("-c", "0")):
        ended = net.icn("cat", "receipts", *wrong, check=False)
        assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), wrong


def test_produce_goes_on_after_what_it_can_not_send(net: Network, tmp_path: Path) -> None:
    """One document: counts, each artifact, each problem with its line."""
    add_nodes(net, "n1")
    net.worker()
    lines = tmp_path / "a.jsonl"
    lines.write_text('{"content": "one"}\n{\n{"content": "two", "self": 1}\n{"content": "three"}\n')

    done = net.icn("produce", str(lines), "--node", "n1", "--json", check=False)

    told = json.loads(done.stdout)
    assert (done.returncode, told["counts"]) == (1, {"unique": 2, "invalid": 2})
    assert [a["where"] for a in told["artifacts"]] == [f"{lines}:1", f"{lines}:4"]
    assert all(a["canonical_id"] == a["artifact_id"] and a["version"] == 1 for a in told["artifacts"])
    assert [bad["where"] for bad in told["invalid"]] == [f"{lines}:2", f"{lines}:3"]
    settled(net)
    wanted = told["artifacts"][0]["artifact_id"]
    steps = json.loads(net.icn("artifact", "show", wanted, "--json").stdout)["steps"]
    assert [s["time_ms"] for s in steps] == sorted(s["time_ms"] for s in steps)
    assert {"sent", "admitted", "receipt", "decided", "scored"} == {s["step"] for s in steps}
    assert wanted in net.icn("receipts", "--node", "n1").stdout
    assert "\x1b" not in net.icn("lag").stdout


def test_what_is_unknown_is_refused(net: Network) -> None:
    """Exit code 2, one line, no traceback; 1 where there is nothing under that name."""
    for missing in (("receipts", "--node", "nope"), ("artifact", "show", "nope"), ("reputation", "show", "nope")):
        ended = net.icn(*missing, check=False)
        assert (ended.returncode, ended.stdout, "Traceback" in ended.stderr) == (1, "", False), (missing, ended.stderr)
    for command in (
        ("dlq", "show", "5"),
        ("receipts", "--node", "nope", "--last", "0"),
        ("lag", "--group", "nope"),
        ("node", "register", "new", "--principal", "p", "--rotate"),
        ("node", "register", "new", "--principal", ""),
        ("node", "register", "a\x1b[31m", "--principal", "p"),
        ("produce", "nofile.jsonl", "--node", "n1"),
        ("demo",),
    ):
        (net.settings.state / "demo").mkdir(parents=True, exist_ok=True)  # somebody's: icn demo must not delete it
        ended = net.icn(*command, check=False)
        assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), (command, ended.stderr)


@pytest.mark.parametrize("command", [("status",), ("rebuild",), ("check",), ("node", "list"), ("worker",)])
def test_a_broker_out_of_reach_is_told_soon(net: Network, command: tuple[str, ...]) -> None:
    """Nobody listens on port 1. librdkafka alone would ask for a minute."""
    started = time.monotonic()
    ended = net.icn("--broker", "127.0.0.1:1", *command, check=False)

    assert ended.returncode == (1 if command == ("check",) else 2)
    assert "can't reach 127.0.0.1:1" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert time.monotonic() - started < 20
