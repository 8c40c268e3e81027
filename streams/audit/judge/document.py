"""The report as one JSON document."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from streams.audit.judge.judgement import Judgement
from streams.audit.record.methodology import FORMULA


def _plain(value: Any) -> Any:
    """For JSON: no numpy, no nan."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, 9) if np.isfinite(value) else None
    return value


def as_json(told: Judgement) -> dict[str, Any]:
    """Everything that the text and the page have."""
    slots = told.slots
    return _plain(
        {
            "of": told.of,
            "at_ms": told.at_ms,
            "simulated": told.simulated,
            "reliability": told.figure.value,
            "low": told.figure.low,
            "high": told.figure.high,
            "best_case": told.figure.best,
            "verdict": told.figure.verdict,
            "withheld": told.figure.withheld,
            "bounds": told.figure.bounds,
            "integrity": told.integrity,
            "completeness": told.completeness,
            "formula": FORMULA,
            "methodology": told.methodology,
            "root": told.root,
            "bootstrap": {
                "seed": None if told.figure.seed is None else str(told.figure.seed),
                "resamples_sha256": told.figure.resamples_sha256,
                "block_slots": told.figure.block_slots,
            },
            "schedule": None if told.schedule is None else told.schedule.json(),
            "other_schedules": told.others,
            "slots": None if slots is None else len(slots),
            "hours": None if told.coverage is None else {"judged": told.coverage[0], "planned": told.coverage[1]},
            "components": [
                {
                    "name": part.name,
                    "weight": part.weight,
                    "value": part.value,
                    "best_case": part.best,
                    "numerator": part.numerator,
                    "denominator": part.denominator,
                    "interval": None if part.interval is None else part.interval._asdict(),
                    "if_independent": part.naive,
                    **part.facts,
                }
                for part in told.parts
            ],
            "worst_component": None if told.worst is None else told.worst.name,
            "sensitivity": [{"weight": name, "halved": low, "half_more": high} for name, low, high in told.sensitivity],
            "numbers": told.numbers.json(),
            "types": told.types,
            "artifacts": told.artifacts,
            "conservation": [
                {"left": e.left, "value": e.value, "right": e.right, "residual": e.residual} for e in told.equations
            ],
            "outages": [asdict(outage) for outage in told.outages],
            "overlap": told.overlap,
            "findings": [asdict(finding) for finding in told.findings],
            "anomalies": told.anomalies,
            "lost": told.lost,
            "hosts": told.hosts,
            "warnings": told.warnings,
            "advice": told.advice,
        }
    )
