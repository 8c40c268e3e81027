"""What has not been fed: a million artifacts in columns, so that the gate looks at all of them in one go. Pure."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.gate import OPEN, TLP
from streams.domain.tlp import ORDER, RED

Longs = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

FIRST_SIZE = 1 << 10
MICRO = 1e6  # rank keys are millionths
NEVER = -(1 << 62)
RANK_KEY_MAX = 1 << 60
SIGHTINGS_MAX = (1 << 31) - 1


class Known(NamedTuple):
    """An artifact as its decision tells of it. content, novelty: 64 bits each; tlp: as the sighting has it."""

    dedup_hash: bytes
    content: int
    novelty: int
    domain: str
    node: str
    content_type: str
    tlp: str
    raw_ms: int
    sightings: int


class Names:
    """Texts as numbers, 0, 1, 2 …"""

    def __init__(self) -> None:
        self.number: dict[str, int] = {}
        self.names: list[str] = []

    def of(self, name: str) -> int:
        if name not in self.number:
            self.number[name] = len(self.names)
            self.names.append(name)
        return self.number[name]

    def become(self, names: list[str]) -> None:
        self.names = names
        self.number = {name: at for at, name in enumerate(names)}

    def flags(self, names: set[str]) -> Flags:
        """(names,): whether each is among them."""
        found = np.zeros(len(self.names), bool)
        found[[self.number[name] for name in names if name in self.number]] = True
        return found


COLUMNS = {
    "rank_key": np.int64,  # without the reputation; NEVER: no priority
    "raw_ms": np.int64,
    "content": np.uint64,
    "novelty": np.uint64,
    "tie": np.uint64,
    "domain": np.int32,
    "node": np.int32,
    "content_type": np.int32,
    "sightings": np.int32,
    "tlp": np.int8,  # place in ORDER, the strictest of all sightings of the content
    "final": np.int8,  # reason for which it is never tried again; 0: none
    "told": np.int8,  # reason that was told last
    "is_here": np.bool_,  # not fed, not too old
}


class Waiting:
    """Columns of equal length; `at` of an artifact is its place in them until `tidy`."""

    def __init__(self, lasting_ms: int) -> None:
        self.lasting_ms = lasting_ms
        self.size = 0
        self.columns: dict[str, Any] = {name: np.zeros(FIRST_SIZE, kind) for name, kind in COLUMNS.items()}
        self.keys: list[bytes] = []  # dedup_hash of each place
        self.at: dict[bytes, int] = {}  # the other way round, of what is here
        self.domains, self.nodes, self.types = Names(), Names(), Names()
        self.effective: list[tuple[int, float]] = []  # of each node: revision, effective reputation
        # content -> strictest marking, as its place in ORDER; of this period of `lasting_ms`, and of the one before: who begins with it
        # knows the same
        self.period = 0
        self.marks: tuple[dict[int, int], dict[int, int]] = ({}, {})

    def __getitem__(self, column: str) -> Any:
        """(size,): the column; not a copy."""
        return self.columns[column][: self.size]

    def begins_ms(self, at_ms: int) -> int:
        """Whoever has heard everything since then knows what matters at that time."""
        return (at_ms // self.lasting_ms - 1) * self.lasting_ms

    def decided(self, one: Known, is_new: bool) -> None:
        """A sighting. is_new: the artifact itself, or a better version of it, comes with it."""
        self._mark(one)
        at = self.at.get(one.dedup_hash)
        if is_new:
            at = self._new(one.dedup_hash) if at is None else at
            self._put(one, at)
        if at is not None:
            self["sightings"][at] = min(one.sightings, SIGHTINGS_MAX)

    def _mark(self, one: Known) -> None:
        period = one.raw_ms // self.lasting_ms
        if period > self.period:
            self.marks = ({}, self.marks[0] if period == self.period + 1 else {})
            self.period = period
        mark, before = ORDER.index(one.tlp if one.tlp in ORDER else RED), self.mark(one.content)
        self.marks[0][one.content] = max(
            mark, self.marks[0].get(one.content, mark)
        )  # a milder one keeps it from being forgotten
        if mark > before >= 0:
            self["tlp"][self["content"] == one.content] = mark

    def mark(self, content: int) -> int:
        """The strictest of a content's sightings; -1: there is none."""
        return max(marks.get(content, -1) for marks in self.marks)

    def _new(self, dedup_hash: bytes) -> int:
        if self.size == len(self.columns["tie"]):
            self.columns = {name: np.concatenate([one, np.zeros_like(one)]) for name, one in self.columns.items()}
        at = self.at[dedup_hash] = self.size
        self.keys.append(dedup_hash)
        self.size += 1
        fields = {"rank_key": NEVER, "final": OPEN, "told": OPEN, "is_here": True}
        for name, value in (fields | {"tie": int.from_bytes(dedup_hash[:8], "big")}).items():
            self.columns[name][at] = value
        return at

    def _put(self, one: Known, at: int) -> None:
        fields = {
            "raw_ms": one.raw_ms,
            "content": one.content,
            "novelty": one.novelty,
            "domain": self.domains.of(one.domain),
            "node": self._node(one.node),
            "content_type": self.types.of(one.content_type),
            "tlp": self.mark(one.content),
        }
        for name, value in fields.items():
            self.columns[name][at] = value

    def _node(self, name: str) -> int:
        node = self.nodes.of(name)
        if node == len(self.effective):
            self.effective.append((-1, 0.0))
        return node

    def scored(self, dedup_hash: bytes, rank_key: int | None) -> None:
        """rank_key: without the reputation, as priorities have it; None, or what no score has: unranked."""
        if (at := self.at.get(dedup_hash)) is not None:
            self["rank_key"][at] = NEVER if rank_key is None or abs(rank_key) > RANK_KEY_MAX else rank_key

    def thought_of(self, name: str, revision: int, effective: float) -> None:
        """A node's newest revision holds for all it has sent."""
        node = self._node(name)
        if revision > self.effective[node][0]:
            self.effective[node] = (revision, effective)

    def names_of(self, at: int) -> tuple[str, str, str]:
        """(domain, node, content type)."""
        return (
            self.domains.names[self["domain"][at]],
            self.nodes.names[self["node"][at]],
            self.types.names[self["content_type"][at]],
        )

    def reputation(self, at: int) -> tuple[int, float]:
        """(revision, effective)."""
        return self.effective[int(self["node"][at])]

    def scores(self) -> npt.NDArray[np.float64]:
        """(nodes,): effective reputation of each."""
        return np.array([score for _, score in self.effective])

    def order(self) -> Longs:
        """(size,): of each its key with the reputation, highest first; NEVER: it can't be fed."""
        keys = [round(MICRO * math.log2(score)) if score > 0 else NEVER for _, score in self.effective]
        of_node = np.array([*keys, NEVER], np.int64)[self["node"]]
        is_one = (self["rank_key"] != NEVER) & (of_node != NEVER) & self["is_here"]
        return np.where(is_one, self["rank_key"] + np.where(is_one, of_node, 0), NEVER)

    def finals(self) -> npt.NDArray[np.int8]:
        """(size,): reason for which each is never fed; OPEN: none."""
        return np.where(self["tlp"] == ORDER.index(RED), TLP, self["final"]).astype(np.int8)

    def gone(self, dedup_hash: bytes) -> None:
        """It is fed, or forgotten. Should it come again, better, it is new here."""
        if (at := self.at.pop(dedup_hash, None)) is not None:
            self["is_here"][at] = False

    def _renumber(self, column: str) -> None:
        """Names of what is here, and no others: whoever invents them fills no memory."""
        names = self.domains if column == "domain" else self.types
        kept, places = np.unique(self[column], return_inverse=True)
        self.columns[column][: self.size] = places
        names.become([names.names[at] for at in kept.tolist()])

    def tidy(self, now_ms: int) -> list[bytes]:
        """Forget what came too long ago; once half of the columns is of what is not here, close them up. Returns what is not here then."""
        for at in np.flatnonzero(self["is_here"] & (self["raw_ms"] < now_ms - self.lasting_ms)).tolist():
            self.gone(self.keys[at])
        kept = np.flatnonzero(self["is_here"])
        if len(kept) > self.size / 2 or self.size < FIRST_SIZE:
            return []
        before, self.keys = self.keys, [self.keys[at] for at in kept.tolist()]
        self.at = {key: at for at, key in enumerate(self.keys)}
        self.columns = {
            name: np.append(one[kept], np.zeros(FIRST_SIZE, one.dtype)) for name, one in self.columns.items()
        }
        self.size = len(kept)
        for column in ("domain", "content_type"):  # nodes are registered: there are not many
            self._renumber(column)
        return [key for key in before if key not in self.at]


def best(places: Longs, order: Longs, tie: npt.NDArray[np.uint64], most: int) -> Longs:
    """Those with the highest order, at most so many, the first first."""
    if len(places) > most:
        least = np.partition(order[places], len(places) - most)[len(places) - most]
        places = places[order[places] >= least]
    return places[np.lexsort((tie[places], -order[places]))][:most]


def rank(order: Longs, at: int) -> int:
    """[1..]; equal ones have the same."""
    return int(np.count_nonzero(order > order[at])) + 1
