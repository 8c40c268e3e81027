"""Anyone can check: replay finds every forgery, rebuild gives the same tables, a stale or empty folder too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from streams.broker.admin import Admin
from streams.codec import decoder, encoder
from streams.runtime.store import LOCAL, MARKER, Store
from tests.support.chain import add_nodes, check_replay, node, settled
from tests.support.fold import read_all
from tests.support.network import Network, wait_until


def run_some(net: Network, count: int, nodes: tuple[str, ...] = ("n1", "n2"), start: int = 0) -> None:
    """Artifacts of several nodes, with repeats; all stages to the end, then stopped."""
    net.worker()
    for name in nodes:
        with node(net, name) as one:
            for future in one.submit_many(
                {"content": f"text {i % (count // 2)}", "source": "s", "confidence": i % 7 / 7}
                for i in range(start, start + count)
            ):
                future.result(60)
    settled(net)
    net.stop()


def verify(net: Network) -> tuple[int, dict[str, Any]]:
    """Exit code and document."""
    done = net.icn("replay", "--verify", "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def forge(net: Network, alias: str, key: bytes, value: bytes, headers: Any = None) -> None:
    """Write to a topic as an intruder would."""
    producer = Producer(net.settings.librdkafka_producer())
    producer.produce(net.topic(alias), value, key, headers=headers)
    producer.flush(10)


def test_nothing_to_verify_is_not_a_pass(net: Network) -> None:
    """Exit code 2: could not judge."""
    assert verify(net)[0] == 2


def test_a_clean_run_verifies_and_every_forgery_is_found_where_it_is(whole_net: Network) -> None:
    """Invented, altered and doubled outputs in each topic; the coordinates are the forgery's own."""
    net = whole_net
    add_nodes(net, "n1", "n2")
    run_some(net, 60)
    code, clean = verify(net)
    assert (code, clean["verdict"], sum(len(s["findings"]) for s in clean["stages"])) == (0, "identical", 0)
    compared = sum(s["compared"] for s in clean["stages"])

    forged: set[str] = set()
    for alias, schema, change in (
        ("artifacts.decided", "decided", {"decision": "UNIQUE", "input_offset": 0}),
        ("priorities", "priority", {"score": 0.81}),
        ("artifacts.admitted", "admitted", None),
        ("receipts", "receipt", None),
        ("reputation.log", "reputation", {"revision": 99}),
        ("reputation", "reputation", {"score": 0.9}),
        # of inputs that were never decided, or by a stage that isn't
        ("artifacts.decided", "decided", {"input_offset": 10**12}),
        ("priorities", "priority", {"input_offset": 10**12, "rank_key": 10**12}),
        ("receipts", "receipt", {"stage": "s9_nobody"}),
        ("batches", None, None),
    ):
        message = read_all(net.settings, net.topic(alias))[-1]
        value = encoder(schema)(decoder(schema)(message.value()) | (change or {})) if schema else b"garbage"
        forge(net, alias, message.key(), value, message.headers())
        last = max(read_all(net.settings, net.topic(alias)), key=lambda m: m.timestamp()[1])
        forged.add(f"{net.topic(alias)}/{last.partition()}/{last.offset()}")
    code, found = verify(net)
    places = {f["where"] for s in found["stages"] for f in s["findings"]}
    assert (code, found["verdict"], forged - places) == (1, "different", set())
    print(
        f"\n{len(forged)} forgeries found at their coordinates; {compared} outputs compared in the clean control, no finding"
    )


def test_from_and_to_compare_a_part(net: Network) -> None:
    """What lies before is folded, not compared."""
    add_nodes(net, "n1", "n2")
    run_some(net, 20)
    middle = max(m.timestamp()[1] for m in read_all(net.settings, net.topic("artifacts.decided"))) + 1
    run_some(net, 20, start=100)

    whole, part = (
        json.loads(net.icn("replay", "--verify", "--json", *more).stdout) for more in ((), ("--from", str(middle)))
    )

    assert 0 < sum(s["compared"] for s in part["stages"]) < sum(s["compared"] for s in whole["stages"])
    nothing = net.icn("replay", "--verify", "--from", "2100-01-01", check=False)
    assert (nothing.returncode, "nothing was decided in that time" in nothing.stdout) == (2, True)


