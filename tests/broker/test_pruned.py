"""Retention has taken the beginning: what is left is judged, what is gone is said to be gone, and never to be wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams.broker.topics import ends
from streams.codec import decoder, encoder
from tests.agents.test_s3_s4_near import reworded
from tests.support.chain import add_nodes, check_balance, check_replay, node, settled, tick
from tests.support.fold import events, read_all
from tests.support.network import Network, network

HOUR_MS = 3_600_000
PRUNED = (
    "artifacts.raw",
    "artifacts.admitted",
    "artifacts.decided",
    "receipts",
    "corroborations",
    "reputation.log",
    "priorities",
    "batches",
)


def a_round(net: Network, hour: int) -> None:
    """Both nodes say forty texts of which the first ten are always the same; one id is sent again, one is used again."""
    with node(net, "n1") as n1, node(net, "n2") as n2:
        for one in (n1, n2):
            for number in range(40):
                text = f"text {number}" if number < 10 else f"text {hour}-{number}"
                one.submit(
                    text,
                    artifact_id=f"{hour}-{number}",
                    collected_at=hour * HOUR_MS,
                    source=f"{one.node_id}-{hour if number % 3 == 0 else ''}",
                    confidence=number % 7 / 7 if hour == 1 else 0.5,
                )
            settled(net)  # so an hour is several batches
        if hour > 1:
            again = n1.submit("text 12", artifact_id="1-12", collected_at=hour * HOUR_MS).result(60)
            assert again.reason == "id_reused", "its own id, other content"
    settled(net)
    tick(net, hour + 1)
    settled(net)


def end_of(net: Network, alias: str) -> dict[int, int]:
    """The end of each partition."""
    consumer = Consumer(net.settings.librdkafka_reader())
    found = {partition: end for partition, (_, end) in ends(consumer, net.topic(alias)).items()}
    consumer.close()
    return found


def prune(net: Network, marks: dict[str, dict[int, int]]) -> int:
    """What retention does: cut topics at these offsets. Returns how many were cut."""
    cuts = [
        TopicPartition(net.topic(alias), partition, end)
        for alias, partitions in marks.items()
        for partition, end in partitions.items()
    ]
    admin = AdminClient(net.settings.librdkafka())
    for future in admin.delete_records(cuts).values():
        future.result(30)
    return len(cuts)


def forge_three(net: Network) -> set[str]:
    """A decision that never was; a revision of the time before judging begins; an old revision, true, said again in the view."""
    producer, forged = Producer(net.settings.librdkafka_producer()), set()
    for alias, schema, index, change in (
        ("artifacts.decided", "decided", -1, {"sightings": 99}),
        ("reputation.log", "reputation", -1, {"input_offset": 0, "revision": 99}),
        ("reputation", "reputation", -2, {}),
    ):
        message = read_all(net.settings, net.topic(alias))[index]
        event = decoder(schema)(message.value()) | change
        before = end_of(net, alias)
        producer.produce(net.topic(alias), encoder(schema)(event), message.key(), message.partition())
        producer.flush(10)
        forged.add(f"{net.topic(alias)}/{message.partition()}/{before[message.partition()]}")
    return forged


def test_what_is_left_of_a_pruned_network_is_judged(brokers: str, tmp_path: Path) -> None:
    """The first of four hours is gone. Rows that it left are taken from the decisions that read them, and counted; a forgery is found."""
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        add_nodes(net, "n1", "n2")
        net.worker()
        a_round(net, 1)
        marks = {alias: end_of(net, alias) for alias in PRUNED}
        # raw is read in hours, and hour 2 begins where something of hour 1 is left: as if its segment were kept a little longer
        marks["artifacts.raw"] = {partition: end - 3 for partition, end in marks["artifacts.raw"].items()}
        a_round(net, 2)
        a_round(net, 3)
        a_round(net, 4)  # where judging s3 begins hangs on milliseconds: behind hour 2, or an hour later
        net.stop()
        whole = check_replay(net)
        cut = prune(net, marks)

        left = check_replay(net)

        by_stage = {stage["stage"]: stage for stage in left["stages"]}
        assert by_stage.pop("coordinator")["batches"] == 0, "nobody coordinates in compressed time"
        assert by_stage.pop("s5_patterns")["left_out"] == 4, "in compressed time a window begins where the topic does"
        assert by_stage.pop("s6_phoenix")["left_out"] == 4, "and so does what a round has read"
        assert all(one["left_out"] and one["compared"] and not one["findings"] for one in by_stage.values())
        assert by_stage["s1_intake"]["seeded"] == 4, (
            "the id that was used again, how two nodes stood, how many were undecided"
        )
        assert by_stage["s3_reputation"]["seeded"] == 2, "what was thought of two nodes"
        assert by_stage["s2_dedup"]["seeded"] >= 10, "the texts that came again"
        compared = [sum(stage["compared"] for stage in found["stages"]) for found in (whole, left)]
        assert 0 < compared[1] < compared[0]
        sums = check_balance(net)
        assert 162 <= sums.submitted < 4 * 80 + 3, "at least hours 3 and 4"
        print(f"\n{cut} partitions cut; {compared[1]} outputs of {compared[0]} are left and identical")

        for what, stages in (("rebuilt", net.topology.agents), ("and still right", ())):
            for stage in stages:
                net.icn("rebuild", stage, "--execute")
            net.worker()
            with node(net, "n1") as n1:
                told = n1.submit("text 3", artifact_id=f"5-{what}", collected_at=5 * HOUR_MS, source="n1-3").result(60)
                assert told.outcome == "duplicate", what
            settled(net)
            net.stop()
        check_replay(net)

        forged = forge_three(net)
        done = net.icn("replay", "--verify", "--json", check=False)
        found = json.loads(done.stdout)
        assert (done.returncode, found["verdict"]) == (1, "different")
        places = {finding["where"] for stage in found["stages"] for finding in stage["findings"]}
        assert forged <= places, f"{forged - places} of {forged} not found"


def test_links_are_judged_by_the_sketches_and_links_that_are_left(brokers: str, tmp_path: Path) -> None:
    """Four hours, a horizon of 90 minutes: the sketches of the first are gone, and the fourth compares with none of them. In it the weights
    of words are made anew; then the rows are made again from what is left, and a text of then is still recognised."""
    rng = random.Random(1)
    texts = [[" ".join(f"t{rng.randrange(3000)}" for _ in range(40)) for _ in range(40)] for _ in range(4)]
    with network(brokers, tmp_path, whole=True, simulated=True, protocol__horizon="90m") as net:
        add_nodes(net, "n1")
        net.worker()
        marks: dict[str, dict[int, int]] = {}
        with node(net, "n1") as n1:
            for hour, said in enumerate(texts, 1):
                again = [reworded(one, 2, hour) for one in (texts[hour - 2] if hour > 1 else said)[:30]]
                for number, text in enumerate([*said, *again]):
                    n1.submit(text, artifact_id=f"{hour}-{number}", collected_at=hour * HOUR_MS)
                settled(net)
                marks = marks or {alias: end_of(net, alias) for alias in ("sketches", "links", "batches")}
        net.stop()
        links = {link["artifact_id"]: link for link in events(net.settings, net.topic("links"))}
        assert len(links) == 120 and len(events(net.settings, net.topic("idf"))) == 2

        prune(net, marks)
        (near,) = check_replay(net, "s4_near")["stages"]
        assert near["left_out"] and near["compared"] == 30 + 1, "the links of the fourth hour, and its weights"

        net.icn("rebuild", "s4_near", "--execute")
        net.worker()
        with node(net, "n1") as n1:
            n1.submit(reworded(texts[3][35], 2, 9), artifact_id="5", collected_at=5 * HOUR_MS).result(60)
            settled(net)
        net.stop()
        repeated = {link["artifact_id"]: link["near_duplicate_of"] for link in events(net.settings, net.topic("links"))}
        assert repeated["5"] == "4-35"
        check_replay(net, "s4_near")
        print(f"\n{near['left_out']} batches pruned; {near['compared']} outputs are left and identical")


def test_a_network_of_which_nothing_whole_is_left_is_not_judged(net: Network) -> None:
    """Exit code 2, and the stages are named."""
    add_nodes(net, "n1", "n2")
    net.worker()
    with node(net, "n1") as n1:
        assert n1.submit("text").result(60).accepted
    settled(net)
    net.stop()
    prune(net, {alias: end_of(net, alias) for alias in ("artifacts.raw", "artifacts.admitted", "artifacts.decided")})

    done = net.icn("replay", "--verify", "--json", check=False)

    found = json.loads(done.stdout)
    assert (done.returncode, found["verdict"]) == (2, "not judged")
    assert {"PRUNED"} == {finding["kind"] for stage in found["stages"] for finding in stage["findings"]}
