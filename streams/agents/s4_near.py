"""Depth 4. sketches -> links, idf: which new text nearly repeats an earlier one; owns tables idf, counts, texts, bands and originals.

One partition: what repeats what does not keep to partitions. A text is known here by its number, 0, 1, … in the order of the topic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from streams.agents.deadletters import dead_letter
from streams.codec import Undecodable, decoder, encoder
from streams.domain.dedup import remembered
from streams.domain.near import (
    IDF_TEXTS,
    METHOD,
    NO_IDF,
    Idf,
    Text,
    Vector,
    freeze,
    is_time_to_freeze,
    linked,
    most_shared,
    vector,
)
from streams.domain.sketch import PERMUTATIONS, TERMS_MAX, bands
from streams.runtime.stage import Batch, Context, Decided, MemoryRows, Record, Rows, Stage, Table, look_up
from streams.tables import counts, idf, originals, texts
from streams.tables.bands import BANDS, Band, In, added
from streams.tables.counts import COUNTS, Counts
from streams.tables.idf import IDF
from streams.tables.originals import ORIGINALS, Original
from streams.tables.texts import TEXTS

CACHED = 4_096  # vectors
ID_BYTES_MAX = 65_535


def stage(context: Context) -> Stage:
    """Link what nearly repeats an earlier text. Links never drop anything."""
    return Stage(context.agent, (IDF, COUNTS, TEXTS, BANDS, ORIGINALS), _Decider(context).decide)


def text_of(event: Mapping[str, Any]) -> tuple[Text, list[bytes]]:
    """Of a sketch: the text, as if it repeated nothing, and the keys of its bands. Raises ValueError."""
    minima, terms, counts = (
        np.frombuffer(event[name], kind) for name, kind in (("minima", "<u4"), ("terms", "<u4"), ("counts", "<u2"))
    )
    if len(minima) != PERMUTATIONS or not len(terms) == len(counts) <= TERMS_MAX or (counts == 0).any():
        raise ValueError("minima, terms and counts don't fit together")
    if max(len(event[name].encode()) for name in ("artifact_id", "node_id")) > ID_BYTES_MAX:
        raise ValueError("an id that rows have no room for")
    own, raw_ms = event["dedup_hash"], event["raw_ms"]
    text = Text(own, event["artifact_id"], event["node_id"], raw_ms, raw_ms, own, terms, counts)
    data = bands(minima).astype(">u8").tobytes()
    return text, [data[at : at + 8] for at in range(0, len(data), 8)]


def inheriting(text: Text, repeated: Sequence[tuple[int, bytes]]) -> Text:
    """A text that repeats others. repeated: when each was first seen [ms], and its family; the most similar first."""
    first_seen_ms, family = min(repeated, key=lambda one: one[0])
    return text._replace(first_seen_ms=min(text.first_seen_ms, first_seen_ms), family=family)


def rows_of(
    read: Sequence[tuple[Text, list[bytes], bool]], before: int, weights: Idf
) -> dict[Table[Any], dict[bytes, Any]]:
    """What the rows are behind these texts, with what they inherit, their bands, and whether they repeat nothing. before: how many such
    came in front of them."""
    known = _Known(MemoryRows(), (key for _, keys, _ in read for key in keys))
    known.originals, known.idf, known.is_frozen = before, weights, weights.version > 0
    for text, keys, is_original in read:
        if len(text.terms):
            known.add(text, keys, is_original)
    return known.changed()


class _Known:
    """The rows as a batch changes them."""

    def __init__(self, rows: Rows, band_keys: Iterable[bytes]) -> None:
        self.rows = rows
        self.idf: Idf = look_up(rows, IDF, [idf.HERE])[idf.HERE] or NO_IDF
        self.count, self.originals = look_up(rows, COUNTS, [counts.HERE])[counts.HERE] or Counts(0, 0)
        self.bands = look_up(rows, BANDS, set(band_keys))
        self.new: dict[int, Text] = {}
        self.new_bands: dict[bytes, Band] = {}
        self.new_originals: dict[int, Original] = {}
        self.is_frozen = False

    def texts(self, numbers: Iterable[int], raw_ms: int, horizon_ms: int) -> dict[int, Text]:
        """Those that are remembered at this time."""
        old = [number for number in numbers if number not in self.new]
        stored = self.rows.get_many(TEXTS, [texts.key(number) for number in old])
        found = dict(zip(old, stored, strict=True))
        kept = ((number, self.new.get(number) or found[number]) for number in numbers)
        return {n: text for n, text in kept if text is not None and remembered(text.raw_ms, raw_ms, horizon_ms)}

    def add(self, text: Text, band_keys: Iterable[bytes], is_original: bool) -> None:
        """The next one."""
        self.new[self.count] = text
        for key in band_keys:
            self.bands[key] = self.new_bands[key] = added(self.bands[key], In(text.raw_ms, self.count))
        if is_original:
            self.new_originals[self.originals] = Original(text.raw_ms, self.count)
            self.originals += 1
        self.count += 1

    def changed(self) -> dict[Table[Any], dict[bytes, Any]]:
        """The new rows."""
        return {
            IDF: {idf.HERE: self.idf} if self.is_frozen else {},
            COUNTS: {counts.HERE: Counts(self.count, self.originals)} if self.new else {},
            TEXTS: {texts.key(number): text for number, text in self.new.items()},
            BANDS: self.new_bands,
            ORIGINALS: {originals.key(number): one for number, one in self.new_originals.items()},
        }

    def newest_originals(self) -> list[int]:
        """Numbers of as many as the weights of words are of."""
        wanted = range(max(0, self.originals - IDF_TEXTS), self.originals)
        old = [number for number in wanted if number not in self.new_originals]
        stored = self.rows.get_many(ORIGINALS, [originals.key(number) for number in old])
        found = dict(zip(old, stored, strict=True))
        every = (self.new_originals.get(number) or found[number] for number in wanted)
        return [one.text for one in every if one is not None]


class _Decider:
    def __init__(self, context: Context) -> None:
        self.context, self.horizon_ms = context, context.topology.horizon_ms
        self.decode, self.encode_link, self.encode_idf = decoder("sketch"), encoder("link"), encoder("idf")
        self._vectors: dict[tuple[int, int], Vector] = {}  # (IDF's version, number)

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        sketches = [read for record in batch.records if (read := self._read(batch, record, decided)) is not None]
        known = _Known(rows, (key for _, _, _, keys in sketches for key in keys))
        for record, event, text, band_keys in sketches:
            decided.event_ms = max(decided.event_ms, text.raw_ms)
            if not len(text.terms):  # without a word it is like no other
                decided.count("no_words")
                continue
            # a forgotten text's row may be swept or not: it counts nothing either way, nor takes another one's place
            shared = most_shared(
                [one.number for one in known.bands[key] or () if remembered(one.raw_ms, text.raw_ms, self.horizon_ms)]
                for key in band_keys
            )
            candidates = known.texts(shared, text.raw_ms, self.horizon_ms)
            own = self._vector(known.count, text, known.idf)
            near = linked(own, {n: self._vector(n, t, known.idf) for n, t in candidates.items()})
            decided.count("linked" if near else "new")
            for number, similarity in near:
                earlier = candidates[number]
                value = self.encode_link(self._link(batch, record, event, earlier, similarity, known.idf.version))
                decided.send("links", {"key": record.key, "value": value})
            if near:
                text = inheriting(
                    text, [(c.first_seen_ms, c.family) for c in (candidates[number] for number, _ in near)]
                )
            known.add(text, band_keys, not near)
            if not near and is_time_to_freeze(known.originals):
                self._freeze(batch, record, known, text.raw_ms, decided)
        decided.rows = known.changed()
        return decided

    def _read(
        self, batch: Batch, record: Record, decided: Decided
    ) -> tuple[Record, dict[str, Any], Text, list[bytes]] | None:
        """The event, its text, and the keys of its bands."""
        try:
            event = self.decode(record.value or b"")
            return record, event, *text_of(event)
        except (Undecodable, ValueError) as error:  # the topic is ours, so this is somebody's mistake
            dead_letter(self.context, batch, record, "not_a_sketch", str(error), decided)
            return None

    def _vector(self, number: int, text: Text, weights: Idf) -> Vector:
        # not by dedup_hash: a text that came again beyond the horizon may be cut elsewhere
        key = weights.version, number
        made = self._vectors.get(key)
        if made is None:
            if len(self._vectors) >= CACHED:
                self._vectors.clear()
            made = self._vectors[key] = vector(text, weights)
        return made

    def _link(
        self, batch: Batch, record: Record, event: dict[str, Any], earlier: Text, similarity: float, version: int
    ) -> dict[str, Any]:
        return {
            **{name: event[name] for name in ("dedup_hash", "artifact_id", "node_id", "raw_ms", "simulated")},
            "near_duplicate_of": earlier.artifact_id,
            "near_dedup_hash": earlier.dedup_hash,
            "near_node_id": earlier.node_id,
            "family": earlier.family,
            "first_seen_ms": earlier.first_seen_ms,
            "similarity": similarity,
            "method": METHOD,
            "idf_version": version,
            **self._origin(batch, record),
        }

    def _freeze(self, batch: Batch, record: Record, known: _Known, raw_ms: int, decided: Decided) -> None:
        """Of what repeats nothing: else a flood of one text would make all its words common, and the sign by which each differs rare."""
        remembered_ones = known.texts(known.newest_originals(), raw_ms, self.horizon_ms).values()
        known.idf = freeze(known.originals, [text.terms for text in remembered_ones])
        known.is_frozen = True
        decided.count("idf_frozen")
        event = {
            "version": known.idf.version,
            "texts": known.idf.total,
            "terms": known.idf.terms.astype("<u4").tobytes(),
            "documents": known.idf.documents.astype("<u4").tobytes(),
            **self._origin(batch, record),
        }
        decided.send("idf", {"key": self.context.agent.name.encode(), "value": self.encode_idf(event)})

    def _origin(self, batch: Batch, record: Record) -> dict[str, Any]:
        return {
            "input_topic": batch.source,
            "input_partition": batch.partition,
            "input_offset": record.offset,
            "rule": self.context.rule,
        }
