"""STIX 2.1 bundles, from a file or the web: the objects that are new or were modified, each checked by OASIS's own library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import stix2
from stix2.exceptions import STIXError

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.fetch import OPTIONS, Web, text_of, validators
from streams.collectors.file import OPTIONS as FILE_OPTIONS
from streams.collectors.file import FileCollector
from streams.collectors.http import canonical
from streams.collectors.options import read
from streams.domain.tlp import strictest

REMEMBERED = 50_000  # objects
SKIPPED_MAX = 20
OBJECT_MAX = 64 << 10
TLP = {
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "CLEAR",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "GREEN",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "AMBER",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "AMBER+STRICT",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "RED",
    # TLP 1.0, as STIX 2.1 has it
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "CLEAR",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "GREEN",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "AMBER",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "RED",
}


class StixCollector:
    """Location: an http or https URL, or a path in the collector's `roots`."""

    capability = "stix"

    def __init__(self, options: Mapping[str, Any]) -> None:
        found = read(self.capability, options, {**OPTIONS, **FILE_OPTIONS})
        self.web = Web(found)
        self.files = FileCollector({"roots": found["roots"]})

    def collect(self, task: Task) -> Collected:
        memory: dict[str, Any] = {}
        if task.location.startswith(("http://", "https://")):
            response = self.web.changed(task)
            if response is None:
                return Collected(memory=dict(task.memory), unchanged=True)
            text, memory = text_of(response), validators(response)
        else:
            place = self.files.place(task)
            if place.stat().st_size > task.size_max_bytes:
                raise CollectError(f"{place.stat().st_size:,} bytes; at most {task.size_max_bytes:,} are taken")
            text = place.read_text(encoding="utf-8", errors="strict")
        try:
            bundle = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CollectError(f"no STIX bundle: {error}"[:200]) from error
        if (
            not isinstance(bundle, dict)
            or bundle.get("type") != "bundle"
            or not isinstance(bundle.get("objects"), list)
        ):
            raise CollectError("no STIX bundle: an object of type bundle with a list of objects was expected")
        return objects_of(bundle["objects"], task, memory)


def objects_of(objects: Iterable[Any], task: Task, memory: dict[str, Any]) -> Collected:
    """Those that are new, as artifacts. One that STIX does not allow is skipped; the rest counts."""
    seen: dict[str, str] = dict(task.memory.get("objects", {}))
    items: list[dict[str, Any]] = []
    skipped: list[str] = []
    number = 0
    for one in objects:
        number += 1
        if isinstance(one, dict) and seen.get(str(one.get("id")), "") == _version(one):
            continue
        task.left_s()
        try:
            if len(canonical(one)) > OBJECT_MAX:
                raise ValueError(
                    f"more than {OBJECT_MAX:,} characters: a pattern of that length takes minutes to check"
                )
            stix2.parse(one, allow_custom=True, version="2.1")
            one["id"].index("--")  # what it takes for a custom type may be anything
        except (STIXError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            skipped.append(f"{one.get('id', '?') if isinstance(one, dict) else one!r:.60}: {str(error)[:200]}")
            continue
        seen.pop(one["id"], None)
        seen[one["id"]] = _version(one)
        items.append(_item(one, task.location))
    if len(items) > task.items_max:
        raise CollectError(f"{len(items):,} new objects at once; at most {task.items_max:,} are taken")
    if skipped and not items and len(skipped) == number:
        raise CollectError(f"none of {number} objects is STIX 2.1; the first: {skipped[0]}"[:400])
    memory["objects"] = dict(list(seen.items())[-REMEMBERED:])
    return Collected(items, memory, unchanged=number > 0 and not items and not skipped, skipped=skipped[:SKIPPED_MAX])


def _version(one: Mapping[str, Any]) -> str:
    return str(one.get("modified") or one.get("created") or "-")


def _item(one: Mapping[str, Any], location: str) -> dict[str, Any]:
    marks = [TLP[mark] for mark in one.get("object_marking_refs", ()) if mark in TLP]
    metadata = {"source_type": "stix", "collection_method": "stix", "stix_type": one["type"]}
    if marks:
        metadata["tlp"] = strictest(marks)
    item = {
        "content": canonical(one),
        "content_type": "stix",
        "source": f"{location}#{one['id']}",
        "metadata": metadata,
    }
    if isinstance(one.get("confidence"), int):
        item["confidence"] = one["confidence"] / 100
    return item
