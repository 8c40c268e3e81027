"""A judge: says whether an artifact is true, and learns whether that counted.

with Judge("carol") as judge:
    vote = judge.refute("01a20a78-0210-7442-be27-0b336a1afcce", reason="a clean installer")
    print(vote.weight, vote.ignored)
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from confluent_kafka import Consumer, Producer

from streams.broker.registrations import JUDGE, kept_token
from streams.broker.topics import ends, fold
from streams.codec import Undecodable, decoder, encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.errors import BrokerError, IcnError
from streams.registry_client import adopt_ids
from streams.sdk.artifacts import uuid7, uuid7_ms
from streams.sdk.trace import headers_of
from streams.settings import Settings, read_settings
from streams.topology import Topology, load

CLOCK_SKEW_MS = 600_000  # between the node that made an id and the broker
OUTCOMES = ("confirmed", "refuted", "unclear")
OF_ARTIFACT = ("node_id", "artifact_id", "dedup_hash", "confidence", "simulated", "raw_partition", "raw_offset", "seal")


@dataclass(frozen=True)
class Decided:
    """A decision, and where it is."""

    partition: int
    offset: int
    content_hash: bytes
    event: dict[str, Any]


@dataclass(frozen=True)
class Vote:
    """What became of a verdict."""

    verdict_id: str
    node_id: str
    artifact_id: str
    outcome: str
    weight: float  # [0..1]; 0: counts nothing
    tested: bool  # whether the node's claimed confidence was tested against it
    ignored: str | None  # why it counts nothing
    detail: str | None  # the same as a sentence
    at: str  # coordinates of the verdict


def decisions(topology: Topology, settings: Settings, artifact_id: str) -> Iterator[Decided]:
    """Every decision on the artifacts of this id; `<id>_v2` is the one that made version 2. Newest last within a partition."""
    base, _, version = artifact_id.partition("_v")
    made_ms = uuid7_ms(base)
    since_ms = None if made_ms is None else max(0, made_ms - CLOCK_SKEW_MS)
    decode = decoder("decided")
    for message in fold(settings, topology.topic("artifacts.decided").name, since_ms=since_ms):
        try:
            event = decode(message.value() or b"")
        except Undecodable:  # not ours; icn replay says where it is
            continue
        if version.isdecimal():
            found = (
                event["canonical_id"] == base and event["version"] == int(version) and event["decision"] == "UPGRADED"
            )
        else:
            found = event["facts"]["artifact_id"] == artifact_id
        if found:
            yield Decided(message.partition(), message.offset(), message.key(), event)


class Judge:
    """Who gives verdicts. name: as registered (icn judge register). token: 64 hex; default: from the state folder.

    Raises IcnError: no token, no broker.
    """

    def __init__(
        self,
        name: str,
        *,
        broker: str | None = None,
        token: str | None = None,
        state: str | Path | None = None,
        topology: Topology | None = None,
    ) -> None:
        self.name, self.topology = name, topology or load()
        self.settings = read_settings(self.topology, brokers=broker, state=None if state is None else str(state))
        self.settings.require_brokers()
        adopt_ids(self.topology, self.settings)
        self._token = kept_token(self.settings, name, token, JUDGE)
        self._encode, self._decode = encoder("verdict"), decoder("vote")
        self._producer = Producer(self.settings.librdkafka_producer(**{"delivery.timeout.ms": 30_000}))

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(30)

    def confirm(self, artifact_id: str, reason: str | None = None, node_id: str | None = None) -> Vote:
        """It is true. node_id: whose, where several nodes used the same id. Raises IcnError; see `say`."""
        return self.say(self.find(artifact_id, node_id), "confirmed", reason)

    def refute(self, artifact_id: str, reason: str | None = None, node_id: str | None = None) -> Vote:
        """It is false."""
        return self.say(self.find(artifact_id, node_id), "refuted", reason)

    def find(self, artifact_id: str, node_id: str | None = None) -> Decided:
        """The decision on an artifact. Raises IcnError where there is none, or several nodes' are called so."""
        found = {
            decided.event["facts"]["node_id"]: decided
            for decided in decisions(self.topology, self.settings, artifact_id)
            if node_id in (None, decided.event["facts"]["node_id"])
        }
        if not found:
            raise IcnError(
                f"no decision on artifact {artifact_id}{f' of {node_id}' if node_id else ''}",
                "is the id right (icn top, icn receipts)? what was sent just now is decided in a moment",
            )
        if len(found) > 1:
            raise IcnError(f"artifacts of {', '.join(sorted(found))} have the id {artifact_id}", "say which: --node")
        return next(iter(found.values()))

    def say(self, decided: Decided, outcome: str, reason: str | None = None, timeout_s: float = 10) -> Vote:
        """Send a verdict, and wait until it has counted, or not. outcome: confirmed, refuted or unclear, which counts nothing.

        Raises BrokerError where it can't be written, IcnError where nobody reads it in time (it will count when somebody does), or the
        token is not in force.
        """
        votes = self.topology.topic("votes").name
        start = self._end_of(votes)
        partition, offset = self._send(self._verdict(decided, outcome, reason))
        deadline = time.monotonic() + timeout_s
        at = f"{self.topology.topic('verdicts').name}/{partition}/{offset}"
        while time.monotonic() < deadline:
            for message in fold(self.settings, votes, start=start):
                try:
                    vote = self._decode(message.value() or b"")
                except Undecodable:
                    continue
                if (vote["input_partition"], vote["input_offset"]) == (partition, offset):
                    return Vote(
                        **{name: vote[name] for name in Vote.__dataclass_fields__ if name != "at"},
                        at=at,
                    )
            time.sleep(0.2)
        raise IcnError(
            f"the verdict is written ({at}), but nobody has counted it within {timeout_s:.0f} s",
            "is s3 running (icn status)? is this judge registered and its token in force (icn judge list, icn dlq list)?",
        )

    def _end_of(self, topic: str) -> dict[int, int]:
        consumer = Consumer(self.settings.librdkafka_reader())
        try:
            return {partition: end for partition, (_, end) in ends(consumer, topic).items()}
        finally:
            consumer.close()

    def answer(self, scenario: Mapping[str, Any], outcome: str, weight: float = 1.0, reason: str | None = None) -> str:
        """A verdict on what was fed, as phoenix.feed has it; its verdict_id. Whether it counts is on the topic votes.
        weight: how sure the judge is [0..1].

        Raises BrokerError where it can't be written, IcnError where outcome or weight are none.
        """
        is_weight = isinstance(weight, int | float) and not isinstance(weight, bool) and 0 <= weight <= 1
        if outcome not in OUTCOMES or not is_weight:
            raise IcnError(
                f"outcome {outcome!r}, weight {weight!r}: no verdict",
                f"one of {', '.join(OUTCOMES)}; a number in [0, 1]",
            )
        if not (reason is None or isinstance(reason, str)):
            raise IcnError(f"reason {reason!r}: no text", "a sentence for whoever reads the verdict, or None")
        reason = reason and reason.encode(errors="replace").decode()
        verdict = self._of(
            outcome,
            reason,
            {
                name: scenario[name]
                for name in ("node_id", "dedup_hash", "confidence", "simulated", "raw_partition", "raw_offset")
            },
            artifact_id=scenario["sent_id"],
            seal=scenario["facts_seal"],
            content_hash=scenario["content_hash"],
            decided_partition=scenario["decided_partition"],
            decided_offset=scenario["decided_offset"],
            weight=weight,
            scenario_id=scenario["scenario_id"],
            scenario_slot_ms=scenario["slot_ms"],
            scenario_seal=scenario["seal"],
        )
        self._send(verdict)
        return str(verdict["verdict_id"])

    def _verdict(self, decided: Decided, outcome: str, reason: str | None) -> dict[str, Any]:
        facts = {name: decided.event["facts"][name] for name in OF_ARTIFACT}
        place = {"decided_partition": decided.partition, "decided_offset": decided.offset}
        return self._of(outcome, reason, facts, content_hash=decided.content_hash, **place)

    def _of(self, outcome: str, reason: str | None, facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        about = {"verdict_id": uuid7(), "judge": self.name, "outcome": outcome, "reason": reason}
        return {**about, "judged_at": time.time_ns() // 1_000_000, **facts, **more}

    def _send(self, verdict: dict[str, Any]) -> tuple[int, int]:
        value, told = self._encode(verdict), list[Any]()
        headers = [
            *headers_of("icn.verdict", f"/{self.topology.deployment}/judges/{self.name}", verdict["verdict_id"]),
            (MAC_HEADER, sign(self._token, self.name.encode(), value)),
        ]
        self._producer.produce(
            self.topology.topic("verdicts").name,
            value,
            verdict["node_id"].encode(),
            headers=headers,
            on_delivery=lambda error, message: told.append((error, message)),
        )
        self._producer.flush(35)
        if not told or told[0][0] is not None:
            raise BrokerError(
                f"the verdict was not written: {told[0][0].str() if told else 'the broker did not answer'}",
                "icn broker status",
            )
        return told[0][1].partition(), told[0][1].offset()
