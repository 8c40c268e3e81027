"""Depth 2. artifacts.admitted -> artifacts.decided, receipts; owns tables canonicals and contents."""

from __future__ import annotations

import io
import struct
from typing import Any

from streams.agents.deadletters import dead_letter
from streams.agents.receipts import Receipts, outcome
from streams.codec import HEADER_BYTES, avro_bytes, header, prefix_reader, zigzag
from streams.domain.dedup import (
    DUPLICATE,
    UNIQUE,
    UPGRADED,
    Canonical,
    Content,
    Sighting,
    is_independent,
    judge,
    remembered,
)
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage
from streams.tables.canonicals import CANONICALS
from streams.tables.contents import CONTENTS


def stage(context: Context) -> Stage:
    """Decide for each admitted artifact whether it is new."""
    return Stage(context.agent, (CANONICALS, CONTENTS), _Decider(context).decide)


class _Decider:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.horizon_ms = context.topology.horizon_ms
        self.read_facts = prefix_reader("admitted", "facts")
        self.head_in, self.head_out = header("admitted"), header("decided")

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        artifacts = self._decode(batch, decided)
        canonicals = _lookup(rows, CANONICALS, {facts["dedup_hash"] for _, facts, _ in artifacts})
        # a content matters only to the first of a dedup_hash; most look-ups end here
        contents = _lookup(rows, CONTENTS, {
            record.key for record, facts, _ in artifacts if _forgotten(canonicals[facts["dedup_hash"]], facts["raw_ms"], self.horizon_ms)})
        receipts = Receipts(self.context, batch)
        new_canonicals: dict[bytes, Canonical] = {}
        new_contents: dict[bytes, Content] = {}
        messages = decided.outputs.setdefault("artifacts.decided", [])
        tally = {UNIQUE: 0, UPGRADED: 0, DUPLICATE: 0, "corroborated": 0}
        partition = zigzag(batch.partition)
        for record, facts, end in artifacts:
            key, dedup_hash, raw_ms = record.key, facts["dedup_hash"], facts["raw_ms"]
            sighting = Sighting(facts["artifact_id"], facts["node_id"], facts["confidence"], raw_ms, facts["source_digest"])
            known = canonicals[dedup_hash]
            if known is not None and not remembered(known.first_seen_ms, raw_ms, self.horizon_ms):
                known = None
            decision, row = judge(sighting, known)
            canonicals[dedup_hash] = new_canonicals[dedup_hash] = row
            corroborates = None
            if decision == UNIQUE:
                first = contents.get(key)
                if first is not None and remembered(first.first_seen_ms, raw_ms, self.horizon_ms):
                    corroborates = first
                    tally["corroborated"] += 1
                else:
                    contents[key] = new_contents[key] = Content(sighting.artifact_id, sighting.node_id, raw_ms, sighting.source_digest)
            tally[decision] += 1
            messages.append({"key": key, "value": self._encode(decision, row, known, corroborates, sighting, partition, record, end)})
            canonical_id = row.artifact_id.encode()
            receipts.add(sighting.node_id, outcome(sighting.artifact_id.encode(), decision.lower(), record.offset,
                                                   canonical_id=canonical_id, version=row.version))
        decided.rows = {CANONICALS: new_canonicals, CONTENTS: new_contents}
        for name, number in tally.items():
            if number:
                decided.count(name.lower(), number)
        receipts.send(decided)
        return decided

    def _decode(self, batch: Batch, decided: Decided) -> list[tuple[Record, dict[str, Any], int]]:
        """(record, facts, where the facts end in the record's value) of every record that is what s1 writes."""
        read, head = self.read_facts, self.head_in
        artifacts = []
        for record in batch.records:
            value = record.value
            try:
                if value is None or value[:HEADER_BYTES] != head or record.key is None or len(record.key) != 32:
                    raise ValueError("not a record of artifacts.admitted")
                stream = io.BytesIO(value)
                stream.seek(HEADER_BYTES)
                facts = read(stream)["facts"]
                artifacts.append((record, facts, stream.tell()))
            except Exception as error:  # whatever fastavro raises on garbage; the topic is ours, so this is somebody's mistake
                dead_letter(self.context, batch, record, "not_avro", f"{type(error).__name__}: {error}", decided)
        return artifacts

    def _encode(self, decision: str, row: Canonical, known: Canonical | None, corroborates: Content | None, sighting: Sighting,
                partition: bytes, record: Record, end: int) -> bytes:
        """schemas/decided.avsc by hand: s1's facts and the original bytes are passed on, not decoded and made again."""
        value = record.value
        assert value is not None
        if known is None:
            read = b"\x00"
        else:
            read = b"".join((b"\x02", zigzag(known.version), _double(known.best_confidence), zigzag(known.first_seen_ms), zigzag(known.sightings)))
        if corroborates is None:
            link = b"\x00"
        else:
            link = b"".join((b"\x02", avro_bytes(corroborates.artifact_id.encode()), avro_bytes(corroborates.node_id.encode()),
                             zigzag(corroborates.first_seen_ms), corroborates.source_digest,
                             b"\x01" if is_independent(sighting, corroborates) else b"\x00"))
        # admitted's artifact is `bytes`, decided's is `null or bytes`: the same bytes behind the union's branch
        rest = (value[HEADER_BYTES:end], b"\x00") if decision == DUPLICATE else (value[HEADER_BYTES:end], b"\x02", value[end:])
        return b"".join((
            self.head_out, _DECISIONS[decision], avro_bytes(row.artifact_id.encode()), zigzag(row.version), zigzag(row.first_seen_ms),
            zigzag(row.sightings), read, link, partition, zigzag(record.offset), self.context.rule, *rest,
        ))


_DECISIONS = {UNIQUE: zigzag(1), UPGRADED: zigzag(2), DUPLICATE: zigzag(3)}
_double = struct.Struct("<d").pack


def _lookup(rows: Rows, table: Any, keys: set[Any]) -> dict[bytes, Any]:
    ordered = list(keys)
    return dict(zip(ordered, rows.get_many(table, ordered), strict=True))


def _forgotten(known: Canonical | None, raw_ms: int, horizon_ms: int) -> bool:
    return known is None or not remembered(known.first_seen_ms, raw_ms, horizon_ms)
