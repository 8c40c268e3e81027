"""What a collecting node says beside its artifacts: that it is there, and what came of an assignment. Signed, as artifacts are."""

from __future__ import annotations

import secrets
import time
from typing import Any

from confluent_kafka import KafkaException, Producer

from streams.codec import encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.settings import Settings
from streams.topology import Topology


class Voice:
    """One process of a node. token: 32 bytes, as registered. Nothing waits for the broker but `flush`; what could not be said by then is
    lost: a heartbeat comes again, and an assignment without a report has failed."""

    def __init__(self, topology: Topology, settings: Settings, node_id: str, token: bytes) -> None:
        self.node_id, self.key, self.token = node_id, node_id.encode(), token
        self.session = secrets.token_hex(8)
        self._said_ms = 0
        self.topics = {alias: topology.topic(alias).name for alias in ("nodes", "reports")}
        self.encode = {"nodes": encoder("node"), "reports": encoder("report")}
        self.producer = Producer(settings.librdkafka_producer(**{"client.id": f"icn-node-{node_id}"}))

    def say(self, kind: str, load: int = 0) -> None:
        """kind: started, heartbeat or stopped. load: collections it is at."""
        self._said_ms = max(self._said_ms + 1, _now_ms())  # what is not newer than the last counts nothing
        self._send("nodes", {"kind": kind, "session": self.session, "load": load, "said_at": self._said_ms})

    def report(
        self,
        assignment: str,
        target_id: str,
        outcome: str,
        artifact_count: int = 0,
        duration_ms: int = 0,
        error: str | None = None,
        simulated: bool = False,
    ) -> None:
        """outcome: success, unchanged, empty or failure; a success has at least one artifact that was admitted."""
        event: dict[str, Any] = {"assignment": assignment, "target_id": target_id, "outcome": outcome, "error": error}
        event |= {"artifact_count": artifact_count, "duration_ms": duration_ms, "ended_at": _now_ms()}
        self._send("reports", event | {"simulated": simulated})

    def _send(self, alias: str, event: dict[str, Any]) -> None:
        value = self.encode[alias]({"node_id": self.node_id, **event})
        headers = [(MAC_HEADER, sign(self.token, self.key, value))]
        try:
            self.producer.produce(self.topics[alias], value, self.key, headers=headers)
            self.producer.poll(0)
        except (BufferError, KafkaException):
            self.producer.poll(0.1)

    def flush(self, timeout_s: float) -> int:
        """How much could not be said in that time."""
        return int(self.producer.flush(timeout_s))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
