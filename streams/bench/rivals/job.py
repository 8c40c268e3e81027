"""What the rivals share: their arguments, s2's decision on one record at a time, and the clock over all of them."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from streams.agents.s2_dedup import _Decider
from streams.avro import avro_bytes, zigzag
from streams.domain.dedup import UNIQUE, Content, judge, remembered
from streams.runtime.stage import Context, Record
from streams.tables.canonicals import CANONICALS
from streams.tables.contents import CONTENTS
from streams.topology import load

# read the packed row of a key, write it
Rows = tuple[Callable[[bytes], bytes | None], Callable[[bytes, bytes], None]]


def arguments(engine: str) -> argparse.ArgumentParser:
    """What the benchmark's caller passes to every rival."""
    parser = argparse.ArgumentParser(description=f"s2's job on {engine}")
    parser.add_argument("--brokers", required=True, help="host:port,…")
    parser.add_argument("--input", required=True, help="topic of admitted events, 4 partitions")
    parser.add_argument("--output", required=True, help="topic for decided events")
    parser.add_argument("--count", required=True, type=int, help="records to process; the topic should hold no more")
    parser.add_argument("--group", required=True, help="consumer group, prefix of the changelogs; a new one each run")
    parser.add_argument("--state", required=True, type=Path, help="folder for RocksDB; an empty one each run")
    return parser


class Job:
    """The same work for every engine: slice, look up, judge, write back, encode. Time runs from the first record."""

    def __init__(self, engine: str, count: int) -> None:
        topology = load()
        self.engine, self.count = engine, count
        self.decider = _Decider(Context(topology, topology.agent("s2"), b"12345678", b"x" * 32))
        self.horizon_ms = topology.horizon_ms
        self.done = self.unique = 0
        self.started = (0.0, 0.0)
        self.seconds = self.cpu_seconds = 0.0

    def decide(self, record: Record, partition: int, canonicals: Rows, contents: Rows) -> bytes:
        """The record's `decided` event; its rows are written. Only a new dedup_hash asks for its content, as in s2."""
        if not self.done:
            self.started = (time.perf_counter(), time.process_time())
        key, value = record.key, record.value
        if key is None or value is None:
            raise ValueError(f"no admitted event at offset {record.offset}")
        facts = self.decider.slice(value)
        dedup_hash, source_digest, confidence, raw_ms, artifact_id, node_id, _, _, _ = facts
        get, put = canonicals
        packed = get(dedup_hash)
        known = None if packed is None else CANONICALS.unpack(packed)
        if known is not None and not remembered(known.first_seen_ms, raw_ms, self.horizon_ms):
            known = None
        decision, row = judge(artifact_id, confidence, raw_ms, known)
        put(dedup_hash, CANONICALS.pack(row))
        earlier = None
        if decision is UNIQUE:
            self.unique += 1
            get, put = contents
            packed = get(key)
            earlier = None if packed is None else CONTENTS.unpack(packed)
            if earlier is None or not remembered(earlier.first_seen_ms, raw_ms, self.horizon_ms):
                earlier = None
                put(key, CONTENTS.pack(Content(artifact_id, node_id, raw_ms, source_digest, confidence)))
        self.done += 1
        first_id, version, place = avro_bytes(row[0]), zigzag(row[1]), zigzag(partition) + zigzag(record.offset)
        return self.decider._encode(record, facts, decision, first_id, version, row, known, earlier, place)

    def flushed(self) -> None:
        """Stop the clock: outputs and changelogs are acknowledged, offsets committed."""
        self.seconds = time.perf_counter() - self.started[0]
        self.cpu_seconds = time.process_time() - self.started[1]

    def report(self) -> None:
        """The one line on stdout."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        print(
            json.dumps(
                {
                    "engine": self.engine,
                    "records": self.done,
                    "seconds": round(self.seconds, 3),
                    "cpu_seconds": round(self.cpu_seconds, 3),
                    "unique": self.unique,
                    "rss_mib": round(peak, 1),
                }
            ),
            flush=True,
        )