def test_another_rule_version_is_not_judged(net: Network) -> None:
    """Other weights: exit code 2, and both versions named."""
    add_nodes(net, "n1", "n2")
    run_some(net, 4)
    net.file.write_text(net.file.read_text().replace("threat_weight: 0.4", "threat_weight: 0.5"))

    code, found = verify(net)

    assert (code, found["verdict"]) == (2, "not judged")
    assert {"OTHER_RULE"} == {f["kind"] for s in found["stages"] for f in s["findings"]}


def tables(net: Network, slot: str = "0") -> dict[str, dict[bytes, bytes]]:
    """Every row of every stage, without what is only local."""
    found: dict[str, dict[bytes, bytes]] = {}
    for stage in net.topology.agents:
        for folder in sorted((net.settings.state / "workers" / slot / stage).iterdir()):
            if folder.name.isdigit():
                store = Store(folder)
                found[f"{stage}/{folder.name}"] = {k: v for k, v in store.db.items() if k not in (LOCAL, MARKER)}
                store.close()
    return found


@pytest.mark.parametrize(
    "what", ["rebuilt from topics", "restored into an empty folder", "restored over a stale folder"]
)
def test_tables_come_back_the_same(whole_net: Network, what: str) -> None:
    """Row by row, byte by byte; and the network goes on."""
    net = whole_net
    add_nodes(net, "n1", "n2")
    run_some(net, 40)
    workers, old = net.settings.state / "workers", net.folder / "old"
    if what == "restored over a stale folder":
        shutil.copytree(workers, old)
        run_some(net, 40, start=200)
    truth = tables(net)
    if what == "rebuilt from topics":
        assert "nothing was done" in net.icn("rebuild").stdout
        net.icn("rebuild", "--execute")
    else:
        shutil.rmtree(workers)
        if old.exists():
            shutil.copytree(old, workers)
    net.restored_worker()
    settled(net)
    net.stop()

    restored = tables(net)
    rows = sum(map(len, truth.values()))
    print(f"\n{what}: {rows} rows compared")
    assert rows > 50
    assert restored == truth

    net.worker()
    with node(net, "n1") as one:
        assert one.submit("text 0", source="s", confidence=0).result(60).outcome == "duplicate"
    settled(net)
    net.stop()
    check_replay(net)


def test_another_key_is_told_as_such_and_not_as_tampering(net: Network, tmp_path: Path) -> None:
    """An auditor without the deployment's key, and one with another: exit code 2; no key is made on the way."""
    add_nodes(net, "n1", "n2")
    run_some(net, 4)
    other = tmp_path / "other.key"

    missing = net.icn("replay", "--verify", check=False, ICN_SECRET_FILE=str(other))
    other.write_text("ab" * 32)
    wrong = net.icn("replay", "--verify", check=False, ICN_SECRET_FILE=str(other))

    assert (missing.returncode, "no deployment key" in missing.stderr) == (2, True)
    assert (wrong.returncode, "is not this deployment's key" in wrong.stderr) == (2, True)
    assert other.read_text() == "ab" * 32


def test_a_stage_without_its_tables_does_not_begin_afresh(net: Network) -> None:
    """As after a rebuild that was interrupted: the changelog is empty. Everything would be decided twice."""
    add_nodes(net, "n1", "n2")
    run_some(net, 20)
    agent = net.topology.agent("s2")
    admin = AdminClient(net.settings.librdkafka())
    for future in admin.delete_topics([agent.changelog], operation_timeout=30).values():
        future.result(30)
    shutil.rmtree(net.settings.state / "workers")
    wait_until(lambda: agent.changelog not in admin.list_topics(timeout=10).topics, 20, "the topic is gone")
    Admin(net.settings).apply(net.topology)
    net.worker("s2")
    log = net.folder / "workers.log"
    wait_until(
        lambda: "Was a rebuild interrupted? icn rebuild s2_dedup --execute" in log.read_text(), 40, "a word of it"
    )
    net.stop()

    def rebuilt() -> bool:
        return net.icn("rebuild", "s2", "--execute", check=False).returncode == 0

    wait_until(rebuilt, 30, "rebuilt, once the session of the worker that ended is over")
    net.worker()
    with node(net, "n1") as n1:
        assert n1.submit("text 0", source="s", confidence=0).result(60).outcome == "duplicate"
    settled(net)
    check_replay(net)
