"""Depth 2. artifacts.admitted -> artifacts.decided, receipts, corroborations; owns tables canonicals and contents."""

from __future__ import annotations

import struct

from streams.agents.deadletters import dead_letter
from streams.agents.receipts import Receipts
from streams.avro import avro_bytes, slicer, zigzag
from streams.codec import current, encoder, header, why
from streams.domain.dedup import (
    DUPLICATE,
    UNIQUE,
    UPGRADED,
    Canonical,
    Content,
    is_independent,
    judge,
    remembered,
)
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage, look_up
from streams.tables.canonicals import CANONICALS
from streams.tables.contents import CONTENTS

# dedup_hash, source_digest, confidence, raw_ms, artifact_id, node_id, simulated, and where the facts start and end in the record's value
Facts = tuple[bytes, bytes, float, int, bytes, bytes, bool, int, int]


def stage(context: Context) -> Stage:
    """Decide for each admitted artifact whether it is new."""
    return Stage(context.agent, (CANONICALS, CONTENTS), _Decider(context).decide)


class _Decider:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.horizon_ms = context.topology.horizon_ms
        self.slice = slicer(
            "admitted",
            "facts",
            ("dedup_hash", "source_digest", "confidence", "raw_ms", "artifact_id", "node_id", "simulated"),
        )
        self.encode_corroboration = encoder("corroboration")
        self.current, self.head_out = current("admitted"), header("decided")

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        horizon_ms = self.horizon_ms
        artifacts = self._read(batch, decided)
        canonicals = look_up(rows, CANONICALS, {facts[0] for _, _, facts in artifacts})
        # only the first of a dedup_hash asks who reported the content before; one row read too many changes nothing
        decided.event_ms = max((facts[3] for _, _, facts in artifacts), default=0)
        oldest_ms = decided.event_ms - horizon_ms
        asked = {key for key, _, facts in artifacts if (row := canonicals[facts[0]]) is None or row[3] < oldest_ms}
        contents = look_up(rows, CONTENTS, asked)
        new_canonicals: dict[bytes, Canonical] = {}
        new_contents: dict[bytes, Content] = {}
        messages = decided.outputs.setdefault("artifacts.decided", [])
        receipts = Receipts(self.context, batch)
        tally = {UNIQUE: 0, UPGRADED: 0, DUPLICATE: 0, "corroborated": 0}
        partition = zigzag(batch.partition)
        for key, record, facts in artifacts:
            dedup_hash, source_digest, confidence, raw_ms, artifact_id, node_id, _, _, _ = facts
            known = canonicals[dedup_hash]
            if known is not None and not remembered(known.first_seen_ms, raw_ms, horizon_ms):
                known = None
            decision, row = judge(artifact_id, confidence, raw_ms, known)
            canonicals[dedup_hash] = new_canonicals[dedup_hash] = row
            earlier = None
            if decision is UNIQUE:
                earlier = contents.get(key)
                if earlier is None or not remembered(earlier.first_seen_ms, raw_ms, horizon_ms):
                    earlier = None
                    contents[key] = new_contents[key] = Content(artifact_id, node_id, raw_ms, source_digest, confidence)
                elif is_independent(node_id, source_digest, earlier):
                    self._corroborate(key, record, facts, earlier, batch, decided)
            tally[decision] += 1
            tally["corroborated"] += earlier is not None
            first_id, version, at = avro_bytes(row[0]), zigzag(row[1]), zigzag(record[0])
            receipts.add_decided(node_id, artifact_id, _OUTCOMES[decision], at, first_id, version)
            value = self._encode(record, facts, decision, first_id, version, row, known, earlier, partition + at)
            messages.append({"key": key, "value": value})
        decided.rows = {CANONICALS: new_canonicals, CONTENTS: new_contents}
        for name, number in tally.items():
            if number:
                decided.count(name.lower(), number)
        receipts.send(decided)
        return decided

    def _read(self, batch: Batch, decided: Decided) -> list[tuple[bytes, Record, Facts]]:
        """Every record that is what s1 writes, with its facts; others are dead letters."""
        take, current = self.slice, self.current
        artifacts = []
        for record in batch.records:
            key, value = record.key, record.value
            try:
                if value is None or key is None or len(key) != 32:
                    raise ValueError("no admitted artifact under its content's hash")
                if (now := current(value)) is not value:
                    record = record._replace(value=now)
                artifacts.append((key, record, take(now)))
            except (ValueError, IndexError, struct.error) as error:  # the topic is ours, so this is somebody's mistake
                dead_letter(self.context, batch, record, "not_avro", why(error), decided)
        return artifacts

    def _corroborate(
        self, key: bytes, record: Record, facts: Facts, first: Content, batch: Batch, decided: Decided
    ) -> None:
        """Tell the first reporter's reputation. Who answers for the two nodes is s3's to know."""
        event = {
            "node_id": first.node_id.decode(errors="replace"),
            "artifact_id": first.artifact_id.decode(errors="replace"),
            "confidence": first.confidence,
            "content_hash": key,
            "by_node_id": facts[5].decode(errors="replace"),
            "by_artifact_id": facts[4].decode(errors="replace"),
            "simulated": facts[6],
            "raw_ms": facts[3],
            "input_topic": batch.source,
            "input_partition": batch.partition,
            "input_offset": record.offset,
            "rule": self.context.rule,
        }
        decided.send("corroborations", {"key": first.node_id, "value": self.encode_corroboration(event)})

    def _encode(
        self,
        record: Record,
        facts: Facts,
        decision: str,
        first_id: bytes,
        version: bytes,
        row: Canonical,
        known: Canonical | None,
        earlier: Content | None,
        place: bytes,
    ) -> bytes:
        """schemas/decided.avsc by hand: s1's facts and the original bytes are passed on, not decoded and made again."""
        value: bytes = record.value  # type: ignore[assignment]
        _, source_digest, _, _, _, node_id, _, start, end = facts
        seen = zigzag(row[3])
        # read: null, or the row as it was; its first_seen is the one that is written anyway
        read = b"\0" if known is None else b"\2%b%b%b%b" % (zigzag(known[1]), _double(known[2]), seen, zigzag(known[4]))
        corroborates = (
            b"\0"
            if earlier is None
            else b"\2%b%b%b%b%b%b"
            % (
                avro_bytes(earlier[0]),
                avro_bytes(earlier[1]),
                zigzag(earlier[2]),
                earlier[3],
                b"\1" if is_independent(node_id, source_digest, earlier) else b"\0",
                _double(earlier[4]),
            )
        )
        # admitted's artifact is `bytes`, decided's `null or bytes`: the same bytes behind the union's branch
        artifact = b"\0" if decision is DUPLICATE else b"\2" + value[end:]
        return b"".join(
            (
                self.head_out,
                _DECISIONS[decision],
                first_id,
                version,
                seen,
                zigzag(row[4]),
                read,
                corroborates,
                place,
                self.context.rule,
                value[start:end],
                artifact,
            )
        )


_DECISIONS = {UNIQUE: zigzag(1), UPGRADED: zigzag(2), DUPLICATE: zigzag(3)}
_OUTCOMES = {UNIQUE: "unique", UPGRADED: "upgraded", DUPLICATE: "duplicate"}
_double = struct.Struct("<d").pack
