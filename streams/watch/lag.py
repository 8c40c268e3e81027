"""What is told of lag: of a partition, of a group, of all at one look. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from streams.domain.lag import BAD, NO_COMMIT, OK, closes_in_s, hot, of_group
from streams.watch.cluster import Group, Look, Place

ABANDONED, CLOSED = "ABANDONED", "CLOSED"


class Lag(NamedTuple):
    """One group, one partition. None: not known.

    status: OK; WARN: grows at every look; STOP: nobody works on it; STALL: somebody should, and nothing moves; REWIND: went back; HELD:
    an open transaction hides what is behind it; ABANDONED: committed once, and owned by nobody of a group that works; NO_COMMIT; CLOSED:
    not authorised; ?: behind, and not looked at often enough.
    """

    group: str
    topic: str
    partition: int
    committed: int | None
    end: int | None
    lag: int | None  # events
    lag_seconds: float | None  # age of the oldest record not committed
    lag_seconds_by: str | None  # how that is known: message (its own time), interpolation (when the end was seen there)
    growth_per_second: float | None  # of the lag; below 0 it shrinks
    closes_in_s: float | None  # None: it does not shrink
    status: str
    state: str  # of the group: STABLE, EMPTY, …
    held: int = 0  # events behind an open transaction: there, but no reader may see them. HELD: for longer than any of ours lasts
    lost: int = 0  # events that retention took before they were read
    margin: int | None = None  # events until retention takes the next one
    retention_ratio: float | None = (
        None  # share of what is kept that waits [0..1]; None: retention has taken nothing of it yet
    )
    is_hot: bool = False  # much further behind than the group's other partitions


class GroupLag(NamedTuple):
    """status: OK, WARN, ERR, NO_COMMIT or ?; of its partitions the worst, without the abandoned ones."""

    group: str
    state: str
    members: int
    status: str
    lag: int | None
    lag_seconds: float | None
    growth_per_second: float | None
    closes_in_s: float | None
    partitions: int
    without_commit: int
    bad: int  # partitions that stopped, stall, went back or are held
    lost: int
    retention_ratio: float | None  # the highest of those that are known
    error: str | None  # why it can't be looked at


class Picture(NamedTuple):
    """Of one look, with what the ones before tell. behind: the partitions of each group that are not simply at their end."""

    at_ms: int
    took_s: float
    groups: list[GroupLag]
    behind: Mapping[str, Mapping[Place, Lag]]
    look: Look

    @property
    def partitions(self) -> list[Lag]:
        """All of them. Made when asked for: most are at their end, and of a large cluster they are many."""
        return [lag for name in self.look.groups for lag in self.partitions_of(name)]

    def partitions_of(self, name: str) -> Iterator[Lag]:
        """Of one group."""
        group, behind, look = self.look.groups[name], self.behind[name], self.look
        for place in sorted(group.committed):
            if (lag := behind.get(place)) is not None:
                yield lag
            elif (end := look.ends.get(place)) is not None:  # else the topic is gone
                margin = end - look.lows.get(place, 0)
                yield Lag(name, *place, end, end, 0, 0.0, "message", 0.0, 0.0, OK, group.state, 0, 0, margin, 0.0)


def with_hot(group: Group, mine: dict[Place, Lag]) -> dict[Place, Lag]:
    """Of each topic. What is not here is at its end."""
    of_topic = Counter([topic for topic, _ in group.committed])
    for topic, count in of_topic.items():
        lagging = [place for place, one in mine.items() if place[0] == topic and one.lag]
        lags = [mine[place].lag or 0 for place in lagging]
        for at in hot(lags, count - len(lags)) if lags else ():
            mine[lagging[at]] = mine[lagging[at]]._replace(is_hot=True)
    return mine


def told_of(name: str, group: Group, mine: Sequence[Lag], at_end: int) -> GroupLag:
    """mine: what is not at its end; at_end: how many are."""
    statuses = Counter([one.status for one in mine])
    statuses[OK] += at_end
    behind = [one for one in mine if one.lag]
    known = at_end + len(mine) - statuses[NO_COMMIT] - statuses[CLOSED]
    total = sum([one.lag or 0 for one in behind]) if known else None
    grows = [one.growth_per_second for one in behind if one.growth_per_second is not None]
    growth = math.fsum(grows) if len(grows) == len(behind) else None
    ages = [0.0 if known > len(behind) else None, *(one.lag_seconds for one in behind)]
    judged = [status for status, count in statuses.items() if count and status not in (ABANDONED, CLOSED)]
    ratios = [one.retention_ratio for one in behind if one.retention_ratio is not None]
    return GroupLag(
        name,
        group.state,
        group.members,
        "?" if group.error else of_group(judged),
        total,
        max([age for age in ages if age is not None], default=None),
        growth,
        closes_in_s(total, growth),
        at_end + len(mine),
        statuses[NO_COMMIT],
        sum([statuses[bad] for bad in BAD]),
        sum([one.lost for one in behind]),
        max(ratios, default=None if total is None or behind else 0.0),
        group.error,
    )
