"""What is fed to trainers, a minute at a time: from the top of the priorities down, past what the gate refuses, not all of one kind. Pure.

State is a fold: of what stages say of artifacts and nodes, and of what was fed and refused. `choose` changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.choice import Choice, Round, State
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
)
from streams.domain.waiting import MICRO, NEVER, Known, Longs, best, rank

TOLD_MAX = 500  # refusals in one round; the rest is for the next ones
STARVING_MAX = 20

Reasons = npt.NDArray[np.int8]


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


class Feed(State):
    """The state, and what is made of it."""

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
        choices = Round(self, slot_ms, order, here & (reasons == OPEN)).choose(room) if room else []
        reached = [waiting.at[one.dedup_hash] for one in choices]
        if room == 0:
            reached = best(
                np.flatnonzero(here & (reasons == OPEN)), order, waiting["tie"], self.rules.per_round
            ).tolist()
            reasons[reached] = HOUR
        passed = here & (reasons != OPEN) & (reasons != waiting["told"])
        if len(reached) >= (room or self.rules.per_round):  # the others' turn did not come
            passed &= order >= order[reached].min()
        told = [
            Refused(waiting.keys[at], REASONS[reasons[at]], int(reasons[at]) in FINAL, rank(order, at))
            for at in best(np.flatnonzero(passed), order, waiting["tie"], TOLD_MAX).tolist()
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
            (first,) = best(waits[domains == domain], order, waiting["tie"], 1).tolist()
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
        windows = self.windows.opens_ms(slot_ms)
        opens = np.full(len(held), self.windows.hour_opens_ms(slot_ms), np.int64)
        for column, names in (("domain", waiting.domains), ("node", waiting.nodes), ("content_type", waiting.types)):
            of_name = np.zeros(len(names.names), np.int64)
            for name, at_ms in windows[column].items():
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
