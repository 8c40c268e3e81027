"""Depth 3. artifacts.decided -> sketches: what each new text is compared by, from four partitions into one. No tables."""

from __future__ import annotations

import numpy as np

from streams.agents.deadletters import dead_letter
from streams.avro import zigzag
from streams.codec import HEADER_BYTES, Undecodable, current, decoder, encoder
from streams.domain.dedup import UNIQUE, UPGRADED
from streams.domain.sketch import sketch
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage

_UNIQUE = zigzag(["UNKNOWN", UNIQUE, UPGRADED].index(UNIQUE))


def stage(context: Context) -> Stage:
    """Sketch what nobody reported before."""
    return Stage(context.agent, (), _Decider(context).decide)


class _Decider:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.decode, self.decode_artifact, self.encode = decoder("decided"), decoder("artifact"), encoder("sketch")
        self.current = current("decided")

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        for record in batch.records:
            try:
                value = self.current(record.value or b"")
                if value[HEADER_BYTES : HEADER_BYTES + 1] != _UNIQUE:
                    decided.count("not_new")
                    continue
                event = self.decode(value)
                if event["corroborates"] is not None:  # the same text is there, from another source
                    decided.count("not_new")
                    continue
                content = self.decode_artifact(event["artifact"] or b"")["content"]
            except Undecodable as error:  # the topic is ours, so this is somebody's mistake
                dead_letter(self.context, batch, record, error.reason, str(error), decided)
                continue
            decided.event_ms = max(decided.event_ms, event["facts"]["raw_ms"])
            decided.count("sketched")
            made = sketch(content)
            value = self.encode(
                {
                    "dedup_hash": event["facts"]["dedup_hash"],
                    "artifact_id": event["canonical_id"],
                    "node_id": event["facts"]["node_id"],
                    "raw_ms": event["facts"]["raw_ms"],
                    "minima": made.minima.astype("<u4").tobytes(),
                    "terms": made.terms.astype("<u4").tobytes(),
                    "counts": np.minimum(made.counts, 0xFFFF).astype("<u2").tobytes(),
                    "simulated": event["facts"]["simulated"],
                    **_origin(batch, record),
                    "rule": self.context.rule,
                }
            )
            decided.send("sketches", {"key": record.key, "value": value})
        return decided


def _origin(batch: Batch, record: Record) -> dict[str, object]:
    return {"input_topic": batch.source, "input_partition": batch.partition, "input_offset": record.offset}
