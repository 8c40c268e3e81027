"""A node that forges, lies about who it is and sends what is no artifact, while an honest one works."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer

from streams.bench.load import artifact
from streams.broker.registrations import token_of
from streams.broker.topics import fold
from streams.certify.checks import Checks
from streams.certify.stand import Stand
from streams.codec import encoder
from streams.domain.artifact import MARKS_MAX
from streams.domain.identity import MAC_HEADER, sign

EACH, HONEST = 20, 200
Record = tuple[str, bytes, list[tuple[str, bytes]]]  # key, value, headers


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Every record of the adversary's must be found as a dead letter, with the reason that fits, and nowhere else."""
    stand.register("honest", "mallory")
    attacks = _attacks(stand)
    producer, sent = Producer(stand.settings.librdkafka_producer()), dict[int, str]()
    with stand.node("honest") as honest:
        futures = honest.submit_many({"content": f"honest {n} {rng.random()}"} for n in range(HONEST // 2))
        for reason, make in attacks.items():
            for number in range(EACH):
                key, value, headers = make(number)
                producer.produce(
                    stand.topic("artifacts.raw"), value, key.encode(), headers=headers,
                    on_delivery=lambda _, m, reason=reason: sent.update({m.offset(): reason}),
                )  # fmt: skip
        producer.flush(30)
        futures += honest.submit_many({"content": f"honest {n} {rng.random()}"} for n in range(HONEST // 2))
        for future in futures:
            checks.same("an honest node is not disturbed", future.result(120).outcome, "unique", future.artifact_id)
    stand.settled()
    checks.faults += len(sent)
    admitted = {event["facts"]["raw_offset"]: at for event, at in stand.read("artifacts.admitted")}
    checks.count(
        "none of it is admitted", len(sent),
        [f"{reason}: {admitted[offset]}" for offset, reason in sent.items() if offset in admitted],
        f"{sum(offset in admitted for offset in sent)} of {len(sent)} records, {len(attacks)} kinds",
    )  # fmt: skip
    letters = defaultdict[int, list[str]](list)
    for message in fold(stand.settings, stand.topic("artifacts.raw.dlq")):
        told = {name: value.decode() for name, value in message.headers() if name.startswith("icn_dlq_")}
        letters[int(told["icn_dlq_offset"])].append(told["icn_dlq_reason"])
        if int(told["icn_dlq_offset"]) in sent and len(checks.evidence) < 3:
            checks.evidence.append(f"{message.topic()}/{message.partition()}/{message.offset()}")
    for offset, reason in sent.items():
        checks.same("each is one dead letter, with its reason", letters[offset], [reason.partition(",")[0]], reason)
    revisions = [event for event, _ in stand.read("reputation.log") if event["node_id"] == "honest"]
    for event in revisions:
        checks.same("the honest node's reputation stays", event["score"], 0.5)


def _attacks(stand: Stand) -> dict[str, Callable[[int], Record]]:
    """What a dead letter must say -> how such a record is made. After a comma: how it differs."""
    encode = encoder("artifact")
    token = token_of(stand.settings, "mallory", 1)

    def made(number: int, node: str = "mallory", **fields: Any) -> bytes:
        return encode(artifact(number, node, content=fields.pop("content", f"forged {number}"), **fields))

    def signed(value: bytes, name: str = "mallory") -> Record:
        return name, value, [(MAC_HEADER, sign(token, name.encode(), value))]

    return {
        "bad_signature, none": lambda n: ("honest", made(n, "honest"), []),
        "bad_signature, the adversary's own for another's name": lambda n: signed(made(n, "honest"), "honest"),
        "bad_signature, of another record": lambda n: ("mallory", made(n), signed(made(n + 1))[2]),
        "bad_signature, twice": lambda n: ("mallory", made(n), signed(made(n))[2] * 2),
        "unknown_node": lambda n: signed(made(n, "nobody"), "nobody"),
        "node_mismatch": lambda n: signed(made(n, "honest")),
        "not_a_number": lambda n: signed(made(n, confidence=float("nan"))),
        "out_of_range, confidence": lambda n: signed(made(n, confidence=1e9)),
        "out_of_range, threat": lambda n: signed(made(n, threat_level=-1.0)),
        "out_of_range, id": lambda n: signed(made(n, artifact_id="x" * 5000)),
        "empty": lambda n: signed(made(n, content="")),
        "too_many_marks": lambda n: signed(made(n, content="a" + "\u0301" * (MARKS_MAX + 1))),
        "metadata_too_large": lambda n: signed(made(n, metadata={f"k{i}": "v" for i in range(500)})),
        "not_avro, cut off": lambda n: signed(made(n)[:-3]),
        "unknown_schema_id": lambda n: signed(b"\0\xff\xff\xff\xff" + bytes(n)),
        "not_avro, no wire format": lambda n: signed(b"%d" % n),
    }
