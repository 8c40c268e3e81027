"""The page's parts as HTML, each by itself: what has not changed is not sent again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from streams.dashboard.contents import for_role
from streams.dashboard.roles import Role

TEMPLATES = Path(__file__).parent / "templates"
# in reading order; each is templates/<name>.html
SECTIONS = {
    "attention": "Needs attention",
    "flow": "Flow",
    "lag": "Consumer lag",
    "nodes": "Nodes and reputation",
    "top": "Top priorities",
    "feed": "Phoenix feed",
    "patterns": "Patterns",
    "ticks": "Ticks and reliability",
    "audit": "Audit log",
}


@cache
def _environment() -> jinja2.Environment:
    """Whatever a node, a group or a text says is escaped: names are strangers'."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(told: Mapping[str, Any], role: Role) -> dict[str, str]:
    """Name of a section -> its HTML, as this role may see it."""
    seen = for_role(told, role)
    return {name: _environment().get_template(f"{name}.html").render(seen) for name in SECTIONS}


def page(deployment: str, role: Role, sections: Mapping[str, str]) -> str:
    """The whole page. sections: of the last look; empty before the first."""
    template = _environment().get_template("page.html")
    return template.render(deployment=deployment, role=role.name, titles=SECTIONS, sections=sections)
