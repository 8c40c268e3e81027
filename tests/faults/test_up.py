"""`icn up`: the whole network of one machine, kept running until Ctrl-C, whatever ends in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from streams.audit.record.events import payload_of
from streams.broker.local import LocalBroker
from streams.broker.topics import events
from streams.errors import BrokerError
from streams.settings import Settings, read_settings
from streams.topology import Topology, load, parse
from tests.support.network import wait_until
from tests.support.processes import clean_env, kill_child, start_icn

CADENCE = "4s"  # time enough for a collection on a machine that has other things to do
LINE_EVERY_S = 2.0  # a newcomer may send a thousand an hour


class Up:
    """`icn up --fleet` as a process, with a node that collects a file which grows."""

    def __init__(self, folder: Path) -> None:
        raw = yaml.safe_load(Path(load().source).read_text())
        raw["protocol"]["coordination"]["cadence"] = CADENCE
        (folder / "topology.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
        self.file = folder / "x.jsonl"
        target = {"type": "file", "location": str(self.file), "interval": CADENCE, "retry": "1s"}
        fleet = {"nodes": {"n1": {"collectors": {"file": {"roots": [str(folder)]}}}}, "targets": [target]}
        (folder / "fleet.yaml").write_text(yaml.safe_dump(fleet))
        self.next_line_s = 0.0
        self.number, self.state, self.log = 0, folder / "state", (folder / "up.log").open("ab")
        self.env = clean_env() | {"ICN_TOPOLOGY": str(folder / "topology.yaml"), "ICN_STATE": str(self.state)}
        self.process = start_icn(["up", "--fleet", str(folder / "fleet.yaml")], self.env, self.log)

    def network(self) -> tuple[Topology, Settings]:
        topology = parse(yaml.safe_load(Path(self.env["ICN_TOPOLOGY"]).read_text()))
        return topology, read_settings(topology, self.env)

    def records(self, alias: str, schema: str) -> list[dict[str, Any]]:
        """Of a topic; none while the broker is away."""
        topology, settings = self.network()
        if not settings.brokers:
            return []
        try:
            return [record for record, _ in events(settings, topology.topic(alias).name, schema)]
        except BrokerError:
            return []

    def admitted(self) -> int:
        """Collections so far whose lines were admitted; now and then one more line is written."""
        if time.monotonic() < self.next_line_s:
            return self._admitted()
        self.next_line_s = time.monotonic() + LINE_EVERY_S
        self.number += 1
        with self.file.open("a") as lines:
            lines.write(json.dumps({"content": f"line {self.number}"}) + "\n")
        return self._admitted()

    def _admitted(self) -> int:
        return sum(one["outcome"] == "success" for one in self.records("collections", "collection"))

    def kill(self, *words: str) -> None:
        """-9 for the process whose command line has these words."""
        kill_child(self.process.pid, *words)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path)
    try:
        yield made
    except BaseException:
        print((tmp_path / "up.log").read_text()[-6000:])
        raise
    finally:
        if made.process.poll() is None:
            made.process.kill()
        LocalBroker(made.state).stop()
        made.log.close()


def test_what_ends_is_started_again_and_ctrl_c_leaves_nothing_behind(up: Up) -> None:
    """Four faults: a stage, a node, the ticks and the broker are killed, and after each one new lines are collected and admitted."""
    wait_until(up.admitted, 120, "a first line that is admitted")
    for command in (["broker", "stop"], ["up"]):
        done = subprocess.run(
            [sys.executable, "-m", "streams", *command], env=up.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2 and f"pid {up.process.pid}" in done.stderr, f"icn {command}: {done.stderr}"
    kills = (
        lambda: up.kill("streams.runtime.worker", "s2_dedup"),
        lambda: up.kill("node", "n1.yaml"),
        lambda: up.kill("streams.agents.ticks"),
        lambda: os.kill(LocalBroker(up.state).pid() or 0, signal.SIGKILL),
    )
    for kill in kills:
        goal = up.admitted() + 2
        kill()
        wait_until(lambda goal=goal: up.admitted() >= goal, 150, "two collections after the kill")  # type: ignore[misc]

    wait_until(lambda: len(crashes(up)) >= 3, 30, "the crashes on record")
    assert {"node n1", "broker"} <= crashes(up)
    kinds = {record["type"] for record in up.records("metrics", "metric_event")}
    assert {"resource_sample", "node_register", "target_added", "process_start"} <= kinds
    everybody = psutil.Process(up.process.pid).children(recursive=True)
    os.kill(up.process.pid, signal.SIGINT)
    assert up.process.wait(60) == 0
    assert [child for child in everybody if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []
    assert LocalBroker(up.state).pid() is None


def crashes(up: Up) -> set[str]:
    """Names of those that are on record as ended unasked."""
    form = payload_of("process_crash")
    assert form is not None
    found = (r for r in up.records("metrics", "metric_event") if r["type"] == "process_crash")
    return {form.decode(record["payload"])["child"] for record in found}
