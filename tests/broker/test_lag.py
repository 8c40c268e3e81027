"""Lag as an operator needs it: 0 when idle, events and seconds when behind, and who is not working."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from streams.broker import local
from streams.settings import read_settings
from streams.topology import load
from streams.watch.monitor import Monitor, read_lag
from tests.support.chain import add_nodes, node, settled
from tests.support.network import Network, wait_until


def test_an_idle_network_shows_0_not_1_and_a_stopped_one_what_waits(net: Network) -> None:
    """Transactions end in a control record; a plain lag monitor would show 1 for ever."""
    add_nodes(net, "n1")
    net.worker()
    with node(net, "n1") as n1:
        n1.submit("one").result(60)
        settled(net)
        groups = [agent.group for agent in net.topology.agents.values()]

        def seen() -> set[tuple[str, int]]:
            return {(row.status, row.lag) for row in read_lag(net.settings, groups)}

        wait_until(lambda: seen() == {("OK", 0)}, 10, "every group OK at 0; a minute's tick may be on its way")
        net.stop()
        for number in range(7):
            n1.submit(f"while nobody works {number}")
        n1.flush(1)
        time.sleep(1)
        rows = wait_until(
            lambda: [r for r in read_lag(net.settings, groups) if r.topic == net.topic("artifacts.raw") and r.lag],
            20,
            "lag",
        )

        assert [(row.lag, row.lag_seconds > 0.5) for row in rows] == [(7, True)]
        ended = net.icn("lag", "--json", "--group", groups[0], "--fail-on", "ERR", check=False)
        shown = json.loads(ended.stdout)
        assert ended.returncode == 1 and [one["status"] for one in shown["groups"]] == ["ERR"]
        assert shown["groups"][0]["lag"] == 7 and {one["status"] for one in shown["partitions"]} == {"OK", "STOP"}
        assert f"{net.topic('artifacts.raw')}/0 STOP: nobody works on it, 7 behind" in net.icn("lag").stdout
        net.worker()
        n1.flush(60)
    settled(net)


def test_an_open_transaction_that_holds_everybody_up_is_seen(net: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers of committed records see nothing behind it: without a word of it, lag would be 0 and all well."""
    monkeypatch.setattr("streams.watch.monitor.HELD_AFTER_S", 0.5)
    add_nodes(net, "n1")
    net.worker()
    group = net.topology.agent("s1").group
    with node(net, "n1") as n1:
        n1.submit("before").result(60)
        settled(net)
        stranger = Producer(net.settings.librdkafka_producer(**{"transactional.id": f"{net.topology.deployment}-open"}))
        stranger.init_transactions(30)
        stranger.begin_transaction()
        stranger.produce(net.topic("artifacts.raw"), b"never committed", b"nobody")
        stranger.flush(10)
        held = [n1.submit(f"behind it {number}") for number in range(5)]
        row = wait_until(
            lambda: next((r for r in read_lag(net.settings, [group]) if r.status == "HELD"), None), 20, "HELD"
        )
        wait_until(lambda: max(r.held for r in read_lag(net.settings, [group])) == 6, 20, "all six are behind it")
        assert (row.topic, row.lag) == (net.topic("artifacts.raw"), 0)
        assert not any(future.done() for future in held)
        stranger.abort_transaction()
        assert {future.result(30).outcome for future in held} == {"unique"}
    settled(net)


class Stranger:
    """A topic of three partitions, and a group that reads it, of nobody we know."""

    def __init__(self, net: Network) -> None:
        self.settings, self.name = net.settings, f"{net.topology.deployment}-stranger"
        self.admin = AdminClient(net.settings.librdkafka())
        self.make()
        self.producer = Producer(net.settings.librdkafka_producer())

    def make(self) -> None:
        def is_made() -> bool:
            try:
                self.admin.create_topics([NewTopic(self.name, 3, 1)])[self.name].result()
            except KafkaException as error:
                assert error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS  # the old one is not quite gone
                return False
            return True

        wait_until(is_made, 20, "the topic")

    def write(self, count: int, partition: int = 0) -> None:
        for number in range(count):
            self.producer.produce(self.name, f"{number}".encode(), partition=partition)
        assert self.producer.flush(20) == 0

    def commit(self, *offsets: int) -> None:
        """Of partitions 0, 1, …; from outside, as nobody's member."""
        places = [TopicPartition(self.name, partition, offset) for partition, offset in enumerate(offsets)]
        request = [ConsumerGroupTopicPartitions(self.name, places)]
        for future in self.admin.alter_consumer_group_offsets(request).values():
            future.result()

    def reader(self) -> Consumer:
        consumer = Consumer(self.settings.librdkafka_reader(**{"group.id": self.name, "session.timeout.ms": 6000}))
        consumer.subscribe([self.name])
        return consumer


