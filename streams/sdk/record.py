"""What a node says of itself in the audit log: that it ran, what it had to send again, what broke. Counted by the minute."""

from __future__ import annotations

import time
from typing import Any

from streams.audit.record.events import COLLECTION_ENDS, Event
from streams.audit.record.log import AuditLog
from streams.audit.record.process import try_process_log
from streams.settings import Settings
from streams.topology import Topology

EVERY_S = 60.0
GOODBYE_S = 2.0  # for the last records to reach Kafka; else the next node of this id sends them


class NodeRecord:
    """One run of a node. Without a log (another process has the name, the disk is full) it goes on, and says so."""

    def __init__(self, topology: Topology, settings: Settings, node_id: str) -> None:
        self.node_id = node_id
        self._audit: AuditLog | None = try_process_log(topology, settings, f"node-{node_id}")
        self._retried, self._told_at = 0, time.monotonic()

    def sent_again(self) -> None:
        """An artifact: its receipt said "later", or none came."""
        self._retried += 1

    def tell(self, always: bool = False) -> None:
        """Write the count, once a minute."""
        if not always and time.monotonic() - self._told_at < EVERY_S:
            return
        self._told_at = time.monotonic()
        if self._retried and self._audit is not None:
            self._audit.write(Event("backpressure_retry", artifact_count=self._retried, node_id=self.node_id))
        self._retried = 0

    def collection_began(self, tick: int, target_id: str, attempt: int) -> None:
        """A job of a tick, as whoever emits the ticks counts it; before its schedule begins nothing is told."""
        if self._audit is not None and tick >= 0:
            self._audit.write(
                Event("collection_start", tick, target_id, attempt, node_id=self.node_id, target_id=target_id)
            )

    def collection_ended(
        self, tick: int, target_id: str, attempt: int, outcome: str, artifacts: int, took_ns: int, error: str | None
    ) -> None:
        """outcome: success, unchanged, empty or failure."""
        if self._audit is None or tick < 0:
            return
        type_, success = COLLECTION_ENDS[outcome]
        more: dict[str, Any] = {"node_id": self.node_id, "target_id": target_id, "error": error}
        self._audit.write(Event(type_, tick, target_id, attempt, success, took_ns, artifacts, **more))

    def failed(self, error: BaseException) -> None:
        """It can't go on."""
        if self._audit is not None:
            self._audit.write(Event("exception", node_id=self.node_id, error=f"{type(error).__name__}: {error}"[:1000]))

    def close(self) -> None:
        self.tell(always=True)
        if self._audit is not None:
            self._audit.close(0, GOODBYE_S)
