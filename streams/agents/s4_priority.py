"""Depth 4. artifacts.decided, links -> priorities; owns tables scores and inherited."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streams.agents.deadletters import dead_letter
from streams.avro import slicer, zigzag
from streams.codec import HEADER_BYTES, current, decoder, encoder, why
from streams.domain.dedup import DUPLICATE, UNIQUE, UPGRADED
from streams.domain.priority import Weights, score
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage, look_up
from streams.tables.inherited import INHERITED
from streams.tables.scores import SCORES, Scored
from streams.units import duration_ms

_WANTED = (
    "dedup_hash",
    "canonical_id",
    "version",
    "first_seen_ms",
    "confidence",
    "threat_level",
    "opportunity_value",
    "effective_reputation",
    "raw_ms",
    "node_id",
    "content_type",
    "simulated",
    "raw_partition",
    "raw_offset",
    "reputation_revision",
)
_DUPLICATE = zigzag(["UNKNOWN", UNIQUE, UPGRADED, DUPLICATE].index(DUPLICATE))


def stage(context: Context) -> Stage:
    """Score what is new or better; score again what a link has made older."""
    return Stage(context.agent, (SCORES, INHERITED), _Decider(context).decide)


@dataclass
class _Known:
    """The rows of a batch's artifacts, as they change within it."""

    scores: dict[bytes, Scored | None]
    inherited: dict[bytes, int | None]


class _Decider:
    def __init__(self, context: Context) -> None:
        priority = context.topology.protocol["priority"]
        self.context = context
        self.weights = Weights.of(priority, duration_ms(priority["half_life"]))
        self.slice, self.decode_link, self.encode = (
            slicer("decided", "facts", _WANTED),
            decoder("link"),
            encoder("priority"),
        )
        self.current = current("decided")

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        by_link = batch.source == "links"
        take: Callable[..., Scored | None] = self._link if by_link else self._decided
        events = [
            (record, event) for record in batch.records if (event := self._read(batch, record, decided)) is not None
        ]
        hashes = {event["dedup_hash"] for _, event in events}
        known = _Known(look_up(rows, SCORES, hashes), look_up(rows, INHERITED, hashes))
        scores: dict[bytes, Scored] = {}
        inherited: dict[bytes, int] = {}
        for record, event in events:
            dedup_hash = event["dedup_hash"]
            row = take(event, dedup_hash, known, decided)
            if by_link:
                inherited[dedup_hash] = known.inherited[dedup_hash]  # type: ignore[assignment]  # _link has just set it
            if row is not None:
                decided.event_ms = max(decided.event_ms, row.raw_ms)
                known.scores[dedup_hash] = scores[dedup_hash] = row
                canonical_id = event["artifact_id" if by_link else "canonical_id"]
                decided.send(
                    "priorities",
                    {
                        "key": canonical_id,
                        "value": self.encode(
                            self._event(dedup_hash, canonical_id.decode(errors="replace"), row, batch, record)
                        ),
                    },
                )
        decided.rows = {SCORES: scores, INHERITED: inherited}
        return decided

    def _read(self, batch: Batch, record: Record, decided: Decided) -> dict[str, Any] | None:
        value = record.value or b""
        try:
            if batch.source == "links":
                link = self.decode_link(value)
                return link | {"artifact_id": link["artifact_id"].encode()}
            value = self.current(value)
            if value[HEADER_BYTES : HEADER_BYTES + 1] == _DUPLICATE:  # nothing to score: don't decode it
                decided.count("not_new")
                return None
            return dict(zip(_WANTED, self.slice(value), strict=False))
        except (ValueError, IndexError, struct.error) as error:  # the topic is ours, so this is somebody's mistake
            dead_letter(self.context, batch, record, "not_avro", why(error), decided)
            return None

    def _decided(self, event: dict[str, Any], dedup_hash: bytes, known: _Known, decided: Decided) -> Scored:
        decided.count("scored")
        earlier = known.inherited[dedup_hash]
        first_seen_ms = event["first_seen_ms"] if earlier is None else min(earlier, event["first_seen_ms"])
        return Scored(
            event["version"],
            event["threat_level"],
            event["opportunity_value"],
            event["confidence"],
            event["effective_reputation"],
            event["reputation_revision"],
            first_seen_ms,
            event["raw_partition"],
            event["raw_offset"],
            event["raw_ms"],
            event["simulated"],
            event["node_id"].decode(errors="replace"),
            event["content_type"].decode(errors="replace"),
        )

    def _link(self, event: dict[str, Any], dedup_hash: bytes, known: _Known, decided: Decided) -> Scored | None:
        row, earlier = known.scores[dedup_hash], known.inherited[dedup_hash]
        first_seen_ms = event["first_seen_ms"] if earlier is None else min(earlier, event["first_seen_ms"])
        known.inherited[dedup_hash] = first_seen_ms
        if (
            row is None or first_seen_ms >= row.first_seen_ms
        ):  # not scored yet, or already as old: the same to whoever replays
            decided.count("link_without_effect")
            return None
        decided.count("rescored")
        return row._replace(first_seen_ms=first_seen_ms)

    def _event(self, dedup_hash: bytes, canonical_id: str, row: Scored, batch: Batch, record: Record) -> dict[str, Any]:
        made = score(
            self.weights,
            row.threat_level,
            row.opportunity_value,
            row.confidence,
            row.effective_reputation,
            row.first_seen_ms,
            row.raw_ms,
        )
        return {
            "dedup_hash": dedup_hash,
            "canonical_id": canonical_id,
            "version": row.version,
            "node_id": row.node_id,
            "content_type": row.content_type,
            **made._asdict(),
            "effective_reputation": row.effective_reputation,
            "reputation_revision": row.reputation_revision,
            "first_seen_ms": row.first_seen_ms,
            "raw_partition": row.raw_partition,
            "raw_offset": row.raw_offset,
            "raw_ms": row.raw_ms,
            "threat_level": row.threat_level,
            "opportunity_value": row.opportunity_value,
            "confidence": row.confidence,
            "input_topic": batch.source,
            "input_partition": batch.partition,
            "input_offset": record.offset,
            "simulated": row.simulated,
            "rule": self.context.rule,
        }
