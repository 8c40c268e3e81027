"""A page or a file of the web: fetched only if it has changed. JSON, JSONL and CSV of artifacts are read as such, the rest is one."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import requests

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.fetch import WebCollector, text_of, validators
from streams.errors import ArtifactError
from streams.sdk.files import read_artifacts

# media type -> (suffix of the same thing in a file, type of its content)
KINDS = {
    "application/json": (".json", "data"),
    "application/jsonl": (".jsonl", "data"),
    "application/x-ndjson": (".jsonl", "data"),
    "text/csv": (".csv", "data"),
    "text/html": (".html", "html"),
    "application/xhtml+xml": (".html", "html"),
    "application/xml": (".xml", "data"),
    "text/xml": (".xml", "data"),
    "text/plain": (".txt", "text"),
    "text/markdown": (".md", "text"),
}
SKIPPED_MAX = 100  # told of; the rest is left out in silence
LOOK_EVERY = 1_000
STRUCTURED = (".json", ".jsonl", ".csv")


class HttpCollector(WebCollector):
    """Location: an http or https URL. `collect_format` of the target (json, jsonl, csv, html, txt) where the server's word isn't right."""

    capability = "http"

    def read(self, task: Task, response: requests.Response) -> Collected:
        digest = hashlib.sha256(response.content).hexdigest()
        memory = {**validators(response), "sha256": digest}
        if digest == task.memory.get("sha256"):  # a server that has no validators sends the same again
            return Collected(memory=memory, unchanged=True)
        if not response.content.strip():
            return Collected(memory=memory)
        suffix, type_ = _kind(task, response.headers.get("Content-Type", ""), response.url)
        source = {"source": response.url, "metadata": {"source_type": "web", "collection_method": "http"}}
        if suffix in STRUCTURED and (found := _artifacts(response.content, suffix, task)) is not None:
            items, skipped = found
            return Collected([{**source, **item} for item in items], memory, skipped=skipped)
        return Collected([{**source, "content": text_of(response), "content_type": type_}], memory)


def _kind(task: Task, media: str, url: str) -> tuple[str, str]:
    """(suffix, type of content). Raises CollectError for what is no text."""
    types = dict(KINDS.values())
    if (asked := task.option("format")) is not None:
        if f".{asked}" not in types:
            raise CollectError(f"collect_format is {asked!r}; there are: {', '.join(one[1:] for one in types)}")
        return f".{asked}", types[f".{asked}"]
    name = media.partition(";")[0].strip().lower()
    suffix = PurePosixPath(urlsplit(url).path).suffix.lower()
    if suffix in STRUCTURED and name in ("", "text/plain", "application/octet-stream"):
        return suffix, types[suffix]
    if name in KINDS:
        return KINDS[name]
    if name.endswith("+json"):
        return KINDS["application/json"]
    if name.startswith("text/") or not name or name.endswith("+xml"):
        return KINDS["text/plain"]
    raise CollectError(f"{name} is no text that could be taken")


def _artifacts(data: bytes, suffix: str, task: Task) -> tuple[list[dict[str, Any]], list[str]] | None:
    """Those in it and what could not be read; None: these are no artifacts, but it is one."""
    items: list[dict[str, Any]] = []
    skipped: list[str] = []
    for number, (where, fields) in enumerate(read_artifacts(f"answer{suffix}", data)):
        if len(items) > task.items_max:
            raise CollectError(f"more than {task.items_max:,} artifacts at once")
        if number % LOOK_EVERY == 0:
            task.left_s()
        if len(skipped) >= SKIPPED_MAX and "content" not in fields_of(fields):
            continue
        if isinstance(fields, ArtifactError):
            skipped.append(f"{where}: {fields}")
        elif "content" in fields:
            items.append(fields)
        else:
            skipped.append(f"{where}: no content")
    return (items, skipped) if items else None


def fields_of(found: dict[str, Any] | ArtifactError) -> dict[str, Any]:
    """{} of what is none."""
    return {} if isinstance(found, ArtifactError) else found


def canonical(value: Any) -> str:
    """JSON, the same for the same."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
