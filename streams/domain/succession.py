"""Which pattern of a window is which of the window before: ids live on; births, merges, splits and deaths are told. Pure.

The two sets are matched as a whole (assignment problem, Kuhn 1955) by the cosine of their words' weights. What becomes of one that has no
match is told by its members: most of them in one pattern of the other window, or not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from streams.domain.shape import Shape

SAME_MIN = 0.5  # cosine; below it is another pattern, even where no other is left
MOST = 0.5  # more than this share of its members that are in both windows


class Change(NamedTuple):
    """kind: born, died, merged (`of` into `other`), split (`of` from `other`)."""

    kind: str
    of: int
    other: int | None = None


class Succession(NamedTuple):
    """same: index now -> index before. changes: born and split tell of indices now, died and merged of indices before; a merged one's
    `other` is an index now, a split one's an index before."""

    same: dict[int, int]
    changes: list[Change]


def succeed(before: Sequence[Shape], now: Sequence[Shape]) -> Succession:
    """Either may be empty."""
    same: dict[int, int] = {}
    if before and now:
        alike = np.array([[_cosine(a.words, b.words) for b in before] for a in now])
        for row, column in zip(*linear_sum_assignment(-alike), strict=True):
            if alike[row, column] >= SAME_MIN:
                same[int(row)] = int(column)
    lives_on = set(same.values())
    changes = []
    for index, shape in enumerate(now):
        if index not in same:
            origin = _most(shape.members, before)
            # most of its texts were there: a few old ones among many new ones are no split
            is_split = origin in lives_on and len(shape.members & before[origin].members) > MOST * len(shape.members)
            changes.append(Change("split", index, origin) if is_split else Change("born", index))
    for index, shape in enumerate(before):
        if index not in lives_on:
            heir = _most(shape.members, now)
            changes.append(
                Change("merged", index, heir) if heir is not None and heir in same else Change("died", index)
            )
    return Succession(same, changes)


def _cosine(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    if len(other) < len(one):
        one, other = other, one
    return sum(weight * other.get(word, 0.0) for word, weight in one.items())


def _most(members: frozenset[bytes], of: Sequence[Shape]) -> int | None:
    """Which of these has most of the members that any of them has."""
    where = Counter({index: len(members & shape.members) for index, shape in enumerate(of)})
    shared = sum(where.values())
    index, number = where.most_common(1)[0] if where else (0, 0)
    return index if shared and number > MOST * shared else None
