"""A registry by URL: its ids are on the wire, and the network works and verifies under them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from streams.broker.ports import free_port
from tests.support.chain import check_replay
from tests.support.fold import read_all
from tests.support.network import Network, network, wait_until

SHIFTED_IDS = """
import sys
from streams import codec
codec.use_ids({name: entry["id"] + 700 for name, entry in codec.ids().items()})
from streams.broker.registry_http import serve
from streams.settings import read_settings
from streams.topology import load
topology = load()
serve(topology, read_settings(topology, {}, brokers=""), "127.0.0.1", int(sys.argv[1]))
"""


def test_another_registrys_ids_are_used_on_the_wire(brokers: str, tmp_path: Path) -> None:
    """Here: ours, with other ids, in a process of its own."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with network(brokers, tmp_path, local__registry=url) as net:
        registry = subprocess.Popen([sys.executable, "-c", SHIFTED_IDS, str(port)], env=net.env, stderr=net.log)
        try:
            wait_until(lambda: _answers(url), 20, "the registry answers")
            net.worker()
            net.icn("node", "register", "n1", "--principal", "alice")
            lines = tmp_path / "a.jsonl"
            lines.write_text('{"content": "hello"}\n')
            done = net.icn("produce", str(lines), "--node", "n1", "--json")

            assert json.loads(done.stdout)["accepted"] == {"unique": 1}
            (raw,) = read_all(net.settings, net.topic("artifacts.raw"))
            assert int.from_bytes(raw.value()[1:5], "big") > 700
            check_replay(net)
        finally:
            registry.terminate()
            registry.wait(10)


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/subjects", timeout=1).status == 200
    except OSError:
        return False


def test_a_registry_that_is_away_is_one_clear_line(net: Network) -> None:
    """No traceback; nothing is sent under wrong ids."""
    ended = net.icn("status", check=False, ICN_REGISTRY="http://127.0.0.1:1")

    assert ended.returncode == 2
    assert "schema registry http://127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr
