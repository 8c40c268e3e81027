"""Which artifacts a STIX export is of, and how far what is known of each may be shared. Pure.

An artifact's marking is the strictest of all reports of its content, whoever made them and whenever: whether they are exported or not.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.domain.priority import ranked
from streams.domain.tlp import ORDER, RED, strictest

# why an artifact is left out, in the order in which it is asked
REASONS = {
    "red": "TLP:RED, which is never exported",
    "simulated": "simulated (--simulated takes them)",
    "gone": "of which the topic has no text any more",
    "stricter": "marked stricter than --tlp-max",
    "time": "outside of --since and --until",
    "limit": "beyond --limit",
}


class Report(NamedTuple):
    """An event of artifacts.decided. facts: its facts. at: (partition, offset). has_content: it carries the artifact itself."""

    content_hash: bytes
    event: Mapping[str, Any]
    at: tuple[int, int]
    has_content: bool

    @property
    def facts(self) -> Mapping[str, Any]:
        facts: Mapping[str, Any] = self.event["facts"]
        return facts


class Mark(NamedTuple):
    """How far something may be shared, and since when it has been so."""

    tlp: str
    since_ms: int


@dataclass
class Material:
    """What the topics say. Times are the broker's [ms].

    priorities: by dedup_hash, the newest and when it was written. votes: those that count, each with its verdict and when it was counted.
    registered: (kind of registration, name) -> when first and when last. standings: node -> effective reputation now.
    """

    reports: list[Report] = field(default_factory=list)
    priorities: dict[bytes, tuple[Mapping[str, Any], int]] = field(default_factory=dict)
    links: list[Mapping[str, Any]] = field(default_factory=list)
    votes: list[tuple[Mapping[str, Any], Mapping[str, Any], int]] = field(default_factory=list)
    scenarios: list[Mapping[str, Any]] = field(default_factory=list)
    registered: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    standings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Choice:
    """What is asked for. since_ms (included), until_ms (excluded): when the newest version of an artifact came, by the broker's time."""

    since_ms: int | None = None
    until_ms: int | None = None
    tlp_max: str = "AMBER+STRICT"
    limit: int | None = None
    simulated: bool = False


@dataclass(frozen=True)
class Artifact:
    """One to export. reports: those that are taken, in order; newest: the one whose text is exported, by the highest version."""

    canonical_id: str
    dedup_hash: bytes
    content_hash: bytes
    mark: Mark
    reports: list[Report]
    newest: Report
    priority: Mapping[str, Any] | None
    modified_ms: int

    @property
    def first(self) -> Report:
        return self.reports[0]


@dataclass(frozen=True)
class Chosen:
    """artifacts: the most urgent first. left_out: key of REASONS -> how many artifacts. marks: of every content that is on the topic."""

    choice: Choice
    artifacts: list[Artifact]
    left_out: Counter[str]
    marks: Mapping[bytes, Mark]


def choose(material: Material, choice: Choice) -> Chosen:
    """RED is never among them. Of more than `limit` those are taken that matter most now, as `icn top` has it."""
    marks = _marks(material)
    groups: dict[tuple[bytes, str], list[Report]] = defaultdict(list)
    for report in sorted(material.reports, key=lambda one: one.at):
        # a content that comes again behind the horizon is another artifact
        groups[report.facts["dedup_hash"], report.event["canonical_id"]].append(report)
    left_out, found = Counter[str](), []
    for reports in groups.values():
        mark = marks[reports[0].content_hash]
        taken = [one for one in reports if choice.simulated or not one.facts["simulated"]]
        versions = [one for one in taken if one.has_content]
        reason = _why_not(mark, reports, versions, choice)
        if reason is None:
            found.append(_artifact(mark, taken, versions[-1], material))
        else:
            left_out[reason] += 1
    found.sort(key=lambda one: (-_rank(one.priority, material.standings), one.canonical_id, one.dedup_hash))
    if choice.limit is not None and len(found) > choice.limit:
        left_out["limit"] = len(found) - choice.limit
        del found[choice.limit :]
    return Chosen(choice, found, left_out, marks)


def _rank(priority: Mapping[str, Any] | None, standings: Mapping[str, float]) -> float:
    """The higher the more urgent, at any time: by what is thought of its node now, not when it came."""
    if priority is None or priority["rank_key"] is None:
        return -math.inf
    effective = standings.get(priority["node_id"], priority["effective_reputation"])
    return ranked(priority["rank_key"], effective) if effective > 0 else -math.inf


def is_stricter(tlp: str, tlp_max: str) -> bool:
    """Whether it may not be shared so far."""
    return ORDER.index(tlp) > ORDER.index(tlp_max)


def strictest_of(marks: Iterable[Mark]) -> Mark:
    """Of at least one: in force since the last of them is."""
    every = list(marks)
    return Mark(strictest(mark.tlp for mark in every), max(mark.since_ms for mark in every))


def _marks(material: Material) -> dict[bytes, Mark]:
    said = [(one.facts["raw_ms"], one.content_hash, one.facts["tlp"]) for one in material.reports]
    # the feed may know of a report that the topic has no longer
    said += [(one["slot_ms"], one["content_hash"], one["tlp"]) for one in material.scenarios]
    marks: dict[bytes, Mark] = {}
    for ms, content_hash, tlp in sorted(said):
        known = marks.get(content_hash)
        now = strictest([tlp] if known is None else [tlp, known.tlp])
        if known is None or now != known.tlp:
            marks[content_hash] = Mark(now, ms)
    return marks


def _why_not(mark: Mark, reports: list[Report], versions: list[Report], choice: Choice) -> str | None:
    if mark.tlp == RED:
        return "red"
    if not versions:
        return "simulated" if any(one.has_content for one in reports) else "gone"
    if is_stricter(mark.tlp, choice.tlp_max):
        return "stricter"
    ms = versions[-1].facts["raw_ms"]
    if (choice.since_ms or 0) > ms or (choice.until_ms is not None and ms >= choice.until_ms):
        return "time"
    return None


def _artifact(mark: Mark, taken: list[Report], newest: Report, material: Material) -> Artifact:
    priority, scored_ms = material.priorities.get(newest.facts["dedup_hash"], (None, 0))
    if priority is not None and priority["canonical_id"] != newest.event["canonical_id"]:
        priority, scored_ms = None, 0
    last_ms = max(one.facts["raw_ms"] for one in taken)
    return Artifact(
        newest.event["canonical_id"],
        newest.facts["dedup_hash"],
        newest.content_hash,
        mark,
        taken,
        newest,
        priority,
        max(last_ms, scored_ms, mark.since_ms),
    )
