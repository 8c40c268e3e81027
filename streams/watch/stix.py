"""STIX 2.1 objects as plain dicts: their ids, times and markings, the extension of our own, and one function for each kind. Pure.

An id is a UUIDv5 of what the object is of, `created` and `modified` are times of events: the same topics give the same objects.
Of what is optional, what has no value is left out. Times are given in ms since 1970, UTC.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.words import when

Object = dict[str, Any]

NAMESPACE = uuid.UUID("211983f1-02eb-49dc-b852-c92a46fb09c2")  # ours; not the one that STIX keeps for observables
CONTENT_MAX = 10_000  # characters of a content; as many as the patterns read
ABSTRACT_MAX = 100
DEFINED_MS = 1_795_651_200_000  # 2026-11-26: when what is the same in every deployment was defined
URL = re.compile(
    r"https?://([A-Za-z0-9.-]+\.[A-Za-z0-9-]+)(:\d{1,5})?([/?#](%[0-9A-Fa-f]{2}|[\w.~:/?@!$&'()*+,;=-])*)?", re.ASCII
)

# TLP 2.0, as the OASIS common objects repository has it
TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
TLP_CREATED = "2022-10-01T00:00:00.000Z"
MARKINGS = {
    "CLEAR": "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    "GREEN": "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "AMBER": "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "AMBER+STRICT": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
}  # and no RED: it is never exported

# property of our extension -> what it says
PROPERTIES = {
    "artifact_id": "id that its node gave it; of a note of several versions, of the first",
    "version": "which version of the artifact the text is of [1..]",
    "decision": "UNIQUE: the first; UPGRADED: seen before, with less confidence; DUPLICATE: seen before, with as much",
    "sightings": "how often it was reported, by any node [1..]",
    "content_type": "text, code, data, html, stix, ...: as the node said",
    "domain": "as the node said; unknown where it did not",
    "characters": "how long the whole text is; the object has the first 10,000 of them",
    "threat_level": "how dangerous, as the node said [0..10]",
    "opportunity_value": "how useful, as the node said [0..10]",
    "effective_reputation": "how far its node was believed when it came [0..0.9]",
    "priority_score": "how urgent it was when it was scored: claims x reputation x decay [0..1]",
    "content_hash": "keyed hash, equal for all reports of one content within a deployment [64 hex]",
    "dedup_hash": "the same, for source and metadata too [64 hex, ':', 16 hex]",
    "raw_at": "topic/partition/offset of the report",
    "decided_at": "topic/partition/offset of the decision on it",
    "independent": "whether the node reported the content from another source",
    "similarity": "TF-IDF cosine of two texts [0..1]; 1: the same content",
    "method": "how a near-duplicate was found",
    "weight": "what the judge's vote weighs [0..1]",
    "pattern_id": "lives on while a pattern's topic drifts",
    "terms": "what the pattern's texts say more often than others do, the strongest first, of weight 1",
    "characteristics": "lists of words that are used",
    "size": "texts in the pattern [1..]",
    "share": "of the window's texts (0..1]",
    "trend": "emerging, growing, fading or steady",
    "nodes": "how many reported its texts [1..]",
    "source_entropy_bits": "Shannon entropy of who reported them; 0: one node",
    "stability": "how well the pattern is found again [0..1]",
    "scenario_id": "of the artifact as it was fed to trainers",
    "difficulty": "of the scenario [0..10]",
    "objectives": "what there is to learn from it",
    "classification": "what a trainer is expected to say",
    "novelty": "how unlike what was fed before [0..1]",
    "rank": "its place by priority when it was fed [1..]",
}


def object_id(kind: str, *names: object) -> str:
    """Of what the names say it is of: the deployment first, where it is of one."""
    return f"{kind}--{uuid.uuid5(NAMESPACE, json.dumps([kind, *map(str, names)]))}"


EXTENSION = object_id("extension-definition", "artifact", 1)
AUTHOR = object_id("identity", "ICN")  # of the extension


def stamp(ms: int) -> str:
    """As STIX writes times."""
    return when(ms).replace(" ", "T")


def made(kind: str, id_: str, created_ms: int, modified_ms: int, tlp: str, author: str, **more: Any) -> Object:
    """An object with what all of them have. tlp: a key of MARKINGS. author: id of an identity; itself, if it has none."""
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": id_,
        "created": stamp(created_ms),
        "modified": stamp(max(created_ms, modified_ms)),
        "created_by_ref": author,
        "object_marking_refs": [MARKINGS[tlp]],
        **{name: value for name, value in more.items() if value is not None},
    }


def extended(**properties: Any) -> dict[str, Object]:
    """Properties of our extension, for `extensions`; None, what is empty (STIX has no empty lists), and what is no number where one should
    be, is left out."""
    said = {name: value for name, value in properties.items() if value not in (None, [], "") and _is_sound(value)}
    assert said.keys() <= PROPERTIES.keys()
    return {EXTENSION: {"extension_type": "property-extension", **said}}


def percent(share: float) -> int:
    """Confidence as STIX has it [0..100]."""
    return round(100 * min(max(share, 0.0), 1.0)) if math.isfinite(share) else 0


def _is_sound(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(map(_is_sound, value.values()))
    if isinstance(value, list):
        return all(map(_is_sound, value))
    return not isinstance(value, float) or math.isfinite(value)  # JSON has no infinity


def marking_definition(tlp: str) -> Object:
    """A TLP 2.0 marking, to the letter as OASIS publishes it: nobody may have another one of this id."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": MARKINGS[tlp],
        "created": TLP_CREATED,
        "name": f"TLP:{tlp}",
        "extensions": {TLP_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": tlp.lower()}},
    }


