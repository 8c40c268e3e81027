"""The gate before the feed: how much of what was fed lately. Pure; time is that of ticks.

A window is of the last so many fed, and of those only of the last 60 minutes: one that moved only when something is fed would lock itself.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from streams.domain.priority import published

HOUR_MS = 3_600_000
NOVELTY_WEIGHTS = {"domain": 0.4, "node": 0.3, "content_type": 0.3}
OPEN, TLP, NOVELTY, SCORE, REPUTATION, DOMAIN, NODE, CONTENT_TYPE, HOUR = range(9)
# "turn": nothing stands against it
REASONS = ("turn", "tlp", "novelty", "score", "reputation", "domain", "node", "content_type", "hour")
FINAL = (TLP, NOVELTY)


@dataclass(frozen=True)
class Rules:
    """As topology's protocol.phoenix has them. windows: name -> (fewer than so many, of the last so many)."""

    every_ms: int
    per_round: int
    per_hour: int
    windows: Mapping[str, tuple[int, int]]
    novelty: int
    candidates_ms: int
    pool: int
    relevance: float
    score_min: float
    reputation_min: float
    half_life_ms: int


class Fed(NamedTuple):
    """What the windows remember of a scenario."""

    slot_ms: int
    domain: str
    node: str
    content_type: str
    novelty: int
    objectives: tuple[str, ...]
    input: str


class Windows:
    """What was fed, as far as it still counts."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.day: deque[Fed] = deque()  # the last 24 hours, oldest first
        self.last: deque[Fed] = deque(maxlen=max(of_last for _, of_last in rules.windows.values()))
        self.known: dict[
            int | bytes, int
        ] = {}  # novelty and dedup_hash of each of the last so many fed -> how many of them
        self.order: deque[tuple[int, bytes]] = deque()  # first in, first out
        self.fed_ms: dict[str, int] = {}  # domain -> when one of it was last fed

    def add(self, dedup_hash: bytes, fed: Fed) -> None:
        self.day.append(fed)
        while self.day[0].slot_ms < fed.slot_ms - 24 * HOUR_MS:
            self.day.popleft()
        self.last.append(fed)
        self.order.append((fed.novelty, dedup_hash))
        for one in self.order[-1]:
            self.known[one] = self.known.get(one, 0) + 1
        if len(self.order) > self.rules.novelty:
            for one in self.order.popleft():
                self.known[one] -= 1
                if not self.known[one]:
                    del self.known[one]
        self.fed_ms[fed.domain] = fed.slot_ms

    def left(self, slot_ms: int) -> int:
        """How many may be fed in the 60 minutes that end now. Both ends count: one may be fed some seconds late."""
        return max(0, self.rules.per_hour - len(self._hour(slot_ms)))

    def in_the_hour(self, slot_ms: int) -> Counter[str]:
        """node -> how many of it were fed."""
        return Counter(fed.node for fed in self._hour(slot_ms))

    def full(self, slot_ms: int) -> dict[str, set[str]]:
        """window -> the names of which there are too many."""
        return {
            name: {value for value, count in self._counts(name, slot_ms).items() if count >= fewer_than}
            for name, (fewer_than, _) in self.rules.windows.items()
        }

    def opens_ms(self, slot_ms: int) -> dict[str, dict[str, int]]:
        """window -> name of which there are too many -> when enough of them are older than 60 minutes, if none other is fed."""
        found: dict[str, dict[str, int]] = {}
        for name, full in self.full(slot_ms).items():
            fewer_than, last = self.rules.windows[name][0], self._window(name, slot_ms)
            found[name] = {
                value: [fed.slot_ms for fed in last if getattr(fed, name) == value][-fewer_than] + HOUR_MS + 1
                for value in full
            }
        return found

    def hour_opens_ms(self, slot_ms: int) -> int:
        """When one more may be fed in 60 minutes."""
        hour = self._hour(slot_ms)
        return hour[-self.rules.per_hour].slot_ms + HOUR_MS + 1 if len(hour) >= self.rules.per_hour else slot_ms

    def novelty_score(self, slot_ms: int, names: Mapping[str, str]) -> float:
        """0.4·domain + 0.3·node + 0.3·type, each 1 less its share of its window [0..1]; 1: nothing was fed."""
        found = 0.0
        for window, weight in NOVELTY_WEIGHTS.items():
            counts = self._counts(window, slot_ms)
            found += weight * (1 - counts[names[window]] / max(1, counts.total()))
        return published(found)

    def objectives(self) -> list[tuple[str, ...]]:
        return [fed.objectives for fed in self.last]

    def _counts(self, name: str, slot_ms: int) -> Counter[str]:
        return Counter(getattr(fed, name) for fed in self._window(name, slot_ms))

    def _window(self, name: str, slot_ms: int) -> list[Fed]:
        """The last so many fed, as far as they still count."""
        _, of_last = self.rules.windows[name]
        return [fed for fed in list(self.last)[-of_last:] if fed.slot_ms >= slot_ms - HOUR_MS]

    def _hour(self, slot_ms: int) -> list[Fed]:
        return [fed for fed in self.day if fed.slot_ms >= slot_ms - HOUR_MS]


def rules_of(given: Mapping[str, Any], every_ms: int, candidates_ms: int, half_life_ms: int) -> Rules:
    """From the YAML section."""
    windows = {name: (given[name]["fewer_than"], given[name]["of_last"]) for name in NOVELTY_WEIGHTS}
    plain = {
        name: given[name]
        for name in ("per_round", "per_hour", "novelty", "pool", "relevance", "score_min", "reputation_min")
    }
    return Rules(every_ms=every_ms, candidates_ms=candidates_ms, half_life_ms=half_life_ms, windows=windows, **plain)