@pytest.fixture
def stranger(net: Network) -> Stranger:
    return Stranger(net)


def statuses(monitor: Monitor, group: str) -> dict[int, str]:
    return {one.partition: one.status for one in monitor.look([group]).partitions}


def test_a_group_of_anybodys_is_judged_by_looks(stranger: Stranger) -> None:
    """Nobody works on it: STOP at once. Somebody has it and does nothing: STALL, after three looks; falls behind at each: WARN."""
    stranger.write(10)
    stranger.commit(4, 0)
    monitor = Monitor(stranger.settings)
    (one,) = monitor.look([stranger.name]).groups
    assert (one.status, one.lag, one.state, one.partitions) == ("ERR", 6, "EMPTY", 2)
    assert statuses(monitor, stranger.name) == {0: "STOP", 1: "OK"}
    reader = stranger.reader()
    wait_until(lambda: reader.poll(0.2) is not None, 30, "a record")
    monitor = Monitor(stranger.settings)
    assert [statuses(monitor, stranger.name)[0] for _ in range(3)] == ["?", "?", "STALL"]
    for number in range(3):
        stranger.write(5)
        reader.commit(offsets=[TopicPartition(stranger.name, 0, 5 + number)], asynchronous=False)
        picture = monitor.look([stranger.name])
    assert [one.status for one in picture.groups] == ["WARN"]
    assert (picture.partitions[0].growth_per_second or 0) > 0 and picture.groups[0].closes_in_s is None
    reader.commit(offsets=[TopicPartition(stranger.name, 0, 25)], asynchronous=False)
    assert statuses(monitor, stranger.name)[0] == "OK"
    reader.commit(offsets=[TopicPartition(stranger.name, 0, 2)], asynchronous=False)
    assert statuses(monitor, stranger.name)[0] == "REWIND"
    reader.close()


def test_age_trend_and_retention_are_told(stranger: Stranger) -> None:
    """The record's own age; what retention took; how much of what is kept waits; which partition is far behind the others."""
    stranger.write(20)
    stranger.write(1, 1)
    time.sleep(1.2)
    stranger.commit(5, 1, 0)
    for future in stranger.admin.delete_records([TopicPartition(stranger.name, 0, 10)]).values():
        future.result()
    monitor = Monitor(stranger.settings)
    one = wait_until(
        lambda: next((p for p in monitor.look([stranger.name]).partitions if p.partition == 0 and p.lost), None),
        20,
        "a loss",
    )
    assert (one.lost, one.margin, one.lag, one.retention_ratio) == (5, 0, 15, 1.0)
    stranger.commit(15, 1, 0)
    one = monitor.look([stranger.name]).partitions[0]
    assert (one.lost, one.margin, one.lag, one.retention_ratio) == (0, 5, 5, 0.5)
    assert [p.retention_ratio for p in monitor.look([stranger.name]).partitions] == [0.5, 0.0, 0.0]
    assert one.lag_seconds_by == "message" and 1.0 < (one.lag_seconds or 0) < 60


def test_a_topic_that_is_made_again_has_no_history_and_a_group_that_is_deleted_is_gone(stranger: Stranger) -> None:
    stranger.write(30)
    stranger.commit(10)
    monitor = Monitor(stranger.settings)
    for _ in range(3):
        monitor.look([stranger.name])
    stranger.admin.delete_topics([stranger.name])[stranger.name].result()
    wait_until(lambda: not monitor.look([stranger.name]).partitions, 20, "nothing of a topic that is gone")
    stranger.make()
    stranger.write(3)
    stranger.commit(1)
    row = wait_until(lambda: next(iter(monitor.look([stranger.name]).partitions), None), 20, "the new topic")
    assert (row.lag, row.committed) == (2, 1)
    assert all(one.end <= 3 for mine in monitor.readings.values() for looks in mine.values() for one in looks)
    stranger.admin.delete_consumer_groups([stranger.name])[stranger.name].result()
    assert monitor.look([stranger.name]).groups == [] and stranger.name not in monitor.look().look.groups


def test_a_partition_that_nobody_of_a_working_group_owns_is_abandoned(net: Network, stranger: Stranger) -> None:
    """Committed once, and the group reads something else now: it is flagged, and no trouble of the group's."""
    stranger.write(9)
    stranger.commit(3)
    consumer = Consumer(net.settings.librdkafka_reader(**{"group.id": stranger.name}))
    consumer.subscribe([net.topic("control")])
    monitor = Monitor(stranger.settings)

    def abandoned() -> bool:
        consumer.poll(0.1)
        rows = monitor.look([stranger.name]).partitions
        return {(one.topic, one.status) for one in rows} == {
            (stranger.name, "ABANDONED"),
            (net.topic("control"), "NO_COMMIT"),
        }

    wait_until(abandoned, 30, "ABANDONED")
    (one,) = monitor.look([stranger.name]).groups
    assert one.status in ("OK", "NO_COMMIT") and one.state == "STABLE"
    consumer.close()