def identity(id_: str, name: str, class_: str, created_ms: int, modified_ms: int, tlp: str, **more: Any) -> Object:
    """Who speaks."""
    found = made("identity", id_, created_ms, modified_ms, tlp, id_, name=name, identity_class=class_, **more)
    del found["created_by_ref"]
    return found


def extension_objects() -> list[Object]:
    """What our extension is, and who says so: the same in every bundle of every deployment."""
    said = "A property extension of these properties, none of which is required: "
    definition = made(
        "extension-definition",
        EXTENSION,
        DEFINED_MS,
        DEFINED_MS,
        "CLEAR",
        AUTHOR,
        name="ICN artifact",
        description="What an ICN deployment knows of an artifact, of its reports, patterns and scenarios, that STIX has no words for.",
        schema=said + "; ".join(f"{name}: {meaning}" for name, meaning in PROPERTIES.items()),
        version="1.0.0",
        extension_types=["property-extension"],
    )
    about = "An event-sourced stream processor of collected intelligence: nodes report, its topics are the record."
    name = "ICN, the Intelligence Coordination Network"
    return [definition, identity(AUTHOR, name, "system", DEFINED_MS, DEFINED_MS, "CLEAR", description=about)]


def references(source: str | None) -> list[Object] | None:
    """external_references to where a text came from. What is no plain URL is told in words: a validator refuses it as `url`."""
    if not source:
        return None
    found = URL.fullmatch(source)
    if found is None:
        return [{"source_name": "source", "description": source}]
    return [{"source_name": found[1], "url": source}]


def shortened(text: str, length: int) -> str:
    """At most so many characters, the last of them … where something is missing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def bundle(objects: Iterable[Object]) -> tuple[str, int]:
    """The JSON of a bundle of them and of what they need, sorted: equal objects give equal bytes; and how many objects it has."""
    every = {one["id"]: one for one in [*objects, *extension_objects()]}
    borne = {mark for one in every.values() for mark in one["object_marking_refs"]}
    marks = [marking_definition(tlp) for tlp, id_ in MARKINGS.items() if id_ in borne]
    ordered = sorted([*every.values(), *marks], key=lambda one: one["id"])
    id_ = object_id("bundle", _json(ordered, None))
    return _json({"type": "bundle", "id": id_, "objects": ordered}, 2) + "\n", len(ordered)


def _json(value: Sequence[Object] | Object, indent: int | None) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=indent, allow_nan=False)
