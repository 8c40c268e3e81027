"""What is to be collected, and when it is due again. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import NamedTuple

RETRY_MIN_MS = 300_000


class Rules(NamedTuple):
    """When an assignment is given up. In ms; those that belong to ticks are given as multiples of the cadence by the caller."""

    silent_ms: int = 600_000  # without a result
    reassign_after: int = 3  # attempts without a success: another node
    back_off_after: int = 5  # attempts without a success: nobody, for a while
    back_off_max_ms: int = 86_400_000


class Assignment(NamedTuple):
    """Who shall collect it. id: of this one; a result that names another one is late."""

    id: str
    node_id: str
    at_ms: int


@dataclass(frozen=True)
class Target:
    """A source. interval_ms: how long what was collected is fresh; retry_ms: pause after an attempt without a success, at least 300,000."""

    type: str
    location: str
    priority: int = 5  # 1..10, 10 first
    interval_ms: int = 3_600_000
    retry_ms: int = RETRY_MIN_MS
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """First 16 hex of SHA-256(type:location)."""
        return hashlib.sha256(f"{self.type}:{self.location}".encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Progress:
    """Of one target. collected_ms: last success, or the source said that nothing has changed."""

    assignment: Assignment | None = None
    collected_ms: int | None = None
    attempts: int = 0  # without a success since then
    tried: tuple[str, ...] = field(default=())  # nodes that tried since then, and did not succeed
    not_before_ms: int = 0
    backed_off: int = 0  # times in a row


def is_due(target: Target, progress: Progress, now_ms: int, rules: Rules) -> bool:
    """Never collected, or the interval has passed, or its node has been silent for too long."""
    if progress.assignment is not None:
        return now_ms - progress.assignment.at_ms >= rules.silent_ms
    if now_ms < progress.not_before_ms:
        return False
    return progress.collected_ms is None or now_ms - progress.collected_ms >= target.interval_ms


def assigned(progress: Progress, assignment: Assignment) -> Progress:
    """It is this node's now. One that had it, and was silent, has failed."""
    if progress.assignment is not None:
        progress = _without_success(progress, progress.assignment.node_id)
    return replace(progress, assignment=assignment)


def collected(progress: Progress, now_ms: int) -> Progress:
    """A success, or unchanged; also a late one: what was collected is collected."""
    return Progress(collected_ms=now_ms)


def failed(target: Target, progress: Progress, assignment_id: str, now_ms: int, rules: Rules) -> Progress:
    """An attempt without a success. One of an assignment that was given up changes nothing: it was counted then."""
    if progress.assignment is None or progress.assignment.id != assignment_id:
        return progress
    after = _without_success(progress, progress.assignment.node_id)
    if after.attempts >= rules.back_off_after:
        pause_ms = min(rules.back_off_max_ms, max(target.interval_ms, target.retry_ms) << min(after.backed_off, 10))
        return replace(after, attempts=0, tried=(), not_before_ms=now_ms + pause_ms, backed_off=after.backed_off + 1)
    return replace(after, not_before_ms=now_ms + max(RETRY_MIN_MS, target.retry_ms))


def given_up(progress: Progress) -> Progress:
    """Its node has left: nobody's fault."""
    return replace(progress, assignment=None, not_before_ms=0)


def may_try(progress: Progress, node_id: str, rules: Rules) -> bool:
    """After so many attempts without a success, not again who has tried."""
    return progress.attempts < rules.reassign_after or node_id not in progress.tried


def _without_success(progress: Progress, node_id: str) -> Progress:
    tried = progress.tried if node_id in progress.tried else (*progress.tried, node_id)
    return replace(progress, assignment=None, attempts=progress.attempts + 1, tried=tried)
