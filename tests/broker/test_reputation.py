"""Reputation on a real network: verdicts travel, revisions come back, the top list follows, and all of it is recomputed byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

from streams.broker.registrations import register, register_judge
from tests.support.chain import add_nodes, check_balance, check_replay, node, settled, tick
from tests.support.fold import events
from tests.support.network import Network, network, wait_until

HOUR_MS = 3_600_000
URGENT = {"threat_level": 10.0, "opportunity_value": 10.0, "confidence": 0.95}


def revisions(net: Network, name: str) -> list[dict]:
    """Of one node, in order."""
    return [event for event in events(net.settings, net.topic("reputation.log")) if event["node_id"] == name]


def test_refuted_claims_demote_a_node_and_everything_it_reported_sinks(net: Network) -> None:
    """From the verdict to the stamp on the next artifact; then replay, rebuild, replay."""
    add_nodes(net, "modest", "boaster")
    register_judge(net.topology, net.settings, "carol", principal="carol")
    net.worker("--no-ticks")  # an hour may end while this runs
    with node(net, "boaster") as boaster, node(net, "modest") as modest:
        boasts = [boaster.submit(f"boast {n}", **URGENT) for n in range(8)]
        facts = [modest.submit(f"fact {n}", threat_level=9.0, opportunity_value=6.0) for n in range(8)]
        ids = [future.result(60).artifact_id for future in boasts]
        for future in facts:
            future.result(60)
        settled(net)
        before = [e["node_id"] for e in json.loads(net.icn("top", "-n", "16", "--json").stdout)]
        told = []
        for artifact_id in ids:
            done = net.icn("verdict", artifact_id, "refuted", "--judge", "carol", "--reason", "made up", "--json")
            told.append(json.loads(done.stdout))
            if revisions(net, "boaster")[-1]["cause"] == "inflation_detected":
                break
        settled(net)
        after = json.loads(net.icn("top", "-n", "16", "--json").stdout)
        later = boaster.submit("boast again", **URGENT).result(60)
    settled(net)

    assert before == ["boaster"] * 8 + ["modest"] * 8
    assert [e["node_id"] for e in after] == ["modest"] * 8 + ["boaster"] * 8
    assert {(e["effective_reputation"], e["reputation_revision"]) for e in after[8:]} == {(0.1, 2)}
    assert all(vote["weight"] == 1.0 and vote["tested"] for vote in told)
    stamped = {
        e["facts"]["artifact_id"]: (e["facts"]["reputation_revision"], e["facts"]["effective_reputation"])
        for e in events(net.settings, net.topic("artifacts.decided"))
    }
    assert stamped[ids[0]] in ((0, 0.5), (1, 0.5)), "its registration may not have come back yet"
    assert stamped[later.artifact_id] == (2, 0.1)
    assert revisions(net, "boaster")[-1]["evidence"][-1]["records"] == len(told)

    steps = [step["step"] for step in json.loads(net.icn("artifact", "show", ids[0], "--json").stdout)["steps"]]
    assert {"sent", "admitted", "decided", "scored", "judged", "voted"} <= set(steps)
    shown = net.icn("reputation", "show", "boaster").stdout
    assert "as they were: it is at the floor" in shown and "inflation_detected" in shown
    assert [row["node_id"] for row in json.loads(net.icn("reputation", "list", "--json").stdout)] == [
        "boaster",
        "modest",
    ]

    by_stage = {stage["stage"]: stage for stage in check_replay(net)["stages"]}
    assert by_stage["s3_reputation"]["compared"] == 2 * 3 + len(told), "three revisions on two topics, and the votes"
    check_balance(net)
    net.stop()
    for stage in ("s3_reputation", "s1"):
        net.icn("rebuild", stage, "--execute")
    net.worker("--no-ticks")  # an hour may end while this runs
    with node(net, "boaster") as boaster:
        boaster.submit("and again", **URGENT).result(60)
    assert (
        json.loads(net.icn("verdict", ids[0], "confirmed", "--judge", "carol", "--json", check=False).stdout)["ignored"]
        == "repeated"
    )
    settled(net)
    check_replay(net)
    assert events(net.settings, net.topic("artifacts.decided"))[-1]["facts"]["effective_reputation"] in (0.1, 0.5)


def test_a_verdict_that_cannot_be_given_says_why_in_one_line(net: Network) -> None:
    """No such judge, no such artifact, one's own: what, and what to do; no traceback."""
    register(net.topology, net.settings, "node-1", principal="alice")
    register_judge(net.topology, net.settings, "alice", principal="alice")
    net.worker("--no-ticks")  # an hour may end while this runs
    with node(net, "node-1") as one:
        artifact_id = one.submit("a text").result(60).artifact_id
    nobody = net.icn("verdict", artifact_id, "confirmed", "--judge", "nobody", check=False)
    unknown = net.icn("verdict", "01900000-0000-7000-8000-000000000001", "confirmed", "--judge", "alice", check=False)
    own = net.icn("verdict", artifact_id, "confirmed", "--judge", "alice", check=False)

    assert (nobody.returncode, unknown.returncode, own.returncode) == (2, 2, 1)
    assert 'no token for judge "nobody"' in nobody.stderr and "icn judge register nobody" in nobody.stderr
    assert "no decision on artifact" in unknown.stderr
    assert "own_artifact" in own.stdout
    assert "Traceback" not in nobody.stderr + unknown.stderr + own.stderr