def test_watching_is_a_document_a_line_and_over_a_time_there_is_a_trend(stranger: Stranger, net: Network) -> None:
    stranger.write(4)
    stranger.commit(1)
    watching = subprocess.Popen(
        [sys.executable, "-m", "streams", "lag", "--watch", "--every", "0.3s", "--json", "--group", stranger.name],
        env=net.env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    # a coordinator that has just begun may not tell of the group yet
    documents = map(json.loads, iter(watching.stdout.readline, ""))
    seen = [one for one, _ in zip(filter(lambda one: one["groups"], documents), range(3), strict=False)]
    watching.send_signal(signal.SIGINT)
    assert watching.wait(20) == 130 and [one["groups"][0]["lag"] for one in seen] == [3, 3, 3]
    (told,) = json.loads(net.icn("lag", "--over", "600ms", "--json", "--group", stranger.name).stdout)["groups"]
    assert told["growth_per_second"] == 0.0 and told["status"] == "ERR"


def test_status_tells_of_every_group_in_error_as_lag_does(stranger: Stranger, net: Network) -> None:
    """Also of one that is not ours."""
    stranger.write(4)
    stranger.commit(1)
    done = net.icn("status", check=False)
    assert done.returncode == 1
    assert (
        f"→ a group that is not ours stopped, stalls, went back or is held up (3 events waiting) ({stranger.name})"
        in done.stdout
    )
    shown = net.icn("lag", "--group", f"{stranger.name[:-2]}*").stdout
    assert stranger.name in shown and "1 in trouble" in shown
    assert net.icn("lag", "--group", "no-such-*", check=False).returncode == 2


def test_the_lag_command_is_light() -> None:
    """No Faust, no aiokafka, no numpy on its way."""
    heavy = "('faust', 'aiokafka', 'numpy', 'rich')"
    code = f"import streams.watch.monitor, streams.cli.lag, sys; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


AUTHORIZER = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"


def test_what_we_may_not_look_at_is_shown_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic that is closed to us is CLOSED in each group that works on it, without a figure; what is owned and has no commit is
    NO_COMMIT; a group that is closed to us says why it has no figures."""
    plain = local.server_properties
    closed = f"authorizer.class.name={AUTHORIZER}\nallow.everyone.if.no.acl.found=true\n"
    monkeypatch.setattr(local, "server_properties", lambda *about: plain(*about) + closed)
    broker = local.LocalBroker(tmp_path)
    settings = read_settings(load(), {}, brokers=broker.start(owned=True))
    consumers = []
    try:
        admin, producer = AdminClient(settings.librdkafka()), Producer(settings.librdkafka_producer())
        for future in admin.create_topics([NewTopic("open.t", 1, 1), NewTopic("closed.t", 2, 1)]).values():
            future.result()
        for topic in ("open.t", "closed.t"):
            producer.produce(topic, b"x", partition=0)
        producer.flush(10)
        for group, topics in (("works", ["open.t", "closed.t"]), ("hidden", ["open.t"])):
            consumer = Consumer(settings.librdkafka(**{"group.id": group, "enable.auto.commit": False}))
            consumer.subscribe(topics)
            wait_until(lambda c=consumer: (c.poll(0.2), c.assignment())[1], 30, "an assignment")
            consumers.append(consumer)
        denied = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, "User:ANONYMOUS", "*", AclOperation.DESCRIBE, AclPermissionType.DENY)
            for kind, name in ((ResourceType.TOPIC, "closed.t"), (ResourceType.GROUP, "hidden"))
        ]  # fmt: skip
        for future in admin.create_acls(denied).values():
            future.result()

        def seen() -> set[tuple[str, str, int, str, int | None]]:
            picture = Monitor(settings).look()
            return {(one.group, one.topic, one.partition, one.status, one.lag) for one in picture.partitions}

        wanted = {
            ("works", "open.t", 0, "NO_COMMIT", None),
            ("works", "closed.t", 0, "CLOSED", None),
            ("works", "closed.t", 1, "CLOSED", None),
        }
        wait_until(lambda: seen() == wanted, 20, "what is closed as closed, what is hidden not at all")
        hidden, works = Monitor(settings).look().groups
        assert (works.group, works.status, works.lag, works.without_commit) == ("works", "NO_COMMIT", None, 1)
        assert (hidden.group, hidden.status, hidden.lag) == ("hidden", "?", None)
        assert "uthorization" in str(hidden.error)
    finally:
        for consumer in consumers:
            consumer.close()
        broker.stop()
