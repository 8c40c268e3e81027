"""Looks at a cluster, one after another: each partition's lag in events, in seconds, as a trend, and whether it is a trouble.

A `Monitor` remembers its last looks; `read_lag` is a single one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from streams.domain.lag import (
    HELD,
    NO_COMMIT,
    OK,
    RING,
    Reading,
    age_of,
    closes_in_s,
    lag_of,
    of_readings,
    risk_of,
    velocity,
)
from streams.settings import Settings
from streams.watch.cluster import Cluster, Group, Look, Place
from streams.watch.lag import ABANDONED, CLOSED, Lag, Picture, told_of, with_hot
from streams.watch.oldest import At, Oldest

HELD_AFTER_S = 30  # twice as long as a transaction of ours may be open
ENDS = 360  # looks at an end that are remembered: an hour of one every ten seconds


class _Seen(NamedTuple):
    """A look, when what waits was written, and how much open transactions hold, since when."""

    look: Look
    written_ms: Mapping[At, int | None]
    held: Mapping[Place, int]
    held_ms: Mapping[At, int | None]


class Monitor:
    """allowed: events of lag that count as none. wanted: which groups are looked at; None: all."""

    def __init__(self, settings: Settings, allowed: int = 0, wanted: Callable[[str], bool] | None = None) -> None:
        self.cluster, self.allowed = Cluster(settings, wanted), allowed
        self.waiting_since, self.held_since = Oldest(settings), Oldest(settings, "read_uncommitted")
        self.readings: dict[str, dict[Place, deque[Reading]]] = {}  # of each group
        self.ends: dict[Place, deque[tuple[int, int]]] = {}
        self.ids: Mapping[str, str] = {}
        self.groups: Mapping[str, Group] = {}  # of the last look

    def look(self, groups: Sequence[str] = ()) -> Picture:
        """At these groups, or all; names, or patterns of a shell. Raises BrokerError."""
        began = time.monotonic()
        look = self.cluster.look(groups)
        self._remember(look)
        ends, end_of = look.ends, look.ends.get
        left = {
            name: [
                (place, offset)
                for place, offset in group.committed.items()
                if offset is None or offset != end_of(place)
            ]
            for name, group in look.groups.items()
        }
        waits = {
            (*place, offset)
            for some in left.values()
            for place, offset in some
            if offset is not None and 0 <= offset < ends.get(place, 0)
        }
        written_ms = self.waiting_since.look(waits)
        held = {
            place: look.written[place] - end for place, end in look.ends.items() if look.written.get(place, end) > end
        }
        held_ms = self.held_since.look((*place, look.ends[place]) for place in held)
        seen = _Seen(look, written_ms, held, held_ms)
        told, behind = [], {}
        before, self.readings = self.readings, {}
        for name, group in look.groups.items():
            mine, at_end = self._group(name, group, left[name], seen, before.get(name, {}))
            behind[name] = mine = with_hot(group, mine) if any(one.lag for one in mine.values()) else mine
            told.append(told_of(name, group, list(mine.values()), at_end))
        self.groups = look.groups
        return Picture(look.at_ms, time.monotonic() - began, told, behind, look)

    def _remember(self, look: Look) -> None:
        """The ends. What is gone, or was made again, has no history."""
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
        if again:
            self.readings = {
                name: {place: readings for place, readings in mine.items() if place[0] not in again}
                for name, mine in self.readings.items()
            }

    def _group(
        self,
        name: str,
        group: Group,
        left: list[tuple[Place, int | None]],
        seen: _Seen,
        before: Mapping[Place, deque[Reading]],
    ) -> tuple[dict[Place, Lag], int]:
        """Of what is not at its end, `left`, was not lately, or is held; and how many others there are."""
        self.readings[name] = readings = dict[Place, deque[Reading]]()
        found: dict[Place, Lag] = {}
        look, gone, committed = seen.look, 0, group.committed
        here = dict(left)
        for place in (*before, *seen.held):
            if place in committed:
                here.setdefault(place, committed[place])
        for place, offset in here.items():
            end = look.ends.get(place)
            if end is None:
                if place[0] in look.closed:
                    found[place] = Lag(name, *place, offset, None, None, None, None, None, None, CLOSED, group.state)
                else:
                    gone += 1
                continue
            mine = before[place] if place in before else self._from_its_end(name, place)
            mine.append(Reading(look.at_ms, offset, end, look.lows.get(place, 0)))
            if offset is None:
                found[place] = Lag(name, *place, None, end, None, None, None, None, None, NO_COMMIT, group.state)
            else:
                found[place] = self._behind(name, group, place, seen, mine)
            if not all(one.committed == one.end for one in mine):
                readings[place] = mine
        return found, len(committed) - len(found) - gone

    def _from_its_end(self, name: str, place: Place) -> deque[Reading]:
        """Of a partition that was at its end so far no reading was kept: the last one is known all the same."""
        readings = deque[Reading](maxlen=RING)
        was = self.groups.get(name)
        if was is not None and was.committed.get(place) is not None and len(self.ends[place]) > 1:
            at_ms, end = self.ends[place][-2]
            readings.append(Reading(at_ms, end, end, 0))
        return readings

    def _behind(self, name: str, group: Group, place: Place, seen: _Seen, readings: deque[Reading]) -> Lag:
        topic, partition = place
        now = readings[-1]
        assert now.committed is not None
        at, lag = (topic, partition, now.committed), lag_of(now) or 0
        if lag and at in seen.written_ms and seen.written_ms[at] is None:
            lag = 0  # only a transaction's control record is left
            readings[-1] = now = now._replace(end=now.committed)
        risk = risk_of(now)
        grows = velocity(readings) if lag else 0.0
        age = age_of(now, self.ends[place], seen.written_ms.get(at))
        status = OK
        if lag > self.allowed:
            status = of_readings(readings, self._has_owner(group, place), self.allowed)
            if group.state == "STABLE" and group.assigned and place not in group.assigned:
                status = ABANDONED
        if place in seen.held and status == OK:
            since_ms = seen.held_ms.get((topic, partition, seen.look.ends[place]))
            status = HELD if since_ms is not None and now.at_ms - since_ms > HELD_AFTER_S * 1000 else status
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
            seen.held.get(place, 0),
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


def read_lag(settings: Settings, groups: Sequence[str] = ()) -> list[Lag]:
    """The lag of these groups, or of all, at one look. Raises BrokerError."""
    return Monitor(settings).look(groups).partitions
