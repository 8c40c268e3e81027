"""RSS and Atom: the entries that were not there the last time."""

from __future__ import annotations

import io
from typing import Any

import feedparser
import requests

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.fetch import WebCollector, validators

REMEMBERED = 5_000  # entries


class FeedCollector(WebCollector):
    """Location: an http or https URL."""

    capability = "feed"

    def read(self, task: Task, response: requests.Response) -> Collected:
        # bytes alone would be tried as a file's name
        feed = feedparser.parse(io.BytesIO(response.content), response_headers=dict(response.headers.items()))
        task.left_s()
        if not feed.entries and not feed.get("version"):
            raise CollectError(f"no feed: {feed.get('bozo_exception', 'neither RSS nor Atom')}"[:300])
        seen = dict.fromkeys(task.memory.get("seen", ()))
        fresh = {_id(entry): entry for entry in feed.entries if _id(entry) not in seen}
        if len(fresh) > task.items_max:
            raise CollectError(f"{len(fresh):,} new entries at once; at most {task.items_max:,} are taken")
        items = [item for entry in fresh.values() if (item := _item(entry, task.location, feed.feed)) is not None]
        memory = {**validators(response), "seen": [*seen, *fresh][-REMEMBERED:]}
        return Collected(items, memory, unchanged=bool(feed.entries) and not fresh)


def _id(entry: Any) -> str:
    return str(entry.get("id") or entry.get("link") or entry.get("title") or "")[:500]


def _item(entry: Any, location: str, feed: Any) -> dict[str, Any] | None:
    """Title and text as one; None: it has neither."""
    longest = max((part.get("value", "") for part in entry.get("content", ())), key=len, default="")
    text = longest or entry.get("summary", "")
    title = entry.get("title", "")
    if not (title + text).strip():
        return None
    details = [*entry.get("content", ()), entry.get("summary_detail") or {}]
    is_html = any("html" in str(part.get("type", "")) for part in details) and "<" in text
    about = {
        "published": entry.get("published") or entry.get("updated"),
        "feed": feed.get("title"),
        "author": entry.get("author"),
    }
    metadata = {"source_type": "feed", "collection_method": "http"}
    metadata |= {name: str(value)[:500] for name, value in about.items() if value}
    return {
        "content": f"{title}\n\n{text}".strip(),
        "content_type": "html" if is_html else "text",
        "source": entry.get("link") or location,
        "metadata": metadata,
    }
