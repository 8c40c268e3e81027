"""What people look at by name: the top of the priorities, each node's reputation over time, what was fed, the patterns of the newest
window. Folded record by record, of bounded size. Pure."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.watch.urgency import Event, most_urgent

PER_NODE = 100  # the most urgent artifacts of each node; one that falls behind them is forgotten, even if they fall too
REVISIONS = 60  # of each node
FED = 20


@dataclass
class Highlights:
    urgent: dict[str, dict[bytes, Event]] = field(default_factory=dict)  # node -> dedup_hash -> its newest priority
    node_of: dict[bytes, str] = field(default_factory=dict)  # of those
    revisions: dict[str, deque[tuple[int, float]]] = field(default_factory=dict)  # node -> (time, effective reputation)
    fed: deque[Event] = field(default_factory=lambda: deque(maxlen=FED))  # scenarios, oldest first
    patterns: dict[int, dict[str, Event]] = field(default_factory=dict)  # end of a window -> pattern_id -> pattern

    def take(self, alias: str, event: Event, at: str) -> None:
        """at: where the record is."""
        if alias == "priorities":
            self._urgent(event | {"at": at})
        elif alias == "reputation.log":
            of = self.revisions.setdefault(event["node_id"], deque(maxlen=REVISIONS))
            of.append((event["at_ms"], event["effective"]))
        elif alias == "phoenix.feed":
            self.fed.append(event | {"at": at})
        elif alias == "patterns":
            self.patterns.setdefault(event["slot_ms"], {})[event["pattern_id"]] = event | {"at": at}
            for old in sorted(self.patterns)[:-2]:  # the newest may not be whole yet
                del self.patterns[old]

    def _urgent(self, event: Event) -> None:
        key = event["dedup_hash"]
        if (before := self.node_of.pop(key, None)) is not None:
            self.urgent[before].pop(key, None)
        if event["rank_key"] is None:
            return
        mine = self.urgent.setdefault(event["node_id"], {})
        mine[key] = event
        self.node_of[key] = event["node_id"]
        if len(mine) > 2 * PER_NODE:
            kept = heapq.nlargest(PER_NODE, mine, key=lambda one: mine[one]["rank_key"])
            for gone in mine.keys() - set(kept):
                del mine[gone], self.node_of[gone]

    def top(self, reputations: Mapping[str, Event], count: int) -> list[Event]:
        """As `icn top` has them. reputations: newest revisions."""
        return most_urgent((event for mine in self.urgent.values() for event in mine.values()), reputations, count)

    def newest_patterns(self, window: Event | None) -> list[Event]:
        """Of this window, the largest first."""
        mine = self.patterns.get(window["slot_ms"], {}) if window is not None else {}
        return sorted(mine.values(), key=lambda one: (-one["size"], one["pattern_id"]))
