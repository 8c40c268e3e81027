"""The logger under faults, on a real broker: what a call returned for is never lost, nothing counts twice, nothing is forked."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from streams.audit.layout import Item
from streams.audit.record.events import Event
from streams.audit.record.log import HELD_MAX, AuditLog
from streams.audit.record.spool import Segment
from streams.audit.verify.checkpoints import Published
from streams.audit.verify.verifier import Result, Verifier
from streams.broker.local import LocalBroker
from streams.codec import decoder
from streams.errors import AuditError
from tests.support.audit import KNOWN_TYPES, ORIGIN
from tests.support.fold import read_all
from tests.support.network import Network, network, wait_until

WRITER = """
import json, os, sys, time
from pathlib import Path
from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
folder, topic, producer, pause_s = Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]), float(sys.argv[4])
log = AuditLog(folder, "w", topic, manifest={}, methodology={}, producer=producer)
number = int(sys.argv[5])
while True:
    log.write(Event("tick_completed", number, success=True))
    os.write(1, b"%d\\n" % number)  # the call has returned
    number += 1
    time.sleep(pause_s)
"""


def verified(net: Network) -> tuple[Result, list[int]]:
    """What an auditor finds on the topic without checkpoints, and the ticks that count."""
    ticks: list[int] = []

    def visit(_: int, item: Item, record: dict[str, object]) -> None:
        if record["type"] == "tick_completed":
            ticks.append(int(str(record["tick"])))

    messages = read_all(net.settings, net.topic("metrics"))
    verifier = Verifier(net.topic("metrics"), 0, ORIGIN, (), (), None, Published("-", b"-"), 0, KNOWN_TYPES, visit)
    verifier.feed(Item(m.offset(), *m.timestamp(), m.key(), m.value()) for m in messages)
    result = verifier.finish()
    result.findings = [f for f in result.findings if f.where != "-"]  # the anchor is none
    return result, ticks


def write_until(net: Network, folder: Path, start: int, end: Any) -> range:
    """A writer in a process of its own; `end` ends it. The ticks for which the call had returned; one more may be on record."""
    arguments = [
        str(folder),
        net.topic("metrics"),
        json.dumps(net.settings.librdkafka_producer()),
        "0.0005",
        str(start),
    ]
    with (net.folder / "told").open("wb") as out:  # a pipe would fill up, and the writer wait
        process = subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=out)
        told = net.folder / "told"
        wait_until(lambda: told.stat().st_size > 1000, 60, "a writer that writes")  # on a busy machine it starts slowly
        end(process)
        process.wait(10)
    return range(start, int(told.read_bytes().split(b"\n")[-2]) + 1)


def closed(net: Network, folder: Path) -> None:
    """The next run sends what the last one left."""
    with AuditLog(
        folder, "w", net.topic("metrics"), manifest={}, methodology={}, producer=net.settings.librdkafka_producer()
    ) as log:
        assert log.flush(60)


def test_kill_9_loses_no_record_a_call_returned_for(net: Network, tmp_path: Path, seed: int, faults: int) -> None:
    """At random moments; the next run takes up the chain and sends what is left, the same bytes."""
    rng, told, start = random.Random(seed), set[int](), 0
    for _ in range(faults):

        def kill(process: subprocess.Popen[bytes]) -> None:
            time.sleep(rng.random())
            process.kill()

        returned = write_until(net, tmp_path, start, kill)
        told.update(returned)
        start = returned.stop + 1
    closed(net, tmp_path)

    result, ticks = verified(net)
    assert [f for f in result.findings if not f.is_notice] == []
    assert sorted(set(ticks)) == sorted(ticks), "none counts twice"
    assert told <= set(ticks)
    print(
        f"\n{faults} kills; {len(told)} calls had returned, all are among {len(ticks)} records; {result.duplicates} were sent twice"
    )
    assert len(told) > 100 * faults


def test_a_broker_that_is_killed_loses_nothing_and_the_caller_does_not_wait(
    tmp_path: Path, seed: int, faults: int
) -> None:
    """Killed and started again while a writer writes on; then the writer is killed, too."""
    broker, rng, told, start = LocalBroker(tmp_path / "kafka"), random.Random(seed), set[int](), 0
    with network(broker.start(owned=True), tmp_path) as net:

        def restart(process: subprocess.Popen[bytes]) -> None:
            time.sleep(rng.random())
            broker.kill()
            broker.start(owned=True)
            time.sleep(rng.random())
            process.send_signal(signal.SIGKILL)

        for _ in range(faults):
            returned = write_until(net, tmp_path / "spool", start, restart)
            told.update(returned)
            start = returned.stop + 1
        closed(net, tmp_path / "spool")
        result, ticks = verified(net)
        broker.stop()
    assert [f for f in result.findings if not f.is_notice] == []
    assert told <= set(ticks) and len(set(ticks)) == len(ticks)
    print(
        f"\n{faults} kills of broker and writer; {len(told)} calls had returned, all are there; {result.duplicates} were sent twice"
    )
    assert len(told) > 1000 * faults


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
from streams.errors import AuditError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
refuse = sys.argv[2] == "refuse"
log = AuditLog(Path(sys.argv[1]), "w", "t", manifest={}, methodology={}, producer=None, refuse_when_full=refuse)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # the disk takes no more than this
refused = 0
for number in range(int(sys.argv[3])):
    try:
        log.write(Event("tick_completed", number, success=True))
    except AuditError as error:
        refused += 1
        assert "can't be written" in error.args[0]
print(refused, log.held, flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.close()
"""


