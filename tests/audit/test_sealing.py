"""The sealer on a real broker: seals that survive its own death, a log that an auditor verifies with nothing of ours but the key."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams.audit.place import find_place, log_folder
from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
from streams.audit.seal.tiles import Tiles
from streams.audit.verify.merkle import Frontier, leaf_hash
from streams.audit.verify.note import parse_checkpoint, parse_note
from tests.support.chain import add_nodes, node, settled
from tests.support.fold import read_all
from tests.support.network import Network, wait_until


def sealer(net: Network, every_s: float = 0.3) -> subprocess.Popen[bytes]:
    """`icn audit seal`."""
    return subprocess.Popen(
        [sys.executable, "-m", "streams", "audit", "seal", "--every", str(every_s)],
        env=net.env,
        stdout=net.log,
        stderr=net.log,
        start_new_session=True,
    )


def checkpoints(net: Network) -> list[Any]:
    """In the order of publication."""
    return [parse_checkpoint(parse_note(m.value()).text) for m in read_all(net.settings, net.topic("checkpoints"))]


def audit(net: Network, *arguments: str) -> tuple[int, dict[str, Any]]:
    """`icn audit verify --json`."""
    done = net.icn("audit", "verify", "--json", *arguments, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def kinds(found: dict[str, Any]) -> list[str]:
    return [finding["kind"] for finding in found["findings"]]


def test_a_sealer_that_is_killed_goes_on_with_the_same_tree(
    net: Network, tmp_path: Path, seed: int, faults: int
) -> None:
    """At random moments while records come in: every checkpoint is of one tree, and the last one covers all."""
    rng = random.Random(seed)
    producer = net.settings.librdkafka_producer()
    with AuditLog(tmp_path / "spool", "w", net.topic("metrics"), manifest={}, methodology={}, producer=producer) as log:
        for fault in range(faults):
            process, end = sealer(net), time.monotonic() + 1.2 + rng.random()
            while time.monotonic() < end:
                for _ in range(20):
                    log.write(Event("tick_completed", fault, success=True))
                time.sleep(0.01)
            process.kill()
            process.wait()
        assert log.flush(60)
    before, process = len(checkpoints(net)), sealer(net)
    wait_until(lambda: len(checkpoints(net)) > before, 30, "checkpoints")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0

    found = checkpoints(net)
    place = find_place(net.topology, net.settings)
    tiles = Tiles(log_folder(net.settings, place, 0), found[-1].size)
    assert all(tiles.root_of(0, one.size) == one.root for one in found)
    tree = Frontier()
    tree.extend([leaf_hash(entry) for entry in tiles.all_entries()])
    assert tree.root() == found[-1].root
    assert found[-1].size == len(read_all(net.settings, net.topic("metrics"))), "sealed to the last record"
    code, report = audit(net)
    assert (code, report["integrity"], report["completeness"], report["partitions"][0]["unsealed"]) == (
        0,
        "VERIFIED",
        "COMPLETE",
        0,
    )
    print(f"\n{faults} kills; {len(found)} checkpoints of {found[-1].size} records are of one tree")


def test_the_auditors_way_from_the_command_line(net: Network, tmp_path: Path) -> None:
    """Verify, bundle, verify the bundle with nothing but the key; an intruder's records; a broken topic; what operators did."""
    assert audit(net)[0] == 2, "an empty log is never clean"
    done = net.icn("node", "register", "n1", "--principal", "alice")
    net.worker()
    process = sealer(net)
    with node(net, "n1") as n1:
        n1.submit("text").result(60)
    settled(net)
    net.stop()
    wait_until(lambda: len(checkpoints(net)) >= 3, 30, "checkpoints")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    code, clean = audit(net)
    assert (code, clean["integrity"], clean["completeness"], kinds(clean)) == (
        0,
        "VERIFIED",
        "COMPLETE",
        ["UNANCHORED"],
    )
    assert kinds(audit(net)[1]) == [], "the last note was accepted, and this one extends it"
    runs = clean["partitions"][0]["runs"]
    assert runs >= 1 + 1 + 4 + 1 + 1, "the command, worker, stages, ticks, sealer"

    key = net.icn("audit", "key").stdout.strip()
    bundle, doctored = tmp_path / "log.icnaudit", tmp_path / "doctored.icnaudit"
    net.icn("audit", "bundle", str(bundle))
    elsewhere = {"ICN_BROKERS": "127.0.0.1:1", "ICN_STATE": str(tmp_path / "elsewhere")}
    done = net.icn("audit", "verify", str(bundle), "--key", key, "--json", **elsewhere)
    same = json.loads(done.stdout)
    assert (same["partitions"], same["integrity"]) == (clean["partitions"], "VERIFIED")
    assert net.icn("audit", "verify", str(bundle), check=False, **elsewhere).returncode == 2, "whom to believe?"
    net.icn("audit", "tamper", "chain", str(bundle), str(doctored), **elsewhere)
    done = net.icn("audit", "verify", str(doctored), "--key", key, "--json", check=False, **elsewhere)
    assert (done.returncode, {f["kind"] for f in json.loads(done.stdout)["findings"]}) == (1, {"ALTERED", "UNANCHORED"})

    actions = [line for line in net.icn("audit", "actions", "--json").stdout.splitlines() if line]
    (told,) = [action for action in json.loads(actions[0]) if "node register n1" in action["what"]]
    assert told["who"] and told["at"].startswith(net.topic("metrics"))

    writer = Producer(net.settings.librdkafka_producer())
    writer.produce(net.topic("metrics"), b"hello", None, 0)
    writer.flush(10)
    end = clean["partitions"][0]["last_offset"] + 1
    code, found = audit(net)
    assert code == 1 and ("UNDECIDABLE", f"{net.topic('metrics')}/0/{end}") in {
        (f["kind"], f["where"].partition("..")[0]) for f in found["findings"]
    }


def test_a_topic_that_was_made_anew_is_another_log(net: Network) -> None:
    """Deleted, created again, filled with a copy: its id tells."""
    from confluent_kafka.admin import AdminClient

    from streams.broker.admin import Admin

    add_nodes(net, "n1")
    process = sealer(net)
    wait_until(lambda: len(checkpoints(net)) >= 2, 30, "checkpoints")
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    kept = read_all(net.settings, net.topic("metrics"))
    admin = AdminClient(net.settings.librdkafka())
    admin.delete_topics([net.topic("metrics")])[net.topic("metrics")].result(30)
    wait_until(
        lambda: net.topic("metrics") not in admin.list_topics(timeout=10).topics,
        30,
        "deleted",
    )
    wait_until(lambda: Admin(net.settings).apply(net.topology) or True, 30, "made anew")
    writer = Producer(net.settings.librdkafka_producer())
    for message in kept:
        writer.produce(net.topic("metrics"), message.value(), message.key(), 0)
    writer.flush(10)

    code, found = audit(net)

    assert code == 1 and {"FORKED", "UNSEALED"} <= set(kinds(found))
