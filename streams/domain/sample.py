"""Which texts of a window are looked at, where there are more than there is room for. Pure."""

from __future__ import annotations

import heapq
from collections import Counter

from streams.domain.shape import Said

CHARACTERS_MAX = 40_000_000  # of a window's texts together: 1.5 GiB of memory, were all their words different


class Lowest:
    """Of all texts, in whatever order they come, those with the lowest hashes: as many as there is room for. A window is of any size, what
    is kept of it is not."""

    def __init__(self, most: int, characters: int = CHARACTERS_MAX) -> None:
        self.most, self.characters = most, characters
        self.of = 0
        self._texts: dict[bytes, Said] = {}
        self._nodes: dict[bytes, Counter[str]] = {}
        self._highest: list[tuple[int, bytes]] = []  # a heap
        self._limit: bytes | None = None  # the lowest hash there was no room for
        self._seen: set[bytes] = set()

    def has(self, hash_: bytes) -> bool:
        return hash_ in self._seen

    def add(self, text: Said) -> None:
        """One that there was not before."""
        self.of += 1
        self._seen.add(text.hash)
        if self._limit is not None and text.hash >= self._limit:
            return
        self._texts[text.hash] = text
        self.characters -= len(text.content)
        heapq.heappush(self._highest, (-int.from_bytes(text.hash, "big"), text.hash))
        while len(self._texts) > self.most or self.characters < 0:
            self._limit = heapq.heappop(self._highest)[1]
            self.characters += len(self._texts.pop(self._limit).content)
            self._nodes.pop(self._limit, None)

    def reported(self, hash_: bytes, node_id: str) -> None:
        """Of a text that was added; of others nothing is kept."""
        if hash_ in self._texts:
            self._nodes.setdefault(hash_, Counter())[node_id] += 1

    def texts(self) -> list[Said]:
        """Ascending."""
        return [self._texts[key]._replace(nodes=self._nodes.get(key, {})) for key in sorted(self._texts)]
