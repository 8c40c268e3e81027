"""Records made to stop the intake for everybody: each costs its sender something, and the next one is processed."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiokafka
import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy as PythonBuilder
from confluent_kafka import Producer

from streams.bench.load import artifact
from streams.broker.registrations import token_of
from streams.broker.topics import fold
from streams.codec import encoder
from streams.domain.artifact import MARKS_MAX
from streams.domain.identity import MAC_HEADER, sign
from streams.errors import ArtifactError
from streams.runtime.reread import as_record
from tests.support.chain import add_nodes, check_balance, check_replay, node, settled
from tests.support.network import Network, wait_until


class NotUtf8(str):
    """A header's name that Kafka's protocol allows and no client library would write."""

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


async def send_raw(
    net: Network, key: bytes, value: bytes, headers: list[tuple[str, bytes]], alias: str = "artifacts.raw"
) -> None:
    """One record past the client library's checks."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=net.settings.brokers)
    await producer.start()
    batch = producer.create_batch()
    batch._builder = PythonBuilder(2, 0, 0, -1, -1, -1, 1 << 16)
    batch._builder.append(0, int(time.time() * 1000), key, value, headers)
    batch._relative_offset = 1
    await (await producer.send_batch(batch, net.topic(alias), partition=0))
    await producer.stop()


def signed(net: Network, value: bytes, node_id: str = "n1") -> list[tuple[str, bytes]]:
    """The header of a registered node."""
    return [(MAC_HEADER, sign(token_of(net.settings, node_id, 1), node_id.encode(), value))]


def test_none_of_these_records_stops_the_intake(net: Network) -> None:
    """From strangers and from a registered node; after each, another node's artifact is decided."""
    add_nodes(net, "n1", "n2")
    net.worker()
    encode = encoder("artifact")
    plain = encode(artifact(1, "n1"))
    long_ids = [encode(artifact(9, "n1", artifact_id="x" * 400_000 + str(i))) for i in range(4)]
    marks = encode(artifact(10, "n1", content="a" + "\u0301\u0316" * 200_000))
    poison: dict[str, list[tuple[bytes, bytes, list[tuple[str, bytes]]]]] = {
        "a header's name that is not UTF-8": [(b"nobody", b"x", [(NotUtf8("h"), b"v")])],
        "a signed record with such a header": [(b"n1", plain, [(NotUtf8("h"), b"v"), *signed(net, plain)])],
        "a header's name with a NUL": [(b"n1", plain, [(f"{MAC_HEADER}\0x", signed(net, plain)[0][1])])],
        "a header twice": [(b"n1", plain, signed(net, plain) * 2)],
        "no value, no key": [(b"", b"", [])],
        "ids of half a megabyte, which a receipt would repeat": [(b"n1", v, signed(net, v)) for v in long_ids],
        "marks that take minutes to normalize": [(b"n1", marks, signed(net, marks))],
    }
    sent = 0
    with node(net, "n2") as n2:
        for what, records in poison.items():
            for key, value, headers in records:
                asyncio.run(send_raw(net, key, value, headers))
                sent += 1
            assert n2.submit(f"after {what}").result(30).outcome == "unique", what
    settled(net)
    outcomes = check_balance(net).outcomes
    compared = sum(stage["compared"] for stage in check_replay(net)["stages"])

    # the one with a NUL in a name is what librdkafka takes it for: signed
    assert (outcomes["dead_lettered"], outcomes["unique"]) == (sent - 1, len(poison) + 1)
    print(f"\n{sent} poisonous records of {len(poison)} kinds; {compared} outputs recomputed, identical")


def test_unreadable_headers_are_none_also_among_thousands(net: Network) -> None:
    """Read in a hot loop: what CPython has specialized by then must not let a pending exception through."""
    producer = Producer(net.settings.librdkafka_producer())
    for _ in range(3):
        for number in range(2000):
            producer.produce(net.topic("artifacts.raw"), b"%d" % number, b"nobody", headers=[("h", b"v")])
        producer.flush(20)
        asyncio.run(send_raw(net, b"nobody", b"x", [(NotUtf8("h"), b"v")]))

    records = [as_record(message) for message in fold(net.settings, net.topic("artifacts.raw"))]

    assert [index for index, record in enumerate(records) if record.headers is None] == [2000, 4001, 6002]
    assert len(records) == 6003


@pytest.mark.parametrize("alias", ["artifacts.raw", "control", "verdicts", "collections"])
def test_what_unpacks_to_more_than_a_record_may_have_is_refused_by_the_broker(net: Network, alias: str) -> None:
    """Four megabytes of the same letter are a few hundred bytes on the wire."""
    refused: list[Any] = []
    packing = {"compression.type": "zstd", "message.max.bytes": 8 << 20}
    producer = Producer(net.settings.librdkafka_producer(**packing))
    producer.produce(net.topic(alias), b"a" * (4 << 20), b"nobody", on_delivery=lambda e, _: refused.append(e))
    producer.flush(20)

    assert "MSG_SIZE_TOO_LARGE" in str(refused)


def test_the_sdk_refuses_endless_marks_before_they_are_sent(net: Network) -> None:
    """And takes as many as a text may have."""
    add_nodes(net, "n1")
    with node(net, "n1") as n1:
        with pytest.raises(ArtifactError, match="combining marks"):
            n1.submit("a" + "\u0301" * (MARKS_MAX + 1))
        with pytest.raises(ArtifactError, match="combining marks"):
            n1.submit("x" * 1000 + "\uff9e" * (MARKS_MAX + 1))  # half-width: a mark only once decomposed
        accepted = n1.submit("a" + "\u0301" * MARKS_MAX)
        net.worker()
        assert accepted.result(60).outcome == "unique"


def test_a_closed_node_has_stored_what_it_took(net: Network) -> None:
    """Nobody decides: all are in the outbox, their futures say so, and the next node of this id sends them."""
    add_nodes(net, "n1")
    n1 = node(net, "n1")
    futures = n1.submit_many({"content": f"text {number}"} for number in range(5000))
    assert n1.close(0) == 5000
    assert {type(future.exception()).__name__ for future in futures} == {"UndecidedError"}
    with pytest.raises(Exception, match="closed"):
        n1.submit("too late")

    net.worker()
    with node(net, "n1") as again:
        told = [future.result(60) for future in again.recovered]
    assert len(told) == 5000
    assert sum(decision.outcome == "unique" for decision in told) == 1000, "the quota of an hour"


def test_a_refusal_counts_for_the_last_copy_only(net: Network) -> None:
    """Sent twice while the intake was away; the second copy falls into the next hour, as the receipts say it."""
    add_nodes(net, "n1")
    with node(net, "n1", resend_after_s=0.5) as n1:
        future = n1.submit("text")
        wait_until(lambda: future.attempts >= 2 and future.reported >= 2, 20, "two copies")
        receipt = {
            "stage": "s1_intake",
            "quota_left": 0,
            "status": "constrained",
            "retry_after_ms": 5,
            "suggestions": [],
        }
        about = {"artifact_id": future.artifact_id, "reason": "quota_exceeded", "detail": None, "canonical_id": None}
        n1._listener.read(receipt | {"outcomes": [about | {"outcome": "rejected", "offset": 0, "version": None}]})
        assert not future.done(), "said of the first copy"
        net.worker()
        assert future.result(60).outcome == "unique"
