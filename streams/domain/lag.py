"""How far behind a consumer group is, whether that is a trouble, and when it will be over. Pure; times in ms, of any one clock.

Rules and their order are Burrow's (its evaluator, 2025-10); figures are those of kafka-lag-exporter, without what was wrong with them: no
commit is no figure, nothing is below 0, nothing is extrapolated.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

RING = 10  # readings, and commits, that are looked at
SAMPLES_MIN = 3  # before a trend or a verdict
HOT_SIGMAS = 2.0
HOT_PARTITIONS_MIN = 3

OK, WARN, ERR, STOP, STALL, REWIND, NO_COMMIT = "OK", "WARN", "ERR", "STOP", "STALL", "REWIND", "NO_COMMIT"
HELD = "HELD"  # an open transaction hides what is behind it
BAD = (STOP, STALL, REWIND, HELD)  # of a partition: its group is in error
# "?": behind, and not seen often enough to say more
UNKNOWN = "?"


class Commit(NamedTuple):
    """One that a group made, and what was behind it then. lag: None where the end was not known."""

    offset: int
    at_ms: int
    lag: int | None


class Reading(NamedTuple):
    """One look at a group's partition. committed: None if there is no commit. end: the first offset that its readers can't see yet. low:
    the first that retention left."""

    at_ms: int
    committed: int | None
    end: int
    low: int


def lag_of(one: Reading) -> int | None:
    """Events [0..]."""
    return None if one.committed is None else max(0, one.end - one.committed)


# -- whether it is a trouble -------------------------------------------------------------------------------------------


def of_commits(commits: Sequence[Commit], ends: Sequence[int], now_ms: int, allowed: int = 0) -> str:
    """Burrow's verdict on a partition, from the last commits and end offsets, oldest first."""
    if not commits:
        return OK
    first, last = commits[0], commits[-1]
    if max(0, (ends[-1] if ends else last.offset) - last.offset) <= allowed:
        return OK
    was_there = any(end <= last.offset for end in ends)
    if now_ms - last.at_ms > last.at_ms - first.at_ms and not was_there:
        return STOP
    if _is_rewound([one.offset for one in commits]):
        return REWIND
    lags = [one.lag for one in commits]
    if any(lag is not None and lag <= allowed for lag in lags):
        return OK
    if all(one.offset == first.offset for one in commits):
        return STALL
    return OK if _shrinks(lags) else WARN


def of_readings(readings: Sequence[Reading], has_owner: bool, allowed: int = 0) -> str:
    """The same where only the committed offset is seen, not when it was committed: one that doesn't move has stopped if nobody owns its
    partition, and stalls if somebody does."""
    last = readings[-1]
    if last.committed is None:
        return NO_COMMIT
    if last.end - last.committed <= allowed:
        return OK
    offsets = [one.committed for one in readings if one.committed is not None]
    if not has_owner and (len(offsets) < SAMPLES_MIN or offsets[-1] == offsets[0]):
        return STOP
    if _is_rewound(offsets):
        return REWIND
    if len(offsets) < SAMPLES_MIN:
        return UNKNOWN
    lags = [lag_of(one) for one in readings]
    if any(lag is not None and lag <= allowed for lag in lags):
        return OK
    if offsets[-1] == offsets[0]:
        return STALL
    return OK if _shrinks(lags) else WARN


def _is_rewound(offsets: Sequence[int]) -> bool:
    """Somewhere it went back, and has not been since where it was before."""
    return any(offsets[at] < offsets[at - 1] and max(offsets[at:]) < offsets[at - 1] for at in range(1, len(offsets)))


def _shrinks(lags: Sequence[int | None]) -> bool:
    known = [lag for lag in lags if lag is not None]
    return any(later < earlier for earlier, later in pairwise(known))


def of_group(statuses: Sequence[str]) -> str:
    """Of its partitions' the worst, as Burrow has it: what stopped, stalls or went back makes ERR."""
    for bad, named in ((BAD, ERR), ((WARN,), WARN), ((UNKNOWN,), UNKNOWN)):
        if any(status in bad for status in statuses):
            return named
    return NO_COMMIT if statuses and all(status == NO_COMMIT for status in statuses) else OK


