"""Near-duplicates in a network of real processes: a repost is kept, linked and shown, and is no fresher than what it repeats."""

from __future__ import annotations

import json
import random
import signal

from tests.agents.test_s3_s4_near import TEXT, reworded
from tests.support.chain import add_nodes, check_balance, check_replay, node, settled
from tests.support.fold import events
from tests.support.network import Network, wait_until


def test_a_repost_is_kept_linked_and_no_fresher_than_what_it_repeats(whole_net: Network) -> None:
    net = whole_net
    add_nodes(net, "n1", "n2")
    net.worker()
    with node(net, "n1") as n1, node(net, "n2") as n2:
        first = n1.submit(TEXT, confidence=0.5, threat_level=5.0)
        assert first.result(60).outcome == "unique"
        wait_until(lambda: events(net.settings, net.topic("sketches")), 60, "a sketch")
        later = n2.submit(reworded(TEXT, 2), confidence=0.5, threat_level=5.0)
        other = n2.submit("Quite another thing is said here, of mountains and rivers.")
        assert {later.result(60).outcome, other.result(60).outcome} == {"unique"}, "links never drop anything"
    settled(net)

    (link,) = events(net.settings, net.topic("links"))
    assert (link["near_duplicate_of"], link["artifact_id"]) == (first.artifact_id, later.artifact_id)
    newest = {p["canonical_id"]: p for p in events(net.settings, net.topic("priorities"))}
    assert newest[later.artifact_id]["first_seen_ms"] == newest[first.artifact_id]["raw_ms"]

    for wanted in (first, later):
        shown = json.loads(net.icn("artifact", "show", wanted.artifact_id, "--json").stdout)
        told = [(one["artifact_id"], one["node_id"], one["near_duplicate_of"]) for one in shown["family"]]
        assert told == [(first.artifact_id, "n1", None), (later.artifact_id, "n2", first.artifact_id)]
    assert json.loads(net.icn("artifact", "show", other.artifact_id, "--json").stdout)["family"] == []
    assert "2 texts that say nearly the same, by 2 nodes" in net.icn("artifact", "show", later.artifact_id).stdout
    (family,) = json.loads(net.icn("artifact", "families", "--json").stdout)
    assert (family["texts"], family["nodes"], family["artifact_id"]) == (2, 2, first.artifact_id)
    assert "1 family in all" in net.icn("artifact", "families").stdout
    recomputed = {stage["stage"]: stage["compared"] for stage in check_replay(net)["stages"]}
    assert (recomputed["s3_sketch"], recomputed["s4_near"]) == (3, 1)


def test_killed_at_random_each_text_is_sketched_and_linked_once(whole_net: Network, seed: int, faults: int) -> None:
    """kill -9 of the two stages while texts come; then every output is what its inputs give, and there once."""
    net = whole_net
    rng = random.Random(seed)
    origins = [" ".join(f"t{rng.randrange(3000)}" for _ in range(40)) for _ in range(20)]
    add_nodes(net, "n1")
    net.worker()
    sent = 0
    with node(net, "n1") as n1:
        for fault in range(faults):
            for number in range(30):
                n1.submit(reworded(rng.choice(origins), rng.randrange(6), 1000 * fault + number))
                sent += 1
            stage = rng.choice(("s3_sketch", "s4_near"))
            process = wait_until(lambda stage=stage: net.stage_processes(stage), 60, f"a process of {stage}")[0]
            process.send_signal(signal.SIGKILL)
    settled(net)

    sketches, links = (events(net.settings, net.topic(alias)) for alias in ("sketches", "links"))
    assert len({s["dedup_hash"] for s in sketches}) == len(sketches) == check_balance(net).outcomes["unique"]
    pairs = {(link["dedup_hash"], link["near_dedup_hash"]) for link in links}
    assert len(pairs) == len(links) > sent / 2
    found = {stage["stage"]: stage["compared"] for stage in check_replay(net)["stages"]}
    assert (found["s3_sketch"], found["s4_near"] - len(links)) == (
        len(sketches),
        len(events(net.settings, net.topic("idf"))),
    )
    print(f"\n{faults} kills; {sent} texts, {len(links)} links, all made again identically")
