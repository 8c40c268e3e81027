"""Consumer lag of every group, from looks at the cluster: in events, in seconds, as a trend, and whether it is a trouble.

A `Monitor` remembers its last looks; `read_lag` is a single one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from streams.domain.lag import (
    BAD,
    HELD,
    NO_COMMIT,
    OK,
    RING,
    Reading,
    age_of,
    closes_in_s,
    hot,
    lag_of,
    of_group,
    of_readings,
    risk_of,
    velocity,
)
from streams.settings import Settings
from streams.watch.cluster import Cluster, Group, Look, Place
from streams.watch.oldest import Oldest

HELD_AFTER_S = 30  # twice as long as a transaction of ours may be open
ENDS = 360  # looks at an end that are remembered: an hour of one every ten seconds
ABANDONED, CLOSED = "ABANDONED", "CLOSED"


@dataclass(frozen=True, slots=True)
class Lag:
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
    retention_ratio: float | None = None  # share of what is kept that waits [0..1]
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
    retention_ratio: float | None  # the highest
    error: str | None  # why it can't be looked at


class Picture(NamedTuple):
    """Of one look, with what the ones before tell."""

    at_ms: int
    took_s: float
    groups: list[GroupLag]
    partitions: list[Lag]
    look: Look


class Monitor:
    """allowed: events of lag that count as none."""

    def __init__(self, settings: Settings, allowed: int = 0) -> None:
        self.cluster, self.allowed = Cluster(settings), allowed
        self.oldest, self.open = Oldest(settings), Oldest(settings, "read_uncommitted")
        self.readings: dict[tuple[str, str, int], deque[Reading]] = {}
        self.ends: dict[Place, deque[tuple[int, int]]] = {}
        self.ids: Mapping[str, str] = {}

    def look(self, groups: Sequence[str] = ()) -> Picture:
        """At these groups, or all. Raises BrokerError."""
        began = time.monotonic()
        look = self.cluster.look(groups)
        self._remember(look)
        waits = {
            (*place, offset)
            for group in look.groups.values()
            for place, offset in group.committed.items()
            if offset is not None and 0 <= offset < look.ends.get(place, 0)
        }
        written_ms = self.oldest.look(waits)
        held = {
            place: look.written[place] - end for place, end in look.ends.items() if look.written.get(place, end) > end
        }
        held_ms = self.open.look((*place, look.ends[place]) for place in held)
        partitions: list[Lag] = []
        told = []
        for name, group in look.groups.items():
            each = [self._lag(name, group, place, look, written_ms, held, held_ms) for place in sorted(group.committed)]
            mine = _with_hot([one for one in each if one is not None])
            partitions += mine
            told.append(_group(name, group, mine))
        return Picture(look.at_ms, time.monotonic() - began, told, partitions, look)

    def _remember(self, look: Look) -> None:
        """What is gone, or was made again, has no history."""
        again = {topic for topic, id_ in look.ids.items() if self.ids.get(topic, id_) != id_}
        again |= {
            place[0] for place, seen in self.ends.items() if place in look.ends and look.ends[place] < seen[-1][1]
        }
        self.ids = look.ids
        self.ends = {
            place: self.ends[place] if place in self.ends and place[0] not in again else deque(maxlen=ENDS)
            for place in look.ends
        }
        for place, end in look.ends.items():
            self.ends[place].append((look.at_ms, end))
        before, self.readings = self.readings, {}
        for name, group in look.groups.items():
            for place, offset in group.committed.items():
                if place in look.ends:
                    key = (name, *place)
                    known = before.get(key) if place[0] not in again else None
                    self.readings[key] = readings = deque(maxlen=RING) if known is None else known
                    readings.append(Reading(look.at_ms, offset, look.ends[place], look.lows.get(place, 0)))

    def _lag(
        self,
        name: str,
        group: Group,
        place: Place,
        look: Look,
        written_ms: Mapping[tuple[str, int, int], int | None],
        held: Mapping[Place, int],
        held_ms: Mapping[tuple[str, int, int], int | None],
    ) -> Lag | None:
        topic, partition = place
        if topic in look.closed:
            return Lag(
                name, topic, partition, group.committed[place], None, None, None, None, None, None, CLOSED, group.state
            )
        readings = self.readings.get((name, *place))
        if readings is None:  # the topic is gone
            return None
        now = readings[-1]
        if now.committed is None:
            return Lag(name, topic, partition, None, now.end, None, None, None, None, None, NO_COMMIT, group.state)
        at, lag = (topic, partition, now.committed), lag_of(now) or 0
        if lag and at in written_ms and written_ms[at] is None:
            lag = 0  # only a transaction's control record is left
            readings[-1] = now = now._replace(end=now.committed)
        risk = risk_of(now)
        grows = velocity(readings) if lag else 0.0
        age = age_of(now, self.ends[place], written_ms.get(at))
        status = OK
        if lag > self.allowed:
            status = of_readings(readings, self._has_owner(group, place), self.allowed)
            if group.state == "STABLE" and group.assigned and place not in group.assigned:
                status = ABANDONED
        if place in held and status == OK:
            since_ms = held_ms.get((topic, partition, look.ends[place]))
            status = HELD if since_ms is not None and look.at_ms - since_ms > HELD_AFTER_S * 1000 else status
        return Lag(
            name,
            topic,
            partition,
            now.committed,
            now.end,
            lag,
            age and round(age.seconds, 3),
            age and age.method,
            None if grows is None else round(grows, 3),
            closes_in_s(lag, grows),
            status,
            group.state,
            held.get(place, 0),
            risk.lost if risk else 0,
            risk.margin if risk else None,
            risk.ratio if risk else None,
        )

    @staticmethod
    def _has_owner(group: Group, place: Place) -> bool:
        """While a group rebalances nobody owns anything, and nothing is wrong."""
        if group.state in ("EMPTY", "DEAD"):
            return False
        return group.state != "STABLE" or not group.assigned or place in group.assigned


def _with_hot(mine: list[Lag]) -> list[Lag]:
    """Of each topic."""
    found: set[int] = set()
    for topic in {one.topic for one in mine}:
        places = [at for at, one in enumerate(mine) if one.topic == topic and one.lag is not None]
        found |= {places[at] for at in hot([mine[place].lag or 0 for place in places])}
    return [replace(one, is_hot=True) if at in found else one for at, one in enumerate(mine)]


def _group(name: str, group: Group, mine: Sequence[Lag]) -> GroupLag:
    lags = [one.lag for one in mine if one.lag is not None]
    ages = [one.lag_seconds for one in mine if one.lag_seconds is not None]
    grows = [one.growth_per_second for one in mine if one.lag and one.growth_per_second is not None]
    growth = sum(grows) if len(grows) == sum(bool(lag) for lag in lags) else None
    total = sum(lags) if lags else None
    ratios = [one.retention_ratio for one in mine if one.retention_ratio is not None]
    return GroupLag(
        name,
        group.state,
        group.members,
        "?" if group.error else of_group([one.status for one in mine if one.status not in (ABANDONED, CLOSED)]),
        total,
        max(ages, default=None),
        growth,
        closes_in_s(total, growth),
        len(mine),
        sum(one.status == NO_COMMIT for one in mine),
        sum(one.status in BAD for one in mine),
        sum(one.lost for one in mine),
        max(ratios, default=None),
        group.error,
    )


def read_lag(settings: Settings, groups: Sequence[str] = ()) -> list[Lag]:
    """The lag of these groups, or of all, at one look. Raises BrokerError."""
    return Monitor(settings).look(groups).partitions