# -- when it will be over ----------------------------------------------------------------------------------------------


def velocity(readings: Sequence[Reading]) -> float | None:
    """Events a second by which the lag grows; below 0 it shrinks. Least squares; None before three readings at different times."""
    first, last = readings[0], readings[-1]
    if (
        len(readings) >= SAMPLES_MIN
        and first.committed is not None
        and (first.committed, first.end) == (last.committed, last.end)
    ):
        return 0.0  # it stands where it stood
    lags = [max(0, one.end - one.committed) for one in readings if one.committed is not None]
    if len(lags) < SAMPLES_MIN:
        return None
    if lags.count(lags[0]) == len(lags):
        return 0.0
    points = list(zip([one.at_ms / 1000 for one in readings if one.committed is not None], lags, strict=True))
    middle_s, middle = sum(at for at, _ in points) / len(points), sum(lag for _, lag in points) / len(points)
    spread = sum((at - middle_s) ** 2 for at, _ in points)
    return sum((at - middle_s) * (lag - middle) for at, lag in points) / spread if spread else None


def closes_in_s(lag: int | None, grows: float | None) -> float | None:
    """Seconds until nothing is left; None: it does not shrink."""
    if lag == 0:
        return 0.0
    return lag / -grows if lag and grows is not None and grows < 0 else None


# -- how old what waits is ---------------------------------------------------------------------------------------------


class Age(NamedTuple):
    """method: message: of the record itself; interpolation: between two looks at the end."""

    seconds: float
    method: str


def age_of(one: Reading, ends: Sequence[tuple[int, int]], record_ms: int | None) -> Age | None:
    """Of the oldest record that waits, at the time of the reading: by its own time, else by when the end was seen. ends: (at_ms, end),
    oldest first. None: it came before the first look, and only a guess could tell; the rate of now says nothing of then."""
    lag = lag_of(one)
    if lag is None or one.committed is None:
        return None
    if lag == 0:
        return Age(0.0, "message")
    if record_ms is not None:
        return Age(max(0.0, (one.at_ms - record_ms) / 1000), "message")
    at = bisect_right(ends, one.committed, key=lambda seen: seen[1])
    if not 0 < at < len(ends):
        return None
    (earlier_ms, earlier), (later_ms, later) = ends[at - 1], ends[at]  # the record was written between these two looks
    written_ms = earlier_ms + (one.committed - earlier) / (later - earlier) * (later_ms - earlier_ms)
    return Age(max(0.0, (one.at_ms - written_ms) / 1000), "interpolation")


# -- retention and skew ------------------------------------------------------------------------------------------------


class Risk(NamedTuple):
    """lost: events that retention took before they were read. margin: events until it takes the next one. ratio: share of what is kept that
    waits [0..1]; None: retention has taken nothing yet, so what is kept says nothing of what it keeps."""

    lost: int
    margin: int
    ratio: float | None


def risk_of(one: Reading) -> Risk | None:
    if one.committed is None:
        return None
    kept = one.end - one.low
    lag = min(lag_of(one) or 0, max(0, kept))
    ratio = 0.0 if lag == 0 else lag / kept if one.low > 0 else None
    return Risk(max(0, one.low - one.committed), max(0, one.committed - one.low), ratio)


def hot(lags: Sequence[int], others: int = 0) -> list[int]:
    """Places of those that are further behind than the mean and two standard deviations of all; of at least three. others: how many more
    there are, with nothing behind."""
    number = len(lags) + others
    if number < HOT_PARTITIONS_MIN:
        return []
    mean = sum(lags) / number
    above = mean + HOT_SIGMAS * math.sqrt(max(0.0, math.fsum([lag * lag for lag in lags]) / number - mean * mean))
    return [at for at, lag in enumerate(lags) if lag > above and lag > 0]
