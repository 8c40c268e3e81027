"""What is known of one node, from what is said of it and by it. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.domain.health import LAST, Attempt, Health, Limits, Seen, health
from streams.domain.plan import Worker

UNTRIED = 0.5  # usefulness of a node that has not tried yet: as its reputation begins
NEW = ("UNIQUE", "UPGRADED")

REPEATED, STOPPED, AGAIN = "repeated", "stopped", "started again"


@dataclass
class Node:
    """capacity 0: unregistered. session: of the process that speaks for it; empty: none does."""

    generation: int = 0
    capacity: int = 0
    capabilities: frozenset[str] = frozenset()
    session: str = ""
    said_at: int = 0  # by its own clock; what is not newer was copied, and says nothing
    heartbeat_ms: int | None = None
    attempts: deque[Attempt] = field(default_factory=lambda: deque(maxlen=LAST))
    artifacts: deque[tuple[str, bool]] = field(default_factory=lambda: deque(maxlen=LAST))  # (id, was new)
    refuted: deque[str] = field(default_factory=lambda: deque(maxlen=LAST))  # ids
    probed_ms: int | None = None

    def is_registered(self, event: Mapping[str, Any]) -> None:
        """Or no longer; an older generation stays revoked."""
        if event["generation"] >= self.generation:
            self.generation = event["generation"]
            self.capacity = event["capacity"] if event["kind"] == "node_registered" else 0
            self.capabilities = frozenset(event["capabilities"])

    def says(self, event: Mapping[str, Any], at_ms: int) -> str:
        """REPEATED: an old word that counts nothing. STOPPED, AGAIN: what it was at is nobody's now. Else empty: it is there."""
        if event["said_at"] <= self.said_at:
            return REPEATED
        self.said_at = event["said_at"]
        if event["kind"] == "stopped":
            if event["session"] != self.session:
                return ""
            self.session, self.heartbeat_ms = "", None
            return STOPPED
        known, self.session, self.heartbeat_ms = self.session, event["session"], at_ms
        return "" if known == self.session else AGAIN

    def has_brought(self, artifact_id: str, decision: str) -> None:
        self.artifacts.append((artifact_id, decision in NEW))

    def has_tried(self, at_ms: int, success: bool | None, took_ms: int) -> None:
        """success None: the source said that nothing has changed."""
        self.attempts.append(Attempt(at_ms, success, took_ms / 1000))

    def health(self, load: int, now_ms: int, limits: Limits) -> Health:
        """Alive and useful, as of then. load: collections that it is at."""
        refuted = set(self.refuted)
        good = sum(new and artifact not in refuted for artifact, new in self.artifacts)
        seen = Seen(
            self.heartbeat_ms,
            self.capacity > 0,
            load,
            self.capacity,
            tuple(self.attempts),
            len(self.artifacts),
            good,
        )
        return health(seen, now_ms, limits)

    def worker(self, node_id: str, state: Health, load: int, now_ms: int, limits: Limits) -> Worker:
        """As the plan sees it. A degraded one gets a single probe from time to time."""
        free = max(0, self.capacity - load)
        if state.state == "degraded":
            probed = self.probed_ms is not None and now_ms - self.probed_ms < limits.dead_ms
            free = 0 if probed or load else 1
        useful = UNTRIED if state.usefulness is None else state.usefulness
        return Worker(node_id, self.capabilities, self.capacity, free, useful)
