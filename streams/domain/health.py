"""How a node does: alive (it says so) is not useful (what it brings is worth something). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

LAST = 100  # attempts that count
DEGRADED_BELOW, ATTEMPTS_MIN = 0.3, 5


class Limits(NamedTuple):
    """Multiples of a tick's cadence; these are of 60 s."""

    heartbeat_ms: int = 300_000
    dead_ms: int = 3_600_000
    slow_ms: int = 60_000


A_MINUTE = Limits()


class Attempt(NamedTuple):
    """One collection that ended. success None: the source said that nothing has changed, so it is in no rate."""

    at_ms: int
    success: bool | None
    seconds: float


@dataclass(frozen=True)
class Seen:
    """What is known of a node. artifacts: admitted ones among its last; good: those unique or upgraded and not refuted."""

    heartbeat_ms: int | None
    registered: bool
    load: int
    capacity: int
    attempts: Sequence[Attempt] = ()
    artifacts: int = 0
    good: int = 0


@dataclass(frozen=True)
class Health:
    """usefulness in [0, 1]; None: it has not tried yet. state: active, busy, degraded, offline. why, advice: in words."""

    state: str
    alive: bool
    usefulness: float | None
    dead: bool
    why: str
    advice: str


def usefulness(seen: Seen, limits: Limits = A_MINUTE) -> float | None:
    """0.4 success rate + 0.4 artifact quality + 0.2 (1 - min(1, average / 60 s)), over the last 100 attempts. What has no denominator
    is 0: no evidence is bad evidence."""
    last = list(seen.attempts)[-LAST:]
    if not last:
        return None
    judged = [attempt.success for attempt in last if attempt.success is not None]
    success = sum(judged) / len(judged) if judged else 0.0
    quality = seen.good / seen.artifacts if seen.artifacts else 0.0
    return round(0.4 * success + 0.4 * quality + 0.2 * (1 - _slowness(last, limits)), 9)


def _slowness(last: Sequence[Attempt], limits: Limits) -> float:
    return min(1.0, 1000 * sum(attempt.seconds for attempt in last) / len(last) / limits.slow_ms)


def is_dead(seen: Seen, now_ms: int, limits: Limits) -> bool:
    """It tried within the hour, and for an hour nothing came of it."""
    recent = [attempt for attempt in seen.attempts if now_ms - attempt.at_ms < limits.dead_ms]
    tried = [attempt for attempt in recent if attempt.success is not None]
    first = min((attempt.at_ms for attempt in seen.attempts), default=now_ms)
    return bool(tried) and not any(attempt.success for attempt in tried) and now_ms - first >= limits.dead_ms


def health(seen: Seen, now_ms: int, limits: Limits = A_MINUTE) -> Health:
    """What state a node is in, and what to do about it. Offline: unregistered, or no heartbeat for 300 s. Degraded: dead, or less useful
    than 0.3 after at least 5 attempts. Busy: as many collections as it has capacity for."""
    alive = seen.registered and seen.heartbeat_ms is not None and now_ms - seen.heartbeat_ms < limits.heartbeat_ms
    useful, dead = usefulness(seen, limits), is_dead(seen, now_ms, limits)
    tried = sum(attempt.success is not None for attempt in list(seen.attempts)[-LAST:])
    if not seen.registered:
        return Health("offline", False, useful, dead, "it is not registered", "icn node register")
    if not alive:
        since = "never" if seen.heartbeat_ms is None else f"{(now_ms - seen.heartbeat_ms) / 1000:.0f} s ago"
        return Health("offline", False, useful, dead, f"its last heartbeat was {since}", "is icn node run alive there?")
    if dead:
        why = f"for {limits.dead_ms // 60_000} min nothing it tried succeeded"
        return Health("degraded", True, useful, True, why, "can it reach its sources?")
    if useful is not None and tried >= ATTEMPTS_MIN and useful < DEGRADED_BELOW:
        return Health(
            "degraded", True, useful, False, f"usefulness {useful:.2f}, below {DEGRADED_BELOW}", _advice(seen, limits)
        )
    if seen.load >= seen.capacity:
        return Health(
            "busy", True, useful, False, f"{seen.load} of {seen.capacity} places are taken", "raise its capacity"
        )
    return Health("active", True, useful, False, "", "")


def _advice(seen: Seen, limits: Limits) -> str:
    """For what pulls it down most."""
    last = list(seen.attempts)[-LAST:]
    judged = [attempt.success for attempt in last if attempt.success is not None]
    lost = {
        "most of its collections fail: look at their errors": 0.4 * (1 - sum(judged) / len(judged)) if judged else 0.4,
        "little of what it sends is new or true: give it other targets": 0.4 * (1 - seen.good / max(1, seen.artifacts)),
        "it is slow: give it less, or nearer targets": 0.2 * _slowness(last, limits),
    }
    return max(lost, key=lambda words: lost[words])
