"""Node to priority on a real broker: what each user sees."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from streams.broker.registrations import token_of
from streams.codec import encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.errors import ArtifactError, IcnError, OutboxError
from streams.sdk import AsyncNode, Node
from tests.support.chain import add_nodes, check_balance, check_replay, jsonl, node, settled
from tests.support.fold import events
from tests.support.network import Network, network, raw_in, wait_until


def test_an_author_learns_what_became_of_each_artifact(whole_net: Network) -> None:
    """unique, duplicate, upgraded, corroborating, resent, id_reused; then the audit holds."""
    net = whole_net
    add_nodes(net, "n1", "n2")
    net.worker()
    with node(net, "n1") as n1, node(net, "n2") as n2:
        first = n1.submit("SHIPSHAPE seen", source="a", confidence=0.5)
        assert (first.result(60).outcome, first.result().version) == ("unique", 1)
        assert n2.submit("shipshape  SEEN", source="a", confidence=0.5).result(60).outcome == "duplicate"
        upgraded = n2.submit("SHIPSHAPE seen", source="a", confidence=0.9).result(60)
        assert ("upgraded", 2, first.artifact_id) == (upgraded.outcome, upgraded.version, upgraded.canonical_id)
        assert n2.submit("SHIPSHAPE seen", source="b").result(60).outcome == "unique"
        reused = n1.submit("other", artifact_id=first.artifact_id).result(60)
        assert (reused.outcome, reused.reason) == ("rejected", "id_reused")
    settled(net)
    assert check_balance(net).outcomes == {
        "unique": 2,
        "upgraded": 1,
        "duplicate": 1,
        "rejected": 1,
        "dead_lettered": 0,
        "resent": 0,
    }
    recomputed = {stage["stage"]: stage["decided"] for stage in check_replay(net)["stages"]}
    assert (recomputed["s2_dedup"], recomputed["s4_priority"]) == (4, 4)
    assert recomputed["s1_intake"] >= 5 + 2  # artifacts and registrations, and what ticks there were

    top = json.loads(net.icn("top", "--json").stdout)
    assert [(e["rank"], e["node_id"]) for e in top] == [(1, "n2"), (2, "n2")]
    assert 0.0899 < top[0]["score"] <= 0.09  # confidence 0.9, half a second after the first sighting
    life = json.loads(net.icn("artifact", "show", first.artifact_id, "--json").stdout)["steps"]
    steps = {step["step"] for step in life} - {"fed", "refused"}  # a minute may have ended
    assert steps == {"sent", "admitted", "decided", "receipt", "corroborated", "scored"}

    def lags() -> set[int]:
        rows = json.loads(net.icn("lag", "--json").stdout)["partitions"]
        return {row["lag"] for row in rows if row["group"].startswith(net.topology.deployment)}

    wait_until(lambda: lags() == {0}, 30, "no lag, when the minute's tick has gone through")
    needs = json.loads(net.icn("status", "--json", check=False).stdout)["attention"]
    assert [one for one in needs if not one["is_strange"]] == []  # others' groups are on this broker, too
    assert net.icn("check", "--json").returncode == 0


def test_the_async_node_and_batches(net: Network) -> None:
    """await, gather, submit_many; a bad artifact in a batch sends none of it."""
    add_nodes(net, "n1")
    net.worker("s1", "s2")

    async def run() -> list[str]:
        async with AsyncNode("n1", topology=net.topology) as n1:
            decisions = await asyncio.gather(*(n1.submit(f"text {i}") for i in range(20)))
            return [d.outcome for d in decisions]

    assert asyncio.run(run()) == ["unique"] * 20
    with node(net, "n1") as n1:
        with pytest.raises(ArtifactError, match=r"confidence is 2\.0"):
            n1.submit_many([{"content": "fine"}, {"content": "not fine", "confidence": 2}])
        assert {"unique"} == {
            f.result(60).outcome for f in n1.submit_many({"content": f"many {i}"} for i in range(500))
        }


def test_10_mb_and_nonsense_are_refused_before_they_are_sent(net: Network) -> None:
    """Field, value and limit in the error."""
    add_nodes(net, "n1")
    with node(net, "n1") as n1:
        with pytest.raises(ArtifactError, match="content is 10485760 bytes; at most 1048576"):
            n1.submit("x" * (10 << 20))
        for wrong in (
            {"confidence": float("nan")},
            {"content": b"bytes"},
            {"colour": "red"},
            {"metadata": {"k": 1}},
            {"confidence": "high"},
        ):
            with pytest.raises(ArtifactError):
                n1.submit(**({"content": "x"} | wrong))
        with pytest.raises(OutboxError, match="another process is node"):
            node(net, "n1")
    with pytest.raises(IcnError, match="no token for node"):
        Node("n9", topology=net.topology)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_1000_of_1500_are_accepted_exactly_with_any_number_of_workers(
    brokers: str, tmp_path: Path, workers: int
) -> None:
    """Four raw partitions, so that workers share them; two nodes, each with its own thousand."""
    with network(brokers, tmp_path, **raw_in(4), protocol__intake__global_per_hour=0) as net:
        add_nodes(net, "n1", "n2")
        for _ in range(workers):
            net.worker("s1", "s2")
        with node(net, "n1") as n1, node(net, "n2") as n2:
            told = [
                f.result(90)
                for n in (n1, n2)
                for f in n.submit_many({"content": f"{n.node_id} {i}"} for i in range(1500))
            ]
        outcomes = [sum(d.outcome == kind for d in told) for kind in ("unique", "rejected")]
        assert outcomes == [2000, 1000]
        assert {"quota_exceeded"} == {d.reason for d in told if d.outcome == "rejected"}
        assert all(d.retry_after_ms and d.retry_after_ms <= 3_600_000 for d in told if d.outcome == "rejected")


def test_bad_input_from_outside_is_a_dead_letter_and_the_next_is_processed(net: Network) -> None:
    """Straight to Kafka, past the SDK: seven kinds of nonsense, then one good artifact."""
    add_nodes(net, "n1")
    net.worker()
    token = token_of(net.settings, "n1", 1)
    producer = Producer(net.settings.librdkafka_producer())
    good = encoder("artifact")
    from streams.bench.load import artifact

    values = [
        (b"\xff\xff", True, "not_avro"),
        (b"\0\0\0\x99\x99x", True, "unknown_schema_id"),
        (good(artifact(1, "n1", confidence=float("nan"))), True, "not_a_number"),
        (good(artifact(2, "n1", content="")), True, "empty"),
        (good(artifact(3, "n1")), False, "bad_signature"),
        (good(artifact(4, "n2")), True, "node_mismatch"),
        (good(artifact(5, "n1", content="x" * ((1 << 20) + 1))), True, "oversize"),
    ]
    for value, signed, _ in values:
        producer.produce(
            net.topic("artifacts.raw"),
            value,
            b"n1",
            headers=[(MAC_HEADER, sign(token, b"n1", value))] if signed else [],
        )
    producer.produce(net.topic("artifacts.raw"), good(artifact(6, "stranger")), b"stranger")
    producer.flush(30)

    with node(net, "n1") as n1:
        assert n1.submit("and the next").result(60).outcome == "unique"
    letters = json.loads(net.icn("dlq", "list", "artifacts.raw", "--json", check=False).stdout)

    assert [reason for _, _, reason in values] + ["unknown_node"] == [letter["reason"] for letter in letters]
    shown = json.loads(net.icn("dlq", "show", letters[0]["id"], "--json").stdout)
    assert shown["value"] == "ffff"
    settled(net)
    assert check_balance(net).outcomes["dead_lettered"] == 8
    check_replay(net)


def test_produce_reads_files_and_says_what_became_of_them(net: Network, tmp_path: Path) -> None:
    """JSONL, CSV, a folder; exit code 1 where something is invalid; a second run is all duplicates."""
    add_nodes(net, "n1")
    net.worker("s1", "s2")
    lines = jsonl(
        tmp_path / "a.jsonl",
        [{"content": "one", "confidence": 0.9}, {"content": "two"}, {"content": "three", "threat_level": 99}],
    )
    (tmp_path / "b.csv").write_text("content,confidence,colour\nfrom csv,0.7,red\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "x.py").write_text("print('x')\n")

    done = net.icn(
        "produce", lines, str(tmp_path / "b.csv"), str(tmp_path / "folder"), "--node", "n1", "--json", check=False
    )

    summary = json.loads(done.stdout)
    assert (done.returncode, summary["accepted"], summary["undecided"]) == (1, {"unique": 4}, 0)
    assert [bad["reason"] for bad in summary["invalid"]] == ["threat_level is 99.0; send a number in [0, 10]"]
    again = net.icn("produce", str(tmp_path / "b.csv"), "--node", "n1", "--json")
    assert json.loads(again.stdout)["accepted"] == {"duplicate": 1}
    kinds = {e["facts"]["content_type"] for e in events(net.settings, net.topic("artifacts.decided"))}
    assert {"text", "code"} == kinds


def test_produce_ends_1_with_retry_after_where_a_quota_stops_it(brokers: str, tmp_path: Path) -> None:
    """A quota of two."""
    with network(brokers, tmp_path, protocol__intake__node_per_hour=2) as net:
        add_nodes(net, "n1")
        net.worker("s1", "s2")
        done = net.icn(
            "produce",
            jsonl(tmp_path / "a.jsonl", [{"content": f"{i}"} for i in range(5)]),
            "--node",
            "n1",
            "--json",
            check=False,
        )
        summary = json.loads(done.stdout)

        assert (done.returncode, summary["accepted"], len(summary["rejected"])) == (1, {"unique": 2}, 3)
        assert 0 < summary["retry_after"] <= 3600
        receipts = json.loads(net.icn("receipts", "--node", "n1", "--json").stdout)
        assert "constrained" in {r["status"] for r in receipts}


def test_cat_decodes_any_topic_and_stops(net: Network) -> None:
    """One JSON object a line, kcat-like formats."""
    add_nodes(net, "n1")
    net.worker("s1", "s2")
    with node(net, "n1") as n1:
        n1.submit("hello", source="here").result(60)

    (line,) = net.icn("cat", "artifacts.decided", "--json").stdout.splitlines()
    record = json.loads(line)
    assert {"topic", "partition", "offset", "timestamp", "key", "headers", "value"} == set(record)
    assert (record["value"]["decision"], record["value"]["artifact"]["content"]) == ("UNIQUE", "hello")
    assert net.icn("cat", "artifacts.raw", "-f", "%k\\n").stdout == "n1\n"
    assert json.loads(net.icn("cat", "artifacts.raw", "--json").stdout)["headers"]["ce_type"] == "icn.artifact"
    assert net.icn("cat", "no.such.topic", check=False).returncode == 2


def test_registering_twice_needs_rotate_and_revokes_the_old_token(net: Network) -> None:
    """The old token's artifacts are dead letters. What isn't said anew stays as it was."""
    net.worker("s1", "s2")
    able = ("--capability", "file", "--capacity", "5")
    first = json.loads(net.icn("node", "register", "n1", "--principal", "alice", *able, "--json").stdout)
    refused = net.icn("node", "register", "n1", "--principal", "bob", check=False)
    assert (refused.returncode, "--rotate" in refused.stderr) == (2, True)
    second = json.loads(net.icn("node", "register", "n1", "--principal", "alice", "--rotate", "--json").stdout)

    assert (first["generation"], second["generation"], second["in_force"]) == (1, 2, True)
    with node(net, "n1") as n1:
        assert n1.submit("with the new token").result(60).outcome == "unique"
    old = node(net, "n1", token=first["token"])
    old.submit("with the old token")
    wait_until(lambda: net.icn("dlq", "list", check=False).returncode == 1, 20, "a dead letter")
    assert old.close(1) == 1
    (told,) = json.loads(net.icn("node", "list", "--json").stdout)
    assert (told["principal"], told["capabilities"], told["capacity"]) == ("alice", ["file"], 5)
