"""What may happen to a network that works: each fault is made, and is over, when its function returns. Times are seconds."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from streams.bench.load import artifact
from streams.broker.local import LocalBroker
from streams.broker.registrations import token_of
from streams.broker.topics import fold
from streams.certify.proxy import Proxy
from streams.certify.stand import Stand, wait_until
from streams.codec import encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.units import size_bytes

AWAY_S = (4.0, 8.0)
DISK_MIB = 24


class Impossible(Exception):
    """This machine does not allow it; the words say what is missing."""


@dataclass
class World:
    """A stand whose workers reach their broker through a proxy. also: what else was submitted on the way, as raw records, by outcome."""

    stand: Stand
    broker: LocalBroker
    proxy: Proxy | None
    rng: random.Random
    also: dict[str, int] = field(default_factory=dict)

    def worker(self, *stages: str, **env: str) -> None:
        """One more, through the proxy."""
        self.stand.worker(*stages, **({"ICN_BROKERS": self.by_proxy} if self.by_proxy else {}), **env)

    @property
    def by_proxy(self) -> str:
        return f"127.0.0.1:{self.proxy.port}" if self.proxy else ""

    def submitted(self, outcome: str, number: int) -> None:
        self.also[outcome] = self.also.get(outcome, 0) + number


class Fault(NamedTuple):
    """make: does it, and returns how many faults that were."""

    name: str
    says: str
    make: Callable[[World], int]
    nodes: int = 1  # brokers that it takes


def _kill_each(world: World) -> int:
    killed = 0
    stand = world.stand
    for name in (*stand.topology.agents, *stand.topology.windows):
        processes = stand.stage_processes(name) or stand.window_processes(name)
        for process in processes[:1]:
            process.kill()
            killed += 1
            time.sleep(world.rng.uniform(0.3, 1.5))
    return killed


def _kill_workers(world: World) -> int:
    """And a new one takes its place."""
    worker = world.stand.workers.pop(0)
    worker.kill()
    worker.wait()
    world.worker()
    return 1


def _restart(world: World) -> int:
    """kill -9, then a clean stop."""
    for end in (world.broker.kill, world.broker.stop):
        end()
        time.sleep(world.rng.uniform(0, 3))
        world.broker.start(owned=True)
        time.sleep(world.rng.uniform(3, 6))
    return 2


def _one_of_three(world: World) -> int:
    """Each in turn, and back."""
    for node in (1, 2, 3):
        world.broker.kill(node)
        time.sleep(world.rng.uniform(*AWAY_S))
        world.broker.start_node(node, owned=True)
        time.sleep(world.rng.uniform(3, 6))
    return 3


def _cut(world: World) -> int:
    """Shorter than a session, and longer."""
    assert world.proxy is not None
    for seconds in (2.0, 9.0):
        world.proxy.cut()
        time.sleep(seconds)
        world.proxy.heal()
        time.sleep(3)
    return 2


def _slow(world: World) -> int:
    assert world.proxy is not None
    for delay_s in (0.1, 0.6):
        world.proxy.delay_s = delay_s
        time.sleep(world.rng.uniform(*AWAY_S))
        world.proxy.heal()
    return 2


def _disk_full(world: World) -> int:
    """One worker's folder is a small file system that is filled to its last byte, then has room again."""
    stand = world.stand
    folder = stand.folder / "small"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Impossible("a small file system can't be mounted here (it takes root)") from error
    try:
        (folder / "keys").mkdir()
        for key in (stand.settings.state / "keys").iterdir():
            (folder / "keys" / key.name).write_bytes(key.read_bytes())
        world.worker("s1_intake", "s2_dedup", ICN_STATE=str(folder))
        wait_until(lambda: any(folder.glob("workers/*/s2_dedup/*")), 60, "the worker on the small disk has tables")
        time.sleep(world.rng.uniform(*AWAY_S))
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        time.sleep(world.rng.uniform(*AWAY_S))
        filler.unlink()
        time.sleep(world.rng.uniform(*AWAY_S))
    finally:
        if len(stand.workers) > 1:
            worker = stand.workers.pop()
            worker.terminate()
            worker.wait(30)
        subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)
    return 1


def _clock(world: World) -> int:
    """A worker's wall clock is set: an hour ahead, an hour back, to the truth."""
    stand = world.stand
    said = stand.folder / "clock"
    said.write_text("0")
    path = str(Path(__file__).parent / "clock")
    worker = stand.workers.pop(0)
    world.worker(PYTHONPATH=path, TEST_CLOCK=str(said))
    wait_until(lambda: len(stand.stage_processes("s2_dedup")) > 0, 60, "a worker with a clock of its own")
    worker.terminate()
    worker.wait(30)
    time.sleep(world.rng.uniform(*AWAY_S))
    for ahead_s in (3600, -3600, 0):
        said.write_text(str(ahead_s))
        time.sleep(world.rng.uniform(*AWAY_S))
    return 3


