"""A certificate as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streams.units import human_ms


def page(of: Mapping[str, Any]) -> str:
    """Whatever it quotes is escaped."""
    import jinja2

    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    )
    results = of["results"]
    return template.render(
        of=of,
        facts=sum(one["facts"] for one in results),
        faults=sum(one["faults"] for one in results),
        minutes=human_ms(round(1000 * sum(one["seconds"] for one in results))),
    )
