"""What is fed to trainers, a minute at a time: from the top of the priorities down, past what the gate refuses, not all of one kind. Pure.

State is a fold: of what stages say of artifacts and nodes, and of what was fed and refused. `choose` changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.diversity import Newness, nearest, points, telling
from streams.domain.gate import (
    CONTENT_TYPE,
    DOMAIN,
    FINAL,
    HOUR,
    HOUR_MS,
    NODE,
    NOVELTY,
    OPEN,
    REASONS,
    REPUTATION,
    SCORE,
    Fed,
    Rules,
    Windows,
)
from streams.domain.priority import published
from streams.domain.waiting import MICRO, NEVER, Flags, Known, Longs, Waiting

TOLD_MAX = 500  # refusals in one round; the rest is for the next ones
SAMPLE = 2_000  # of all that wait: in their terms texts are compared
OF_A_DOMAIN = 10  # of each domain whose turn it is so many are in the pool
STARVING_MAX = 20

Reasons = npt.NDArray[np.int8]


class Choice(NamedTuple):
    """similarity: to what was fed in the day before; rank: [1..] by priority among all that wait."""

    dedup_hash: bytes
    score: float
    rank: int
    similarity: float


class Refused(NamedTuple):
    dedup_hash: bytes
    reason: str
    final: bool
    rank: int


class Starving(NamedTuple):
    domain: str
    waiting: int
    since_ms: int
    reason: str


class Domains(NamedTuple):
    """waiting, starving: how many; longest: of the starving ones at most 20, the longest first."""

    waiting: int
    starving: int
    longest: list[Starving]


class Chosen(NamedTuple):
    """refused: of all that wait, by reason, as the gate stood before."""

    choices: list[Choice]
    told: list[Refused]
    refused: dict[str, int]


class Feed:
    """The state. input_of: dedup_hashes -> what trainers would see of each. salt: 64 bits that nobody can guess, or whoever sends much gets
    into the sample what it likes. covers: each domain has its turn within an hour."""

    def __init__(
        self,
        rules: Rules,
        input_of: Callable[[Sequence[bytes]], Sequence[str]],
        salt: int = 0,
        covers: bool = True,
    ) -> None:
        self.rules, self.input_of, self.covers, self.salt = rules, input_of, covers, np.uint64(salt)
        self.waiting, self.windows = Waiting(rules.candidates_ms), Windows(rules)

    # -- the fold -----------------------------------------------------------

    def decided(self, one: Known, is_new: bool) -> None:
        self.waiting.decided(one, is_new)
        if is_new and (one.novelty in self.windows.known or one.dedup_hash in self.windows.known):
            self.waiting["final"][self.waiting.at[one.dedup_hash]] = NOVELTY

    def fed(self, dedup_hash: bytes, fed: Fed) -> None:
        self.windows.add(dedup_hash, fed)
        self.waiting.gone(dedup_hash)
        same = self.waiting["is_here"] & (self.waiting["novelty"] == np.uint64(fed.novelty))
        self.waiting["final"][same] = NOVELTY

    def refused(self, dedup_hash: bytes, reason: str) -> None:
        if (at := self.waiting.at.get(dedup_hash)) is not None and reason in REASONS:
            self.waiting["told"][at] = REASONS.index(reason)

    # -- a round ------------------------------------------------------------

    def choose(self, slot_ms: int) -> Chosen:
        """What to feed in this minute, best first, and whom to tell that it isn't fed, and why."""
        waiting = self.waiting
        order = waiting.order()
        here = (order != NEVER) & (waiting["raw_ms"] <= slot_ms)
        order = np.where(here, order, NEVER)
        reasons = self._reasons(slot_ms, order)
        room = min(self.rules.per_round, self.windows.left(slot_ms))
        choices = _Round(self, slot_ms, order, here & (reasons == OPEN)).choose(room) if room else []
        reached = [waiting.at[one.dedup_hash] for one in choices]
        if room == 0:
            reached = _best(
                np.flatnonzero(here & (reasons == OPEN)), order, waiting["tie"], self.rules.per_round
            ).tolist()
            reasons[reached] = HOUR
        passed = here & (reasons != OPEN) & (reasons != waiting["told"])
        if len(reached) >= (room or self.rules.per_round):  # the others' turn did not come
            passed &= order >= order[reached].min()
        told = [
            Refused(waiting.keys[at], REASONS[reasons[at]], int(reasons[at]) in FINAL, _rank(order, at))
            for at in _best(np.flatnonzero(passed), order, waiting["tie"], TOLD_MAX).tolist()
        ]
        counts = np.bincount(reasons[here], minlength=len(REASONS)).tolist()
        return Chosen(choices, told, {REASONS[n]: count for n, count in enumerate(counts) if count and n != OPEN})

    def domains(self, slot_ms: int) -> Domains:
        """Which wait, and which of them though nothing of them was fed for an hour."""
        waiting = self.waiting
        order = np.where(waiting["raw_ms"] <= slot_ms, waiting.order(), NEVER)
        reasons = self._reasons(slot_ms, order)
        waits = np.flatnonzero((order != NEVER) & ~np.isin(reasons, FINAL))
        domains = waiting["domain"][waits]
        counts = np.bincount(domains, minlength=len(waiting.domains.names))
        oldest = np.full(len(counts), np.iinfo(np.int64).max)
        np.minimum.at(oldest, domains, waiting["raw_ms"][waits])
        found = []
        for domain in np.flatnonzero(counts).tolist():
            name = waiting.domains.names[domain]
            since_ms = max(self.windows.fed_ms.get(name, 0), int(oldest[domain]))
            if since_ms < slot_ms - HOUR_MS:
                found.append((since_ms, name, domain))
        told = []
        for since_ms, name, domain in sorted(found)[:STARVING_MAX]:
            (first,) = _best(waits[domains == domain], order, waiting["tie"], 1).tolist()
            told.append(Starving(name, int(counts[domain]), since_ms, REASONS[reasons[first]]))
        return Domains(int(np.count_nonzero(counts)), len(found), told)

    def opens_ms(self, slot_ms: int) -> int | None:
        """When the windows let the first of what waits pass, if nothing is fed until then; None: nothing waits that only they hold back."""
        waiting = self.waiting
        order = np.where(waiting["raw_ms"] <= slot_ms, waiting.order(), NEVER)
        held = np.flatnonzero(
            (order != NEVER) & np.isin(self._reasons(slot_ms, order), (OPEN, DOMAIN, NODE, CONTENT_TYPE))
        )
        if not len(held):
            return None
        opens = np.full(len(held), self.windows.hour_opens_ms(slot_ms), np.int64)
        for column, names in (("domain", waiting.domains), ("node", waiting.nodes), ("content_type", waiting.types)):
            of_name = np.zeros(len(names.names), np.int64)
            for name, at_ms in self.windows.opens_ms(slot_ms)[column].items():
                if name in names.number:
                    of_name[names.number[name]] = at_ms
            opens = np.maximum(opens, of_name[waiting[column][held]])
        return -(-int(opens.min()) // self.rules.every_ms) * self.rules.every_ms

    def wait(self, slot_ms: int) -> int:
        """How many wait."""
        here = self.waiting["is_here"] & (self.waiting["raw_ms"] <= slot_ms)
        return int(np.count_nonzero(here & (self.waiting.finals() == OPEN)))

    def _reasons(self, slot_ms: int, order: Longs) -> Reasons:
        """(size,): why each can't be fed now; OPEN: it can."""
        waiting, full = self.waiting, self.windows.full(slot_ms)
        reasons = np.zeros(waiting.size, np.int8)
        if self.rules.score_min > 0:  # the key of the least: log2(score now) = log2(score at arrival) - age / half-life
            least = MICRO * (np.log2(self.rules.score_min) + slot_ms / self.rules.half_life_ms)
            reasons[order < least] = SCORE
        if self.rules.reputation_min > 0 and waiting.effective:
            reasons[(waiting.scores() < self.rules.reputation_min)[waiting["node"]]] = REPUTATION
        for reason, column, names in (
            (CONTENT_TYPE, "content_type", waiting.types),
            (NODE, "node", waiting.nodes),
            (DOMAIN, "domain", waiting.domains),
        ):
            flags = names.flags(full[column])
            if flags.any():
                reasons[flags[waiting[column]]] = reason
        finals = waiting.finals()
        return np.where(finals != OPEN, finals, reasons)


class _Round:
    """A minute's choice. Domains of which nothing was fed for an hour are due: while there are as many of them as the hour has room for, it
    is their turn."""

    def __init__(self, feed: Feed, slot_ms: int, order: Longs, is_open: Flags) -> None:
        self.feed, self.slot_ms, self.order = feed, slot_ms, order
        waiting = feed.waiting
        self.due = self._due(is_open) if feed.covers else []
        parts = [_best(np.flatnonzero(is_open), order, waiting["tie"], feed.rules.pool)]
        parts += [
            _best(np.flatnonzero(is_open & (waiting["domain"] == domain)), order, waiting["tie"], OF_A_DOMAIN)
            for domain in self.due
        ]
        pool = np.unique(np.concatenate(parts))
        self.pool = _best(pool, order, waiting["tie"], len(pool))
        waits = np.flatnonzero((order != NEVER) & (waiting.finals() == OPEN))
        self.sample = _sample(waits, waiting["tie"] ^ feed.salt)

    def _due(self, is_open: Flags) -> list[int]:
        """Domains, no more than the hour has room for, those first that have waited longest. A domain's turn is at the expense of the node,
        of those with something of it, that was fed least in the hour; where all of them had their share of it, it has none. So it brings
        a node nothing to invent domains."""
        waiting, windows, there = self.feed.waiting, self.feed.windows, np.flatnonzero(is_open)
        pairs = np.unique(waiting["domain"][there].astype(np.int64) << 32 | waiting["node"][there])
        nodes_of = defaultdict[int, list[int]](list)
        for domain, node in zip((pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist(), strict=True):
            nodes_of[domain].append(node)
        fed_ms = {domain: windows.fed_ms.get(waiting.domains.names[domain], NEVER) for domain in nodes_of}
        due = [domain for domain, at_ms in fed_ms.items() if at_ms < self.slot_ms - HOUR_MS]
        had = windows.in_the_hour(self.slot_ms)
        share = self.feed.rules.per_hour / max(1, len(np.unique(pairs & 0xFFFFFFFF)))
        turns: list[tuple[int, int, int]] = []
        for domain in sorted(due, key=lambda one: (fed_ms[one], waiting.domains.names[one])):
            node = min((waiting.nodes.names[one] for one in nodes_of[domain]), key=had.__getitem__)
            if had[node] < share:
                had[node] += 1
                turns.append((had[node], len(turns), domain))
        return [domain for _, _, domain in sorted(turns)[: windows.left(self.slot_ms)]]

    def choose(self, room: int) -> list[Choice]:
        feed, waiting, pool = self.feed, self.feed.waiting, self.pool
        if not len(pool):
            return []
        sample, texts = (list(feed.input_of([waiting.keys[at] for at in of.tolist()])) for of in (self.sample, pool))
        _, here, before = points(sample, texts, [one.input for one in feed.windows.day])
        newness = Newness(here, before, telling(texts))
        worth = np.log(2) * (self.order[pool] - self.order[pool[0]]) / MICRO  # ln(score / score of the best)
        left = np.ones(len(pool), bool)
        picked: list[int] = []
        windows = _Growing(feed.windows)
        due, hour = set(self.due), feed.windows.left(self.slot_ms)
        while len(picked) < room:
            possible = left & windows.lets_pass(waiting, pool, self.slot_ms)
            turn = possible & np.isin(waiting["domain"][pool], list(due))
            if len(due) >= hour - len(picked) and turn.any():
                possible = turn
            if not possible.any():
                break
            gain = feed.rules.relevance * worth + (1 - feed.rules.relevance) * np.log(newness.distance())
            at = int(np.argmax(np.where(possible, gain, -np.inf)))
            picked.append(at)
            due.discard(int(waiting["domain"][pool[at]]))
            left &= waiting["novelty"][pool] != waiting["novelty"][pool[at]]
            windows.add(waiting, int(pool[at]), self.slot_ms)
            newness.said(at)
        similarity = nearest(here[picked], before)
        return [self._choice(int(pool[at]), float(one)) for at, one in zip(picked, similarity, strict=True)]

    def _choice(self, at: int, similarity: float) -> Choice:
        score = 2.0 ** min(0.0, int(self.order[at]) / MICRO - self.slot_ms / self.feed.rules.half_life_ms)
        return Choice(self.feed.waiting.keys[at], published(score), _rank(self.order, at), published(similarity))


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


def _best(places: Longs, order: Longs, tie: npt.NDArray[np.uint64], most: int) -> Longs:
    """Those with the highest order, at most so many, the first first."""
    if len(places) > most:
        least = np.partition(order[places], len(places) - most)[len(places) - most]
        places = places[order[places] >= least]
    return places[np.lexsort((tie[places], -order[places]))][:most]


def _sample(places: Longs, lot: npt.NDArray[np.uint64]) -> Longs:
    """By chance, but whoever is in it stays there while it waits."""
    if len(places) > SAMPLE:
        places = places[np.argpartition(lot[places], SAMPLE)[:SAMPLE]]
    return places[np.argsort(lot[places])]


def _rank(order: Longs, at: int) -> int:
    return int(np.count_nonzero(order > order[at])) + 1
