"""The nine numbers of a log, its events by type, and what is odd about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from streams.audit.judge.believed import Believed
from streams.audit.judge.evidence import NONE, Evidence

HOUR_MS = 3_600_000


@dataclass(frozen=True)
class NineNumbers:
    """success null is in neither of successful and failed. Durations in seconds; None where nothing has one."""

    total: int
    successful: int
    failed: int
    success_rate: float | None
    mean_s: float | None
    median_s: float | None
    p95_s: float | None
    per_hour: float | None
    longest_gap_s: float | None

    def json(self) -> dict[str, Any]:
        return asdict(self)


def nine_numbers(evidence: Evidence, believed: Believed) -> NineNumbers:
    """Of every record that is believed. Times are the broker's."""
    keep = believed.keeps(np.array(evidence.place, dtype=np.int64))
    ts_ms = np.sort(np.array(evidence.ts_ms, dtype=np.int64)[keep])
    success = np.array(evidence.success, dtype=np.int8)[keep]
    took_ns = np.array(evidence.duration_ns, dtype=np.int64)[keep]
    took_s = took_ns[took_ns != NONE] / 1e9
    good, bad = int(np.sum(success == 1)), int(np.sum(success == 0))
    span_ms = int(ts_ms[-1] - ts_ms[0]) if len(ts_ms) else 0
    return NineNumbers(
        total=len(ts_ms),
        successful=good,
        failed=bad,
        success_rate=good / (good + bad) if good + bad else None,
        mean_s=float(took_s.mean()) if len(took_s) else None,
        median_s=float(np.median(took_s)) if len(took_s) else None,
        p95_s=float(np.percentile(took_s, 95)) if len(took_s) else None,
        per_hour=len(ts_ms) / (span_ms / HOUR_MS) if span_ms else None,
        longest_gap_s=float(np.diff(ts_ms).max()) / 1000 if len(ts_ms) > 1 else None,
    )
