"""What reputation costs the intake: s1's pure function with what it does for reputation, and with that taken out, in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streams.agents import admission, s1_intake
from streams.bench.load import SECRET, T0, raw_records
from streams.runtime.stage import Batch, Context, MemoryRows, Record
from streams.topology import Topology

BATCH, ROUNDS = 5_000, 12


def cost_in_s1(topology: Topology) -> tuple[float, float]:
    """(CPU µs of an artifact with, without), medians over rounds that take turns. Limits as in the topology given."""
    registrations, raw = raw_records(BATCH, BATCH, 10, SECRET)
    records = [Record(n, T0, key, value, headers) for n, (key, value, headers) in enumerate(raw)]
    told = [Record(n, T0, key, value) for n, (key, value, _) in enumerate(registrations)]
    taken: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * ROUNDS + 2):
        wanted = number % 2 == 0
        with _reputation(wanted):
            stage = s1_intake.stage(Context(topology, topology.agent("s1"), bytes(8), SECRET))
            rows = MemoryRows()
            rows.apply(stage.decide(rows, Batch("control", 0, told)).rows)
            started = time.thread_time()
            decided = stage.decide(rows, Batch("artifacts.raw", 0, records))
            seconds = time.thread_time() - started
        if decided.counts != {"admitted": BATCH}:
            raise AssertionError(decided.counts)
        if number >= 2:  # the first two warm the caches
            taken[wanted].append(seconds / BATCH * 1e6)
    return statistics.median(taken[True]), statistics.median(taken[False])


@contextmanager
def _reputation(wanted: bool) -> Iterator[None]:
    """What s1 computes for it alone: the seal of the facts and the sum of the claims. The rest is a look-up for each node and batch."""
    real: Any = (admission.seal, admission.claim)
    if not wanted:
        admission.seal = lambda *_: bytes(16)
        admission.claim = lambda *_: 0
    try:
        yield
    finally:
        admission.seal, admission.claim = real
