"""How a run will be judged: formula v1, its definitions and tolerances. Frozen; every run seals it as seq 1, before it does anything."""

from __future__ import annotations

from typing import Any

FORMULA = "0.45·job_success + 0.25·availability + 0.10·(1−gap_rate) + 0.10·drift_score + 0.10·(1−backpressure_rate)"

WEIGHTS_PERCENT = {
    "job_success": 45,
    "availability": 25,
    "gap_rate": 10,
    "drift_score": 10,
    "backpressure_rate": 10,
}
CONFIDENCE_PERCENT = 95
BLOCK_SLOTS = 60  # an hour at the default cadence; all limits that belong to ticks are multiples of it
OVERLONG_PERCENT = 92  # of the cadence: 55 s of 60 s
LATE_MS = 300_000  # what reaches the broker later than this after its slot is no evidence of it
FUTURE_MS = 5_000  # a record from further ahead of the broker is an anomaly

METHODOLOGY: dict[str, Any] = {
    "version": 1,
    "formula": FORMULA,
    "weights_percent": WEIGHTS_PERCENT,
    "definitions": {
        "job_success": "distinct (tick, job) whose last attempt succeeded with artifacts / distinct (tick, job) started; started without "
        "an end: failed; started before the cut and still in time: censored, shown",
        "availability": "expected slots with evidence of life and a completed tick / all expected slots; no evidence: down; no "
        "process_exit: a crash, down until the next start",
        "gap_rate": "expected ticks without tick_started / expected ticks, from the schedule in the manifest",
        "drift_score": "1/(1+s), s: standard deviation in seconds of tick lateness on the boot clock",
        "backpressure_rate": "(rejects + retries) / (accepts + rejects + retries)",
    },
    "job": "a target that was assigned in a tick; whoever emits the ticks starts it, and no one else can add one",
    "evidence": "what the broker had within 300 s of the end of its slot, by its own time; a job's end counts if the same run "
    "said the start, of several the worst; counted twice under one name: once, at its worst; a start when its tick is "
    "long over is no further attempt",
    "lost_records": "each one failed job; of whoever counts rejects, or of nobody knows whom: backpressure_rate 1; slots at the end "
    "without a word or a signed exit: as many failed jobs as ever were in one slot",
    "zero_denominator": "NOT EVALUABLE",
    "missing_evidence": "worst case in the headline, best case beside it",
    "verdict": "on the point estimate: from 99 % EXCELLENT, from 95 % GOOD, else NEEDS IMPROVEMENT; withheld where not evaluable",
    "confidence_percent": CONFIDENCE_PERCENT,
    "outage": "neighbouring slots with a loss; one where the machine slept is one, too",
    "intervals": "unit of evidence: the outage. Their worth: 2 S^2 / sum of squares of what each lost, at most their number. From 20: "
    "Wilson on the effective n, t quantile, on the low side also corrected for skewness (Hall 1992). Fewer: exact Poisson- "
    "exponential bound, or Clopper-Pearson on blocks, the higher one. None: 1 + ln(0.05)/blocks. Loss in more than half of "
    "all slots: whole blocks are the unit. Drift: jackknife over blocks. Composite: the lower of a joint stationary "
    "bootstrap and the sum of the components' bounds, each at 99 %; with no outage anywhere the rule of three on blocks; "
    "seed: first 8 bytes of SHA-256(root, bootstrap/v1)",
    "block_slots": BLOCK_SLOTS,
    "late_ms": LATE_MS,
    "overlong_percent": OVERLONG_PERCENT,
    "clock_step_ms": 1000,
    "future_ms": FUTURE_MS,
}