def _storm(world: World) -> int:
    """Each comes, takes partitions over, and goes."""
    stand = world.stand
    for _ in range(3):
        before = stand.takeovers("s2_dedup")
        world.worker("s1_intake", "s2_dedup")
        wait_until(lambda before=before: stand.takeovers("s2_dedup") > before, 60, "partitions change hands")  # type: ignore[misc]
        time.sleep(world.rng.uniform(0.5, 3))
        worker = stand.workers.pop()
        worker.send_signal(signal.SIGTERM)
        worker.wait(60)
    return 6


def _zombie(world: World) -> int:
    """Stopped past its session while another takes over, then awake again."""
    world.worker("s1_intake", "s2_dedup")
    stand = world.stand
    try:
        wait_until(lambda: len(stand.stage_processes("s2_dedup")) > 1, 60, "two of each stage")
        time.sleep(world.rng.uniform(*AWAY_S))
        stopped = [stand.stage_processes(stage)[0] for stage in ("s1_intake", "s2_dedup")]
        for process in stopped:
            process.send_signal(signal.SIGSTOP)
        time.sleep(10)
        for process in stopped:
            process.send_signal(signal.SIGCONT)
        time.sleep(3)
    finally:
        worker = stand.workers.pop()
        worker.terminate()
        worker.wait(60)
    return len(stopped)


def _twice(world: World) -> int:
    """The same bytes with the same signature again, as a producer without idempotence would."""
    stand, sent = world.stand, 0
    producer = Producer(stand.settings.librdkafka_producer())
    for message in list(fold(stand.settings, stand.topic("artifacts.raw")))[-300:]:
        macs = [name for name, _ in message.headers() or ()]
        if MAC_HEADER in macs and (message.key() or b"").startswith(b"matrix"):
            producer.produce(message.topic(), message.value(), message.key(), headers=message.headers())
            sent += 1
    producer.flush(30)
    world.submitted("resent", sent)
    return sent


def _poison(world: World) -> int:
    """What is no record, no artifact, not signed."""
    stand = world.stand
    value = encoder("artifact")(artifact(1, "matrix-1", content="unsigned"))
    producer = Producer(stand.settings.librdkafka_producer())
    records = [b"", b"\0", b"\0\0\0\0\1", bytes(1000), value, value[:-1], world.rng.randbytes(300)]
    for record in records:
        for key in (b"matrix-1", b"nobody", b""):
            producer.produce(stand.topic("artifacts.raw"), record, key)
    producer.flush(30)
    world.submitted("dead_lettered", 3 * len(records))
    return 3 * len(records)


def _giant(world: World) -> int:
    """As large as a record may be, signed: one that is admitted, one whose content is too long; and one that the broker refuses."""
    stand = world.stand
    most = size_bytes(stand.topology.protocol["content_max"])
    token = token_of(stand.settings, "matrix-giant", 1)
    producer = Producer(stand.settings.librdkafka_producer(**{"message.max.bytes": 16 << 20}))
    for size in (most, most + 1, 8 << 20):
        content = world.rng.randbytes(size // 2 + 1).hex()[:size]
        value = encoder("artifact")(
            artifact(size, "matrix-giant", content=content, artifact_id=f"{size}-{world.rng.random()}")
        )
        mac = [(MAC_HEADER, sign(token, b"matrix-giant", value))]
        with contextlib.suppress(Exception):
            producer.produce(stand.topic("artifacts.raw"), value, b"matrix-giant", headers=mac)
    producer.flush(60)
    world.submitted("unique", 1)
    world.submitted("dead_lettered", 1)
    return 3


FAULTS = (
    Fault("kill", "kill -9 of each stage's process", _kill_each),
    Fault("worker", "kill -9 of a whole worker", _kill_workers),
    Fault("broker", "the broker is killed, then stopped, and comes back", _restart),
    Fault("one-of-three", "one of three brokers is lost and comes back", _one_of_three, 3),
    Fault("cut", "the network between worker and broker is cut", _cut),
    Fault("slow", "the network between worker and broker is slow", _slow),
    Fault("disk", "a worker's disk is full", _disk_full),
    Fault("clock", "a worker's clock is set ahead and back", _clock),
    Fault("storm", "workers come and go", _storm),
    Fault("zombie", "a worker stops past its session and wakes", _zombie),
    Fault("twice", "records are delivered twice", _twice),
    Fault("poison", "records that are none", _poison),
    Fault("giant", "records as large as they may be, and larger", _giant),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
