"""The exporter on a real cluster: its figures are those of the topics, it outlives its broker, and what is old is not shown."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families as parse

from streams.broker.local import LocalBroker
from streams.codec import encoder
from streams.watch.following import Following
from streams.watch.looking import Looking, Sight
from streams.watch.monitor import Monitor
from streams.watch.tail import Recreated, Tail
from tests.exporter.looks import HOSTILE, batch
from tests.support.chain import add_nodes, node, settled
from tests.support.fold import events
from tests.support.network import Network, network, wait_until


class Served:
    """One `icn exporter`, asked over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        asked = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path: str) -> tuple[int, Any]:
        status, text = self.get(path)
        return status, json.loads(text)

    def metrics(self) -> dict[str, float]:
        """name{labels} -> value."""
        told = {}
        for family in parse(self.get("/metrics")[1]):
            for sample in family.samples:
                labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()) if k != "cluster_name")
                told[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return told


@contextmanager
def exporter(net: Network, *words: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "streams", "exporter", "--listen", "127.0.0.1:0", "--every", "1s", *words]
    process = subprocess.Popen(command, env=net.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://\S+(?=/metrics)", line)
    assert found, line + process.stderr.read()
    drain = threading.Thread(target=process.stderr.read, daemon=True)  # a full pipe would stop it
    drain.start()
    try:
        yield Served(found[0])
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_it_says_what_is_on_the_topics(net: Network) -> None:
    """Of lag what `icn lag` says, of stages what their batches say; Burrow's answers agree; unknown names are 404."""
    add_nodes(net, "n1")
    net.worker()
    with exporter(net) as served:
        with node(net, "n1") as n1:
            told = [n1.submit(f"text {number % 15}") for number in range(20)]
            assert [future.result(60).accepted for future in told] == [True] * 20
        settled(net)
        fresh = {"icn_conservation_residual_records": 0, "icn_in_flight_records": 0, "kafka_lag_exporter_up": 1}
        count = "icn_stage_outcomes_total{outcome=%s,stage=s2_dedup}"

        def decided() -> dict[str, float] | None:
            found = served.metrics()
            return found if found.get(count % "unique") == 15 else None

        found = wait_until(decided, 30, "15 unique")
        assert found[count % "duplicate"] == 5 and fresh.items() <= found.items()

        def same() -> int:
            """Of offsets that both say; a minute's tick may be on its way."""
            rows = Monitor(net.settings).look().partitions
            mine = [row for row in rows if row.group.startswith(net.topology.deployment) and row.committed is not None]
            here = served.metrics()
            at = "kafka_consumergroup_group_offset{group=%s,partition=%s,topic=%s}"
            said = [(here.get(at % (row.group, row.partition, row.topic)), row.committed) for row in mine]
            return len(said) if all(one == other for one, other in said) else 0

        assert wait_until(same, 30, "what icn lag says") > 10

        cluster, group = net.topology.deployment, net.topology.agent("s2").group
        base = f"/v3/kafka/{cluster}"
        assert served.json("/v3/kafka")[1]["clusters"] == [cluster]
        assert group in served.json(f"{base}/consumer")[1]["consumers"]
        status, lag = served.json(f"{base}/consumer/{group}/lag")
        assert (status, lag["error"], lag["status"]["status"], lag["status"]["totallag"]) == (200, False, "OK", 0)
        assert len(lag["status"]["partitions"]) == lag["status"]["partition_count"] == 4
        assert {part["owner"] != "" and part["client_id"] != "" for part in lag["status"]["partitions"]} == {True}
        assert served.json(f"{base}/consumer/{group}/status")[1]["status"]["partitions"] == []
        assert net.topic("targets") in served.json(f"{base}/topic")[1]["topics"], "though no group reads it"
        assert served.json(f"{base}/topic/{net.topic('targets')}")[1]["offsets"] == []
        admitted = net.topic("artifacts.admitted")
        ends = served.json(f"{base}/topic/{admitted}")[1]["offsets"]
        assert ends == [part["end"]["offset"] for part in lag["status"]["partitions"]]
        assert served.json(f"{base}/topic/{admitted}/consumers")[1]["consumers"] == [group]
        assert admitted in served.json(f"{base}/consumer/{group}")[1]["topics"]
        for path in ("/v3/kafka/other/consumer", f"{base}/consumer/nobody", f"{base}/topic/none"):
            assert served.json(path)[0] == 404 and served.json(path)[1]["error"] is True
        assert served.json(f"{base}/consumer/nobody/lag")[1]["status"]["status"] == "NOTFOUND"
        assert served.json("/ready")[0] == served.json("/health")[0] == 200
        assert served.get("/metrics", Accept="application/openmetrics-text")[1].endswith("# EOF\n")


def test_a_broker_that_goes_away_makes_it_say_nothing_rather_than_something_old(tmp_path: Path) -> None:
    """Three looks without an answer: no figures but that it is down. It comes back by itself, and what was deleted meanwhile is gone."""
    broker = LocalBroker(tmp_path)
    bootstrap = broker.start(owned=True)
    try:
        with network(bootstrap, tmp_path) as net, exporter(net) as served:
            wait_until(lambda: served.json("/ready")[0] == 200, 60, "ready")
            assert "icn_nodes_registered" in served.metrics()
            broker.stop()
            wait_until(lambda: served.json("/ready")[0] == 503, 60, "not ready")
            told = wait_until(lambda: None if "icn_nodes_registered" in (m := served.metrics()) else m, 30, "silence")
            assert set(told) <= {
                "kafka_lag_exporter_up",
                "kafka_lag_exporter_last_update_timestamp_seconds",
                "kafka_lag_exporter_scrape_duration_seconds",
            }
            assert told["kafka_lag_exporter_up"] == 0
            assert served.json("/health")[0] == 200 and served.json("/health")[1]["error"]
            assert served.get(f"/v3/kafka/{net.topology.deployment}/consumer")[0] == 503
            broker.start(owned=True)
            wait_until(lambda: served.json("/ready")[0] == 200, 90, "ready again")
            assert served.metrics()["icn_nodes_registered"] == 0
    finally:
        broker.stop()


def test_groups_of_a_broker_that_was_killed_are_missed_and_not_gone(tmp_path: Path) -> None:
    """kill -9, and at no time is a look without them good: alerts on them would resolve."""
    broker = LocalBroker(tmp_path)
    bootstrap = broker.start(owned=True)
    try:
        with network(bootstrap, tmp_path) as net:
            names = [f"g{number}" for number in range(30)]
            for name in names:
                consumer = Consumer(net.settings.librdkafka_reader(**{"group.id": name}))
                consumer.commit(offsets=[TopicPartition(net.topic("control"), 0, 0)], asynchronous=False)
                consumer.close()
            with exporter(net, "--include", "g.*", "--exclude", "g1[0-9]") as served:
                wait_until(lambda: served.json("/ready")[0] == 200, 60, "ready")
                wanted = {name for name in names if not name.startswith("g1") or name == "g1"}

                def looks() -> int:
                    """Whether it says that it sees; then it sees all of them."""
                    text = served.get("/metrics")[1]
                    found = set(re.findall(r'kafka_consumergroup_group_offset{.*group="([^"]+)"', text))
                    sees = re.search("^kafka_lag_exporter_up{.*} 1", text, re.MULTILINE) is not None
                    assert found == wanted or not sees
                    return int(sees)

                assert looks() == 1
                broker.kill()
                broker.start(owned=True)
                began, seen = time.monotonic(), 0
                while time.monotonic() - began < 40:
                    seen += looks()
                    time.sleep(0.1)
                assert looks() == 1 and seen > 50
    finally:
        broker.stop()


def test_what_was_lost_and_what_was_made_up_is_a_residual(net: Network) -> None:
    """A batch that passes over an artifact in silence; then one that says two artifacts more than there are."""
    add_nodes(net, "n1")
    net.worker()
    following = Following(net.topology, net.settings)
    following.look()
    with node(net, "n1") as n1:
        assert n1.submit("one").result(60).accepted and n1.submit("two").result(60).accepted
        settled(net)
        net.stop()
        following.look()
        assert following.residual == 0 and following.conservation is not None
        assert following.conservation.counted == {"s1_intake": 2, "s2_dedup": 2}
        sequence = 1 + max(e["sequence"] for e in events(net.settings, net.topic("batches")))
        producer, encode = Producer(net.settings.librdkafka_producer()), encoder("batch")

        def says(stage: str, last: int, counts: dict[str, int]) -> None:
            value = encode(batch(stage, sequence, 1, last, counts))
            producer.produce(net.topic("batches"), value, stage.encode())
            producer.flush(10)

        producer.produce(net.topic("artifacts.raw"), b"nobody decides it", b"n1")
        producer.flush(10)
        says("s1_intake", 1_000_000, {})
        following.look()
        assert following.residual == 1
        says("s2_dedup", -1, {"unique": 2})
        following.look()
        assert following.residual == 1 - 2
    following.close()


def test_a_topic_that_is_made_again_is_read_anew(brokers: str, tmp_path: Path) -> None:
    """What was folded of the old one is forgotten, and it says so once."""
    with network(brokers, tmp_path) as net:
        admin = AdminClient(net.settings.librdkafka())
        name = f"{net.topology.deployment}.again"
        admin.create_topics([NewTopic(name, 2, 1)])[name].result()
        producer = Producer(net.settings.librdkafka_producer())
        tail = Tail(net.settings, [name, "never.there"])

        def put(count: int) -> None:
            for number in range(count):
                producer.produce(name, f"{number}".encode(), partition=number % 2)
            assert producer.flush(10) == 0

        put(5)
        assert sorted(int(m.value()) for m in tail.news()) == [0, 1, 2, 3, 4]
        assert list(tail.news()) == []
        put(3)
        first = next(iter(tail.news()))  # left in the middle
        assert len({first.value(), *(m.value() for m in tail.news())}) == 3
        admin.delete_topics([name])[name].result()
        wait_until(lambda: name not in admin.list_topics(timeout=5).topics, 20, "it is gone")
        assert list(tail.news()) == []
        admin.create_topics([NewTopic(name, 2, 1)])[name].result()
        with pytest.raises(Recreated, match="was made again"):
            wait_until(lambda: list(tail.news()), 20, "word of it")
        tail.close()


def test_hostile_names_of_groups_break_nothing(net: Network) -> None:
    """Groups may be called anything: a line end or a quote in a label would end the scrape."""
    names = [HOSTILE, "<img src=x onerror=alert(1)>", 'a\nb{c="d"} 1']
    topic = net.topic("control")
    for name in names:
        consumer = Consumer(net.settings.librdkafka_reader(**{"group.id": name}))
        consumer.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
        consumer.close()
    with exporter(net) as served:
        wait_until(lambda: served.json("/ready")[0] == 200, 30, "ready")
        text = served.get("/metrics")[1]
        seen = {
            s.labels["group"] for f in parse(text) for s in f.samples if s.name == "kafka_consumergroup_group_offset"
        }
        assert set(names) <= seen
        index = served.get("/")[1]
        assert "<img" not in index
    admin = AdminClient(net.settings.librdkafka())
    for future in admin.delete_consumer_groups(names).values():
        future.result()


def test_the_command_says_what_is_wrong(net: Network) -> None:
    """A port that is taken, an address that is none, a pause that is too short."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, told in (
            (["--listen", f"127.0.0.1:{port}"], f"port {port} of 127.0.0.1 is in use"),
            (["--listen", "nowhere"], "'nowhere' is no address to listen on"),
            (["--every", "10ms"], "at least 0.5 s"),
            (["--every", "soon"], "--every"),
        ):
            done = net.icn("exporter", *words, check=False)
            assert done.returncode == 2 and told in done.stderr and "Traceback" not in done.stderr


def test_looks_cost_the_broker_nothing_between_them(net: Network) -> None:
    """A hundred scrapes between two looks: the same bytes, but for the exporter's own age."""
    with exporter(net, "--every", "1m") as served:
        wait_until(lambda: served.json("/ready")[0] == 200, 60, "ready")
        began = time.monotonic()
        bodies = {served.get("/metrics")[1] for _ in range(100)}
        assert len(bodies) == 1 and time.monotonic() - began < 30


def test_a_look_that_fails_for_a_reason_nobody_thought_of_is_told_and_the_next_is_made(net: Network) -> None:
    """Else the page would stand still for good."""
    shown = []

    def show(sight: Sight) -> int:
        shown.append(sight.took_s)
        if len(shown) < 3:
            raise ValueError("a record that nobody thought of")
        return len(shown)

    looking = Looking(net.topology, net.settings, show, 0.2)
    looking.start()
    wait_until(lambda: looking.trouble == "ValueError: a record that nobody thought of", 30, "word of it")
    wait_until(lambda: looking.is_fresh and looking.shown >= 3, 30, "a good look")
    looking.stop()
