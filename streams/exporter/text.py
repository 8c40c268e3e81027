"""Gauges as text, which is the same in Prometheus' format and in OpenMetrics: for what a large cluster has thousands of."""

from __future__ import annotations

from collections.abc import Iterable

ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def labels_of(labels: dict[str, str]) -> str:
    """Without braces."""
    return ",".join([f'{name}="{value.translate(ESCAPES)}"' for name, value in labels.items()])


def gauge(name: str, about: str, samples: Iterable[tuple[str, float | None]]) -> str:
    """A family of (labels, value). None: not known, and absent."""
    return head(name, about) + "".join(
        [f"{name}{{{labels}}} {value}\n" for labels, value in samples if value is not None]
    )


def head(name: str, about: str) -> str:
    return f"# HELP {name} {about}\n# TYPE {name} gauge\n"
