"""Patterns of the newest window as STIX groupings of the notes that are exported. Pure.

A pattern's terms and name are words of its texts. Where one of all its texts, exported or not, may not be shared so far as the export is,
or is not on the topic any more, the words are left out; the sample is never exported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from streams.domain.tlp import RED
from streams.watch.stix import Object, extended, made, percent
from streams.watch.stix_choice import Artifact, Chosen, Mark, is_stricter, strictest_of
from streams.watch.stix_speakers import Speakers
from streams.words import counted

PREFIX_BYTES = 8  # of a content_hash, in a pattern's member_hashes
CONTEXT = "unspecified"  # that many speak of it makes nothing suspicious

# why a pattern is left out
REASONS = {
    "red": "all of whose texts are TLP:RED",
    "simulated": "with simulated texts",
    "empty": "none of whose texts is exported",
}


def groupings(
    speakers: Speakers, chosen: Chosen, patterns: Iterable[Mapping[str, Any]]
) -> tuple[list[Object], Counter[str], int]:
    """(one for each pattern that has a text among the chosen; how many are left out, by key of REASONS; how many have no words)."""
    marks = {content_hash[:PREFIX_BYTES]: mark for content_hash, mark in chosen.marks.items()}
    notes: dict[bytes, list[Artifact]] = defaultdict(list)
    for artifact in chosen.artifacts:
        notes[artifact.content_hash[:PREFIX_BYTES]].append(artifact)
    found, left_out, silent = [], Counter[str](), 0
    for pattern in patterns:
        members = _members(pattern)
        of = [marks[member] for member in members if member in marks]
        inside = [artifact for member in members for artifact in notes.get(member, ())]
        if pattern["simulated"] and not chosen.choice.simulated:
            left_out["simulated"] += 1
        elif not inside:
            left_out["red" if of and all(mark.tlp == RED for mark in of) else "empty"] += 1
        else:
            is_whole = len(of) == len(members) and not any(is_stricter(m.tlp, chosen.choice.tlp_max) for m in of)
            silent += not is_whole
            found.append(_grouping(speakers, pattern, inside, strictest_of(of) if is_whole else None))
    return found, left_out, silent


def _members(pattern: Mapping[str, Any]) -> list[bytes]:
    hashes = pattern["member_hashes"]
    return [hashes[at : at + PREFIX_BYTES] for at in range(0, len(hashes), PREFIX_BYTES)]


def _grouping(speakers: Speakers, pattern: Mapping[str, Any], inside: list[Artifact], whole: Mark | None) -> Object:
    """whole: the marking of all its texts, if its words may be told."""
    mark = whole or strictest_of(artifact.mark for artifact in inside)
    said = {"name": pattern["name"], "terms": pattern["terms"]} if whole else {"name": pattern["pattern_id"]}
    texts, nodes = counted(pattern["size"], "text"), counted(pattern["nodes"], "node")
    return made(
        "grouping",
        speakers.id("grouping", pattern["pattern_id"]),
        pattern["born_ms"],
        max(pattern["slot_ms"], mark.since_ms),
        mark.tlp,
        speakers.network(mark.tlp),
        name=said["name"] or pattern["pattern_id"],
        description=f"{texts}, {pattern['share']:.1%} of its window, reported by {nodes}; {pattern['trend']}.",
        context=CONTEXT,
        object_refs=sorted({speakers.note_id(artifact) for artifact in inside}),
        confidence=percent(pattern["confidence"]),
        extensions=extended(
            pattern_id=pattern["pattern_id"],
            terms=said.get("terms"),
            characteristics=[one["name"] for one in pattern["characteristics"]] if whole else None,
            size=pattern["size"],
            share=pattern["share"],
            trend=pattern["trend"],
            nodes=pattern["nodes"],
            source_entropy_bits=pattern["source_entropy_bits"],
            stability=pattern["stability"],
        ),
    )
