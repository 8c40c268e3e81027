"""How much may enter in an hour. Pure; exact: no decision depends on where a batch was cut."""

from __future__ import annotations

from typing import NamedTuple

HOUR_MS = 3_600_000
OVER_A_LIMIT = ("quota_exceeded", "intake_full")  # refusals that say nothing about the artifact: it may come again


class Used(NamedTuple):
    """What one counter has seen in its hour."""

    hour: int  # hours since 1970, UTC, of broker time
    admitted: int
    refused: int  # for whatever reason


EMPTY = Used(0, 0, 0)


def in_hour(used: Used, ms: int) -> Used:
    """The counter as of this time: a new hour starts at zero. A clock that goes back stays in the later hour."""
    hour = ms // HOUR_MS
    return used if hour <= used.hour else Used(hour, 0, 0)


def may_enter(node: Used, everyone: Used, node_limit: int, global_limit: int) -> bool:
    """Both counters in their hour, both limits exact; 0 = no limit."""
    return (not node_limit or node.admitted < node_limit) and (not global_limit or everyone.admitted < global_limit)


def share_of(limit: int, partition: int, partitions: int) -> int:
    """A global limit, divided evenly: the first partitions get the remainder. 0 stays "no limit"; a share is never less than 1."""
    return max(1, limit // partitions + (partition < limit % partitions)) if limit else 0


def retry_after_ms(ms: int) -> int:
    """Distance to the next hour."""
    return HOUR_MS - ms % HOUR_MS