def test_hours_of_outcomes_move_scores_and_quotas(brokers: str, tmp_path: Path) -> None:
    """Simulated time: six hours in which one node is accepted and the other isn't; then each has the quota that follows."""
    with network(brokers, tmp_path, simulated=True, protocol__intake__node_per_hour=20) as net:
        add_nodes(net, "good", "bad")
        net.worker("--no-ticks")
        for hour in range(1000, 1006):
            with node(net, "good") as good, node(net, "bad") as bad:
                for number in range(3):
                    good.submit(f"good {hour} {number}", collected_at=hour * HOUR_MS).result(60)
                    bad.submit(
                        f"bad {hour} {number}", collected_at=hour * HOUR_MS, artifact_id=f"always {number}"
                    ).result(60)
            settled(net)
            tick(net, hour + 1)
            settled(net)
        with node(net, "good") as good, node(net, "bad") as bad:
            many = {
                one.node_id: [one.submit(f"{one.node_id} {n}", collected_at=1007 * HOUR_MS) for n in range(45)]
                for one in (good, bad)
            }
            accepted = {name: sum(future.result(60).accepted for future in futures) for name, futures in many.items()}
        settled(net)
        good_, bad_ = revisions(net, "good"), revisions(net, "bad")

        assert [r["revision"] for r in good_] == list(range(1, 8))
        assert (good_[-1]["quota"], bad_[-1]["quota"]) == (40, 10)
        assert accepted == {"good": 40, "bad": 10}
        assert (good_[-1]["score"], bad_[-1]["score"] < 0.45) == (0.5, True)
        check_replay(net)


def test_a_full_intake_refuses_and_what_waits_comes_in(brokers: str, tmp_path: Path) -> None:
    """Nobody decides: exactly 50 of 80 are admitted. s2 starts: the others are admitted when they try again."""
    with network(brokers, tmp_path, protocol__intake__undecided_max=50, protocol__intake__undecided_retry="1s") as net:
        add_nodes(net, "node-1")
        net.worker("s1")
        with node(net, "node-1", on_quota="wait") as one:
            futures = one.submit_many([{"content": f"text {n}"} for n in range(80)])
            wait_until(lambda: len(events(net.settings, net.topic("artifacts.admitted"))) == 50, 60, "50 admitted")
            outcomes = [o for e in events(net.settings, net.topic("receipts")) for o in e["outcomes"]]
            assert {o["reason"] for o in outcomes if o["outcome"] == "rejected"} == {"intake_full"}
            net.worker("s2")
            assert {future.result(90).outcome for future in futures} == {"unique"}
        net.worker("s3_reputation")
        net.worker("s4_priority")
        settled(net)
        check_replay(net)
        assert check_balance(net).outcomes["unique"] == 80
