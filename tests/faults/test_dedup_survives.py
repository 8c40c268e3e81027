"""s2 alone under kill -9, rebalance, lost folders and zombies: the folded result equals the truth, exactly."""

from __future__ import annotations

import random
import shutil
import signal
import time

import psutil
from confluent_kafka import Producer

from streams.bench.load import admitted_records, artifact
from streams.certify.checks import Checks
from streams.certify.truth import check_decisions
from tests.support.fold import events_in_order
from tests.support.network import Network, lag_of, wait_until

UNIQUE_SHARE = 4  # one in four


class Feed:
    """Produces admitted artifacts piecemeal, so that faults meet records in every state."""

    def __init__(self, net: Network, count: int) -> None:
        self.net, self.count = net, count
        self.records = admitted_records(count, count // UNIQUE_SHARE)
        self.producer = Producer(net.settings.librdkafka_producer())
        self.sent = 0

    def some(self, number: int) -> None:
        """The next `number` records, or what is left of them."""
        topic = self.net.topic("artifacts.admitted")
        for _ in range(min(number, self.count - self.sent)):
            key, value, _ = next(self.records)
            self.producer.produce(topic, value, key)
            self.sent += 1
            if self.sent % 1000 == 0:
                self.producer.poll(0)
        self.producer.flush(30)


def check(net: Network, feed: Feed, faults: int, what: str) -> None:
    """All decided, everything true."""
    feed.some(feed.count)
    wait_until(lambda: lag_of(net, "s2") == 0, 120, "lag 0")
    checks, ids = Checks(), {artifact(number)["artifact_id"] for number in range(feed.count)}
    decided = events_in_order(net.settings, net.topic("artifacts.decided"))
    counts = check_decisions(checks, decided, ids, feed.count // UNIQUE_SHARE)
    assert checks.passed, checks.failed
    print(f"\n{what}: {faults} faults, {sum(counts.values())} decisions compared with the truth: {dict(counts)}")


def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(net: Network, seed: int, faults: int) -> None:
    """Two workers; now this, now that process is killed under load, so partitions move each time."""
    rng = random.Random(seed)
    feed = Feed(net, 4000 * (faults + 1))
    net.worker("s2")
    net.worker("s2")
    killed = 0
    while killed < faults:
        feed.some(4000)
        time.sleep(rng.uniform(0.2, 3))
        if processes := net.stage_processes("s2_dedup"):
            rng.choice(processes).kill()
            killed += 1
    check(net, feed, killed, "kill -9")


def test_a_lost_data_folder_is_restored_from_the_changelog(net: Network, seed: int, faults: int) -> None:
    """Killed, its tables deleted in two of three cases, started again: the same decisions as if nothing had been."""
    rng = random.Random(seed)
    feed = Feed(net, 3000 * (faults + 1))
    tables, lost = net.settings.state / "workers" / "0" / "s2_dedup", 0
    for _ in range(faults):
        worker = net.worker("s2")
        wait_until(tables.exists, 20, "the stage has made its tables' folder")
        feed.some(3000)
        time.sleep(rng.uniform(1, 4))
        worker.kill()
        worker.wait()
        wait_until(
            lambda: (
                not any(
                    "streams.runtime.worker" in " ".join(p.info["cmdline"] or ())
                    and str(net.folder) in str(p.info["environ"])
                    for p in psutil.process_iter(["cmdline", "environ"])
                )
            ),
            10,
            "stages end with their supervisor",
        )
        if lost == 0 or rng.random() < 0.7:
            shutil.rmtree(tables)
            lost += 1
        net.workers.clear()
    net.worker("s2")
    check(net, feed, faults, f"killed, and {lost} folders lost")


def test_a_worker_stopped_past_its_session_and_woken_does_no_harm(net: Network, seed: int, faults: int) -> None:
    """SIGSTOP until others have taken over, then SIGCONT: the zombie is fenced."""
    rng = random.Random(seed)
    rounds = faults
    feed = Feed(net, 5000 * (rounds + 1))
    net.worker("s2")
    net.worker("s2")
    wait_until(lambda: len(net.stage_processes("s2_dedup")) == 2, 20, "two stage processes")
    for _ in range(rounds):
        feed.some(2500)
        time.sleep(rng.uniform(0.5, 2))
        zombie = rng.choice(wait_until(lambda: net.stage_processes("s2_dedup"), 20, "a stage process"))
        zombie.send_signal(signal.SIGSTOP)
        feed.some(2500)
        time.sleep(9)  # session: 6 s
        zombie.send_signal(signal.SIGCONT)
        time.sleep(2)
    check(net, feed, rounds, "zombie")


def test_workers_come_and_go_under_load(net: Network, seed: int, faults: int) -> None:
    """Joining and SIGTERM in turn: each is a rebalance; nobody has to be restarted by hand."""
    rng = random.Random(seed)
    feed = Feed(net, 3000 * (faults + 2))
    workers = [net.worker("s2")]
    for number in range(faults):
        feed.some(3000)
        time.sleep(rng.uniform(0.5, 3))
        if number % 2 == 0:
            workers.append(net.worker("s2"))
        else:
            leaving = workers.pop(rng.randrange(len(workers)))
            leaving.send_signal(signal.SIGTERM)
            started = time.monotonic()
            # one that is asked before it has got as far as listening is ended by the signal itself
            assert leaving.wait(15) in (0, -signal.SIGTERM)
            assert time.monotonic() - started < 10, "SIGTERM ends a worker within 10 s"
    check(net, feed, faults, "rebalance")
