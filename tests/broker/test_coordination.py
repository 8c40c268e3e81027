"""The coordinator on a real broker: plans, what comes back, and its own death in between."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from streams.broker.registrations import unregister
from streams.broker.targets import add, remove
from streams.replay.coordination import verify_coordinator
from streams.runtime.rules import rule_version
from tests.broker.test_poison import NotUtf8, send_raw
from tests.support.chain import check_replay, node, settled
from tests.support.collecting import FAST, FakeNode, pages, told
from tests.support.network import Network, network, wait_until


def emitter(net: Network) -> psutil.Process | None:
    for worker in net.workers:
        for child in psutil.Process(worker.pid).children():
            if "streams.agents.ticks" in child.cmdline():
                return child
    return None


def check_steps(net: Network) -> int:
    """All of them taken again; how many records were compared."""
    found = verify_coordinator(net.topology, net.settings, rule_version(net.topology))
    assert found.findings == []
    return found.compared


def test_what_is_collected_counts_and_a_killed_coordinator_goes_on(
    brokers: str, tmp_path: Path, seed: int, faults: int
) -> None:
    """Kill -9 at random: no assignment is judged twice, and whoever takes all steps again comes to the same."""
    rng = random.Random(seed)
    with network(brokers, tmp_path, **FAST) as net:
        n1 = FakeNode(net, "n1")
        add(net.topology, net.settings, pages(3))
        net.worker()
        number = 0
        with node(net, "n1") as sdk:

            def collect(assignment: dict[str, Any]) -> None:
                nonlocal number
                futures = sdk.submit_many(
                    {"content": f"text {number + n}", "assignment": assignment["assignment_id"]} for n in range(2)
                )
                number += 2
                assert all(future.result(60).accepted for future in futures)
                n1.voice.report(assignment["assignment_id"], assignment["target_id"], "success", 2, 5)

            wait_until(lambda: n1.work(1, collect), 60, "a first assignment")
            for _ in range(faults):
                n1.work(2 + rng.random(), collect)
                wait_until(lambda: emitter(net), 30, "the coordinator, started again").kill()
            wait_until(lambda: n1.work(2, collect), 60, "an assignment after the last kill")
        settled(net)
        net.stop()
        n1.close()
        collections, assignments = told(net, "collections"), told(net, "assignments")
        outcomes = Counter(one["outcome"] for one in collections)
        ids = [one["assignment"] for one in collections if one["outcome"] != "unknown" and not one["late"]]
        compared = check_steps(net)
        check_replay(net)
        print(
            f"\n{faults} kills; {len(assignments)} assignments, {dict(outcomes)}; {compared} records made again, identical"
        )
        assert len(ids) == len(set(ids)) and set(ids) <= {one["assignment_id"] for one in assignments}
        assert outcomes["success"] >= 2 * faults
        assert all(one["artifact_count"] == one["claimed"] == 2 for one in collections if one["outcome"] == "success")
        assert {one["artifact_count"] for one in collections} <= {0, 2}


def test_who_speaks_is_checked(brokers: str, tmp_path: Path) -> None:
    """A report with another node's name, one with a revoked token, garbage: dead letters, with the reason; the liar's claim has failed."""
    with network(brokers, tmp_path, **FAST) as net:
        n1, n2 = FakeNode(net, "n1"), FakeNode(net, "n2", "nothing")
        add(net.topology, net.settings, pages(1))
        net.worker()
        jobs: list[dict[str, Any]] = []
        wait_until(lambda: n1.work(0.5, jobs.append), 60, "an assignment")
        (job,) = jobs
        claim = (job["assignment_id"], job["target_id"], "success", 7)
        n2.voice.report(*claim)  # not its own
        n2.voice.key = b"n1"
        n2.voice.node_id = "n1"
        n2.voice.report(*claim)  # in n1's name, with n2's token
        n2.voice.producer.produce(net.topic("reports"), b"garbage", b"n1")
        asyncio.run(send_raw(net, b"n1", b"x", [(NotUtf8("h"), b"v")], "reports"))
        n1.voice.report(
            "A" * 1_600_000, job["target_id"], "success", 1
        )  # its answer would be larger than a record may be
        n1.voice.report(job["assignment_id"], job["target_id"], "unknown")
        n2.voice.flush(10)
        n1.voice.report(*claim)  # nothing was submitted
        n1.work(3, jobs.append)
        found = {one["collection_id"]: one for one in told(net, "collections") if one["outcome"] == "failure"}
        judged = found[job["assignment_id"]]
        assert (judged["artifact_count"], judged["claimed"], judged["node_id"]) == (0, 7, "n1")
        refused = sum((Counter(one["refused"]) for one in told(net, "ticks")), Counter())
        assert refused["reports: out_of_range"] == 2 and refused["reports: not_avro"] == 2
        assert refused["reports: bad_signature"] == 1 and refused["not its assignment"] == 1
        shown = net.icn("dlq", "list", "--json", check=False).stdout
        assert shown.count("bad_signature") >= 1
        check_steps(net)
        n1.close()
        n2.close()


@pytest.mark.parametrize("how", ["stopped", "unregistered", "silent"])
def test_what_a_node_leaves_is_for_another(brokers: str, tmp_path: Path, how: str) -> None:
    with network(brokers, tmp_path, **FAST) as net:
        n1 = FakeNode(net, "n1")
        (page,) = pages(1)
        add(net.topology, net.settings, [page])
        net.worker()
        jobs: list[dict[str, Any]] = []
        wait_until(lambda: n1.work(0.5, jobs.append), 60, "an assignment")
        n2 = FakeNode(net, "n2")
        if how == "stopped":
            n1.voice.say("stopped")
            n1.voice.flush(10)
        elif how == "unregistered":
            unregister(net.topology, net.settings, "n1")
        again: list[dict[str, Any]] = []
        wait_until(lambda: n2.work(0.5, again.append), 30, "the same target, for n2")
        assert {one["target_id"] for one in again} == {page.id}
        reasons = {g["reason"] for one in told(net, "ticks") for g in one["given_up"]}
        assert reasons == {{"silent": "its node is offline"}.get(how, how)}
        failures = [one for one in told(net, "collections") if one["node_id"] == "n1"]
        assert len(failures) == (how == "silent"), "who says goodbye has not failed"
        remove(net.topology, net.settings, [page])
        count = len(told(net, "assignments"))
        time.sleep(2.5)
        n2.work(1, again.append)
        assert len(told(net, "assignments")) - count <= 1
        check_steps(net)
        n1.close()
        n2.close()
