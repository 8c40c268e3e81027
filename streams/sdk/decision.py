"""What an author holds in the hand: a submission, which becomes a decision."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass


@dataclass(frozen=True)
class Decision:
    """What became of an artifact."""

    artifact_id: str
    outcome: str  # unique, upgraded, duplicate; rejected, dead_lettered; resent: admitted in an earlier life
    reason: str | None = None  # of a refusal: quota_exceeded, id_reused, …
    detail: str | None = None  # the same as a sentence
    canonical_id: str | None = None  # first sighting of the same content from the same source
    version: int | None = None  # of the canonical artifact, after this sighting
    retry_after_ms: int | None = None  # of quota_exceeded and intake_full
    quota_left: int | None = None  # this hour, as of the receipt
    suggestions: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether it is in the stream."""
        return self.outcome in ("unique", "upgraded", "duplicate", "resent")


@dataclass
class Standing:
    """How a node stands with the intake, as of its last receipt."""

    status: str = "normal"  # normal, constrained; unheard: sent more than once, and no receipt
    quota_left: int | None = None  # this hour; None: no limit, or not said yet


class Submission(Future[Decision]):
    """A future that resolves to the Decision. `artifact_id` is known at once; `stored` is set when the artifact can't be lost any more.

    Where the node is closed before the decision, it raises UndecidedError: the artifact is in the outbox, and is sent by the next Node of
    that id.
    """

    def __init__(self, artifact_id: str, record: bytes, at_ms: int = 0) -> None:
        super().__init__()
        self.at_ms = at_ms  # the record's time in a simulated deployment; 0: the broker's
        self.artifact_id = artifact_id
        self.record = record
        self.stored = threading.Event()
        self.admitted = False
        self.attempts = 0
        self.reported = 0  # attempts whose delivery is known to have succeeded or failed
        self.last_offset = -1  # of the copies delivered so far
        self.refused: tuple[int, Decision] | None = None  # a copy's offset, and what was said of it
        self.due = 0.0  # monotonic: when to send (again)
        self.quota_left: int | None = None

    def result(self, timeout: float | None = None) -> Decision:
        """The decision. Raises TimeoutError after so many seconds, OutboxError where it could not be stored, UndecidedError."""
        try:
            return super().result(timeout)
        except TimeoutError:
            if self.done():
                raise
            where = "admitted, not yet deduplicated" if self.admitted else f"sent {self.attempts} times, no receipt"
            raise TimeoutError(
                f"artifact {self.artifact_id}: no decision within {timeout} s ({where}); is a worker running? icn status"
            ) from None
