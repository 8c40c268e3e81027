"""A minute's choice among what the gate lets pass: as urgent as can be, and as unlike what was fed. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.diversity import Newness, nearest, points, telling
from streams.domain.gate import HOUR_MS, OPEN, Fed, Rules, Windows
from streams.domain.priority import published
from streams.domain.waiting import MICRO, NEVER, Flags, Longs, Waiting, best, rank

SAMPLE = 2_000  # of all that wait: in their terms texts are compared
OF_A_DOMAIN = 10  # of each domain whose turn it is so many are in the pool


class Choice(NamedTuple):
    """similarity: to what was fed in the day before; rank: [1..] by priority among all that wait."""

    dedup_hash: bytes
    score: float
    rank: int
    similarity: float


@dataclass
class State:
    """What a choice is made of. input_of: dedup_hashes -> what trainers would see of each. salt: 64 bits that nobody can guess, or whoever
    sends much gets into the sample what it likes. covers: each domain has its turn within an hour."""

    rules: Rules
    input_of: Callable[[Sequence[bytes]], Sequence[str]]
    salt: int = 0
    covers: bool = True
    waiting: Waiting = field(init=False)
    windows: Windows = field(init=False)

    def __post_init__(self) -> None:
        self.waiting, self.windows = Waiting(self.rules.candidates_ms), Windows(self.rules)


class Round:
    """A minute's choice. Domains of which nothing was fed for an hour are due: while there are as many of them as the hour has room for, it
    is their turn."""

    def __init__(self, state: State, slot_ms: int, order: Longs, is_open: Flags) -> None:
        self.state, self.slot_ms, self.order = state, slot_ms, order
        waiting = state.waiting
        self.due = self._due(is_open) if state.covers else []
        parts = [best(np.flatnonzero(is_open), order, waiting["tie"], state.rules.pool)]
        parts += [
            best(np.flatnonzero(is_open & (waiting["domain"] == domain)), order, waiting["tie"], OF_A_DOMAIN)
            for domain in self.due
        ]
        pool = np.unique(np.concatenate(parts))
        self.pool = best(pool, order, waiting["tie"], len(pool))
        waits = np.flatnonzero((order != NEVER) & (waiting.finals() == OPEN))
        self.sample = _sample(waits, waiting["tie"] ^ np.uint64(state.salt))

    def _due(self, is_open: Flags) -> list[int]:
        """Domains, no more than the hour has room for, those first that have waited longest. A domain's turn is at the expense of the node,
        of those with something of it, that was fed least in the hour; where all of them had their share of it, it has none. So it brings
        a node nothing to invent domains."""
        waiting, windows, there = self.state.waiting, self.state.windows, np.flatnonzero(is_open)
        pairs = np.unique(waiting["domain"][there].astype(np.int64) << 32 | waiting["node"][there])
        nodes_of = defaultdict[int, list[int]](list)
        for domain, node in zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
            nodes_of[domain].append(node)
        fed_ms = {domain: windows.fed_ms.get(waiting.domains.names[domain], NEVER) for domain in nodes_of}
        due = [domain for domain, at_ms in fed_ms.items() if at_ms < self.slot_ms - HOUR_MS]
        had = windows.in_the_hour(self.slot_ms)
        share = self.state.rules.per_hour / max(1, len(np.unique(pairs & 0xFFFFFFFF)))
        turns: list[tuple[int, int, int]] = []
        for domain in sorted(due, key=lambda one: (fed_ms[one], waiting.domains.names[one])):
            node = min((waiting.nodes.names[one] for one in nodes_of[domain]), key=lambda name: (had[name], name))
            if had[node] < share:
                had[node] += 1
                turns.append((had[node], len(turns), domain))
        return [domain for _, _, domain in sorted(turns)[: windows.left(self.slot_ms)]]

    def choose(self, room: int) -> list[Choice]:
        state, waiting, pool = self.state, self.state.waiting, self.pool
        if not len(pool):
            return []
        sample, texts = (list(state.input_of([waiting.keys[at] for at in of.tolist()])) for of in (self.sample, pool))
        _, here, before = points(sample, texts, [one.input for one in state.windows.day])
        newness = Newness(here, before, telling(texts))
        worth = np.log(2) * (self.order[pool] - self.order[pool[0]]) / MICRO  # ln(score / score of the best)
        left = np.ones(len(pool), bool)
        picked: list[int] = []
        windows = _Growing(state.windows)
        due, hour = set(self.due), state.windows.left(self.slot_ms)
        while len(picked) < room:
            possible = left & windows.lets_pass(waiting, pool, self.slot_ms)
            turn = possible & np.isin(waiting["domain"][pool], list(due))
            if len(due) >= hour - len(picked) and turn.any():
                possible = turn
            if not possible.any():
                break
            gain = state.rules.relevance * worth + (1 - state.rules.relevance) * np.log(newness.distance())
            at = int(np.argmax(np.where(possible, gain, -np.inf)))
            picked.append(at)
            due.discard(int(waiting["domain"][pool[at]]))
            left &= waiting["novelty"][pool] != waiting["novelty"][pool[at]]
            windows.add(waiting, int(pool[at]), self.slot_ms)
            newness.said(at)
        similarity = nearest(here[picked], before)
        return [self._choice(int(pool[at]), float(one)) for at, one in zip(picked, similarity, strict=True)]

    def _choice(self, at: int, similarity: float) -> Choice:
        score = 2.0 ** min(0.0, int(self.order[at]) / MICRO - self.slot_ms / self.state.rules.half_life_ms)
        return Choice(self.state.waiting.keys[at], published(score), rank(self.order, at), published(similarity))


class _Growing:
    """The windows as they are with what this round has chosen so far."""

    def __init__(self, windows: Windows) -> None:
        self.windows = Windows(windows.rules)
        self.windows.last.extend(windows.last)

    def add(self, waiting: Waiting, at: int, slot_ms: int) -> None:
        self.windows.last.append(Fed(slot_ms, *waiting.names_of(at), 0, (), ""))

    def lets_pass(self, waiting: Waiting, pool: Longs, slot_ms: int) -> Flags:
        """(pool,)."""
        full = self.windows.full(slot_ms)
        refused = np.zeros(len(pool), bool)
        for column, names in (("domain", waiting.domains), ("node", waiting.nodes), ("content_type", waiting.types)):
            refused |= names.flags(full[column])[waiting[column][pool]]
        return ~refused


def _sample(places: Longs, lot: npt.NDArray[np.uint64]) -> Longs:
    """By chance, but whoever is in it stays there while it waits."""
    if len(places) > SAMPLE:
        places = places[np.argpartition(lot[places], SAMPLE)[:SAMPLE]]
    return places[np.argsort(lot[places])]
