"""The report as one HTML file that needs nothing else: no network, no scripts."""

from __future__ import annotations

from pathlib import Path

from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.plots import pictures
from streams.audit.judge.questions import percent, questions
from streams.audit.judge.text import drift_facts, headline, numbers
from streams.audit.judge.text import evidence as evidence_of
from streams.audit.record.methodology import FORMULA
from streams.words import when


def page(told: Judgement, evidence: Evidence) -> str:
    """Whatever a log says is escaped: names in it are a stranger's."""
    import jinja2

    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    )
    return template.render(
        told=told,
        headline=headline(told),
        formula=FORMULA,
        questions=questions(told),
        pictures=pictures(told, evidence),
        numbers=numbers(told.numbers),
        percent=percent,
        evidence=evidence_of,
        drift_facts=drift_facts,
        when=when,
    )