@pytest.mark.parametrize(
    ("policy", "events", "lost"), [("refuse", 100, 0), ("degrade", 100, 0), ("degrade", HELD_MAX + 200, 1)]
)
def test_a_full_disk_is_refused_or_held_and_never_a_silent_gap(
    policy: str, events: int, lost: int, tmp_path: Path
) -> None:
    """The file system takes 4 KiB, then nothing, then again. What was lost is said, with its number."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), policy, str(events)],
        capture_output=True,
        text=True,
        check=True,
    )
    refused, held = map(int, done.stdout.split())
    values = [frame.value for path in sorted((tmp_path / "w").glob("*.spool")) for frame in Segment(path).frames(0)]
    decoded = [decoder("metric_event")(value) for value in values]
    ticks = [record["tick"] for record in decoded if record["type"] == "tick_completed"]
    said = [record["error"] for record in decoded if record["type"] == "exception"]

    assert [int.from_bytes(value[-72:-64], "big") for value in values] == list(range(len(values)))
    assert [value[-64:-32] for value in values[1:]] == [value[-32:] for value in values[:-1]]
    if policy == "refuse":
        assert (refused, held) == (events - len(ticks), 0) and 0 < len(ticks) < events
    else:
        assert refused == 0 and held > 0
        assert ticks == list(range(len(ticks))) and len(ticks) == events - (int(said[0].split()[0]) if lost else 0)
    assert len(said) == lost


FULL_WHILE_SENDING = """
import json, resource, sys, time
from pathlib import Path
from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
log = AuditLog(Path(sys.argv[1]), "w", sys.argv[2], manifest={}, methodology={}, producer=json.loads(sys.argv[3]))
number = 0
for most in (0, resource.RLIM_INFINITY) * 5:
    for _ in range(50):
        log.write(Event("tick_completed", number, success=True))
        number += 1
        time.sleep(0.002)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))  # nothing more, for a while
assert log.flush(30), "what is in the spool is not sent"
log.close()
"""


def test_a_disk_that_is_full_for_a_while_does_not_stop_what_is_sent(net: Network, tmp_path: Path) -> None:
    """Five times; records are under way while not even their receipt can be noted."""
    sender = [str(tmp_path), net.topic("metrics"), json.dumps(net.settings.librdkafka_producer())]
    done = subprocess.run(
        [sys.executable, "-c", FULL_WHILE_SENDING, *sender], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    result, ticks = verified(net)
    assert ticks == list(range(500))
    assert [f.kind for f in result.findings if not f.is_notice] == []


def test_two_processes_can_not_write_under_one_name(tmp_path: Path) -> None:
    """The second is refused; another folder is another deployment's."""
    log = AuditLog(tmp_path, "w", "t", manifest={}, methodology={}, producer=None)
    with pytest.raises(AuditError, match="in use"):
        AuditLog(tmp_path, "w", "t", manifest={}, methodology={}, producer=None)
    log.close()
    AuditLog(tmp_path, "w", "t", manifest={}, methodology={}, producer=None).close()


def test_a_frame_that_a_power_loss_cut_is_no_record(net: Network, tmp_path: Path) -> None:
    """The last call was within the 50 ms: its frame is half there. The run goes on from the one before."""
    AuditLog(tmp_path, "w", net.topic("metrics"), manifest={}, methodology={}, producer=None).close()
    (path,) = (tmp_path / "w").glob("*.spool")
    os.truncate(path, path.stat().st_size - 10)
    closed(net, tmp_path)

    result, _ = verified(net)
    assert [f.kind for f in result.findings if not f.is_notice] == []
    assert result.records == 2 + 3


def test_segments_that_kafka_has_are_removed(net: Network, tmp_path: Path) -> None:
    """Four segments' worth of records; what remains is the newest one."""
    producer = net.settings.librdkafka_producer()
    with AuditLog(tmp_path, "w", net.topic("metrics"), manifest={}, methodology={}, producer=producer) as log:
        for _ in range(40):
            for _ in range(20):
                log.write(Event("exception", error="x" * 40_000))
            time.sleep(0.03)
        assert log.flush(60)
        wait_until(lambda: len(list((tmp_path / "w").glob("*.spool"))) == 1, 10, "one segment")
    result, _ = verified(net)
    assert (result.records, [f.kind for f in result.findings if not f.is_notice]) == (803, [])
