"""What is to be collected, and when it is due again. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple


class Rules(NamedTuple):
    """When an assignment is given up. In ms; those that belong to ticks are given as multiples of the cadence by the caller."""

    silent_ms: int = 600_000  # without a result
    reassign_after: int = 3  # attempts without a success: another node
    back_off_after: int = 5  # attempts without a success: nobody, for a while
    back_off_max_ms: int = 86_400_000
    retry_min_ms: int = 300_000  # after an attempt without a success


class Assignment(NamedTuple):
    """Who shall collect it. id: of this one; a result that names another one is late."""

    id: str
    node_id: str
    at_ms: int


@dataclass(frozen=True)
class Target:
    """A source. interval_ms: how long what was collected is fresh; retry_ms: pause after an attempt without a success, at least the rules'
    own."""

    type: str
    location: str
    priority: int = 5  # 1..10, 10 first
    interval_ms: int = 3_600_000
    retry_ms: int = 300_000
    metadata: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        """First 16 hex of SHA-256(type:location)."""
        return hashlib.sha256(f"{self.type}:{self.location}".encode()).hexdigest()[:16]


def target_of(event: Mapping[str, Any]) -> Target:
    """As schemas/target.avsc has it."""
    return Target(
        event["type"],
        event["location"],
        event["priority"],
        event["interval_ms"],
        event["retry_ms"],
        tuple(sorted(event["metadata"].items())),
    )


@dataclass(frozen=True)
class Progress:
    """Of one target. collected_ms: last success, or the source said that nothing has changed."""

    assignment: Assignment | None = None
    collected_ms: int | None = None
    attempts: int = 0  # without a success since then
    tried: tuple[str, ...] = field(default=())  # nodes that tried since then, and did not succeed
    not_before_ms: int = 0
    backed_off: int = 0  # times in a row


def is_due(target: Target, progress: Progress, now_ms: int) -> bool:
    """Nobody has it, and it was never collected, or its interval has passed."""
    if progress.assignment is not None or now_ms < progress.not_before_ms:
        return False
    return progress.collected_ms is None or now_ms - progress.collected_ms >= target.interval_ms


def assigned(progress: Progress, assignment: Assignment) -> Progress:
    """It is this node's now."""
    return replace(progress, assignment=assignment)


def collected(progress: Progress, assignment_id: str, slot_ms: int) -> Progress:
    """A success, or unchanged; also a late one: what was collected is collected, while who has it now still has it. slot_ms: of the tick it
    was assigned in, so that a target of every hour stays one of every hour, however long it takes."""
    assignment = progress.assignment
    if assignment is not None and assignment.id == assignment_id:
        assignment = None
    return Progress(assignment, max(slot_ms, progress.collected_ms or 0))


def failed(
    target: Target, progress: Progress, assignment_id: str, now_ms: int, rules: Rules, at_once: bool = False
) -> Progress:
    """An attempt without a success. at_once: its node was silent, so another need not wait for the retry. One of an assignment that was
    given up changes nothing: it was counted then."""
    if progress.assignment is None or progress.assignment.id != assignment_id:
        return progress
    node_id = progress.assignment.node_id
    tried = progress.tried if node_id in progress.tried else (*progress.tried, node_id)
    after = replace(progress, assignment=None, attempts=progress.attempts + 1, tried=tried)
    if after.attempts >= rules.back_off_after:
        pause_ms = min(rules.back_off_max_ms, max(target.interval_ms, target.retry_ms) << min(after.backed_off, 10))
        return replace(after, attempts=0, tried=(), not_before_ms=now_ms + pause_ms, backed_off=after.backed_off + 1)
    return replace(after, not_before_ms=now_ms + (0 if at_once else max(rules.retry_min_ms, target.retry_ms)))


def given_up(progress: Progress, assignment_id: str) -> Progress:
    """Its node has left: nobody's fault."""
    if progress.assignment is None or progress.assignment.id != assignment_id:
        return progress
    return replace(progress, assignment=None, not_before_ms=0)


def may_try(progress: Progress, node_id: str, rules: Rules) -> bool:
    """After so many attempts without a success, not again who has tried."""
    return progress.attempts < rules.reassign_after or node_id not in progress.tried
