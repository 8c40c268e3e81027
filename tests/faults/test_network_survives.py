"""The whole network under faults, two workers: the folded result equals the truth, conservation balances, replay verifies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from streams.broker.local import LocalBroker
from tests.support.chain import add_nodes, check_balance, check_replay, decided_once, node, settled
from tests.support.network import Network, network, wait_until

NO_LIMITS = {"protocol__intake__node_per_hour": 0, "protocol__intake__global_per_hour": 0}


def report(net: Network, ids: set[str], faults: int, what: str) -> None:
    """Everything holds; say how much was compared."""
    settled(net)
    decisions = decided_once(net, ids)
    check_balance(net)
    compared = sum(stage["compared"] for stage in check_replay(net)["stages"])
    print(
        f"\n{what}: {faults} faults; {len(ids)} artifacts, each decided once ({dict(decisions)}); {compared} outputs recomputed, identical"
    )


def test_kill_9_of_any_stage_loses_and_doubles_nothing(brokers: str, tmp_path: Path, seed: int, faults: int) -> None:
    """Stages and whole supervisors of two workers, at random, while two nodes send."""
    rng = random.Random(seed)
    with network(brokers, tmp_path, whole=True, **NO_LIMITS) as net:
        add_nodes(net, "n1", "n2")
        net.worker()
        net.worker()
        futures = []
        with node(net, "n1") as n1, node(net, "n2") as n2:
            for fault in range(faults):
                for one in (n1, n2):
                    futures += one.submit_many(
                        {"content": f"{rng.randrange(2000)}", "confidence": rng.random()} for _ in range(500)
                    )
                time.sleep(rng.uniform(0.3, 3))
                if fault % 3 == 2:
                    victim = net.workers.pop(rng.randrange(2))
                    victim.kill()
                    victim.wait()
                    net.worker()
                elif processes := net.stage_processes():
                    rng.choice(processes).kill()
            told = [future.result(180) for future in futures]
        assert all(decision.accepted for decision in told)
        report(net, {f.artifact_id for f in futures}, faults, "kill -9")


def test_a_restarted_broker_is_waited_for(tmp_path: Path, seed: int, faults: int) -> None:
    """Stopped cleanly and killed in turn, in mid-load; nobody is restarted by hand."""
    rng = random.Random(seed)
    broker = LocalBroker(tmp_path)
    bootstrap = broker.start(owned=True)
    rounds = faults
    try:
        with network(bootstrap, tmp_path, **NO_LIMITS) as net:
            add_nodes(net, "n1")
            net.worker()
            net.worker()
            wait_until(
                lambda: len(net.stage_processes()) == 2 * len(net.topology.agents), 30, "all stages of each worker"
            )
            futures = []
            with node(net, "n1", resend_after_s=10) as n1:
                for number in range(rounds):
                    futures += n1.submit_many(
                        {"content": f"{rng.randrange(1000)}", "confidence": rng.random()} for _ in range(1000)
                    )
                    time.sleep(rng.uniform(0, 1))
                    if number % 2:
                        broker.stop()
                    else:
                        broker.kill()
                    time.sleep(rng.uniform(0, 3))
                    broker.start(owned=True)
                told = [future.result(90) for future in futures]
            assert all(decision.accepted for decision in told)
            report(net, {f.artifact_id for f in futures}, rounds, "broker restart")
    finally:
        broker.stop()


SENDER = """
import sys, time
from streams.sdk import Node
with Node("n1") as node, open(sys.argv[1], "a", buffering=1) as told:
    futures = list(node.recovered)
    for number in range(int(sys.argv[2]), int(sys.argv[2]) + 400):
        futures.append(node.submit(f"text {number % 150}", artifact_id=f"id-{number}", confidence=number % 11 / 11))
        if number % 20 == 0:
            time.sleep(0.01)
    for future in futures:
        print(future.result(60).outcome, future.artifact_id, file=told)
"""


def test_a_killed_sender_loses_nothing_and_doubles_nothing(
    brokers: str, tmp_path: Path, seed: int, faults: int
) -> None:
    """kill -9 in mid-send; the next one of the same id finds the outbox. What was told as accepted is in the stream, once."""
    rng = random.Random(seed)
    with network(brokers, tmp_path, **NO_LIMITS) as net:
        add_nodes(net, "n1")
        net.worker()
        told = tmp_path / "told"
        for fault in range(faults):
            sender = subprocess.Popen(
                [sys.executable, "-c", SENDER, str(told), str(fault * 400)], env=net.env, stderr=net.log
            )
            time.sleep(rng.uniform(0.4, 1.6))
            sender.kill()
            sender.wait()
        last = subprocess.run(
            [sys.executable, "-c", SENDER, str(told), str(faults * 400)],
            env=net.env,
            stderr=net.log,
            timeout=120,
            check=False,
        )
        assert last.returncode == 0
        settled(net)
        from tests.support.fold import events

        accepted = {line.split()[1] for line in told.read_text().splitlines()}
        sent = {event["artifact_id"] for event in events(net.settings, net.topic("artifacts.raw"))}
        assert accepted <= sent
        report(net, sent, faults, "SDK killed")


def test_a_dead_supervisor_leaves_no_stage_running(whole_net: Network) -> None:
    """kill -9: the lifeline breaks, and all go."""
    net = whole_net
    worker = net.worker()
    wait_until(lambda: len(net.stage_processes()) == len(net.topology.agents), 30, "all stages")
    children = psutil.Process(worker.pid).children()
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()

    gone, alive = psutil.wait_procs(children, timeout=15)  # one that is still being imported ends when it comes to that

    expected = len(net.topology.agents) + len(net.topology.windows) + 1
    assert (alive, len(gone)) == ([], expected), "the stages, what ticks wake, and the ticks"


def test_sigterm_under_load_ends_a_worker_in_time_and_loses_nothing(brokers: str, tmp_path: Path) -> None:
    """Within 10 s, exit code 0; what was in flight is done by the next."""
    with network(brokers, tmp_path, **NO_LIMITS) as net:
        add_nodes(net, "n1")
        worker = net.worker()
        with node(net, "n1") as n1:
            futures = n1.submit_many({"content": f"{i}"} for i in range(5000))
            futures[0].result(60)
            started = time.monotonic()
            worker.terminate()
            assert (worker.wait(20), time.monotonic() - started < 10) == (0, True)
            net.worker()
            assert {"unique"} == {future.result(120).outcome for future in futures}
        report(net, {f.artifact_id for f in futures}, 1, "SIGTERM")
