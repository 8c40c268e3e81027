"""RSS, Atom, STIX 2.1 and TAXII 2.1: from real servers, OASIS's own TAXII server among them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.feed import FeedCollector
from streams.collectors.stix import StixCollector
from streams.collectors.taxii import TaxiiCollector
from streams.errors import IcnError
from tests.support.web import Site, redirect, site, text

RSS = """<?xml version="1.0"?><rss version="2.0"><channel><title>News</title><link>https://example.org</link>{}</channel></rss>"""
ENTRY = "<item><title>Title {0}</title><link>https://example.org/{0}</link><guid>{0}</guid><description>Text {0}</description></item>"
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom"><title>News</title><id>urn:x</id><updated>2026-01-01T00:00:00Z</updated>
<entry><id>urn:1</id><title>One</title><updated>2026-01-01T00:00:00Z</updated>
<content type="html">&lt;b&gt;bold&lt;/b&gt;</content></entry></feed>"""
LAUGHS = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "{}">{}]><rss version="2.0"><channel><title>x</title>
<item><title>&z9;</title><guid>1</guid></item></channel></rss>""".format(
    "a" * 1000, "".join(f'<!ENTITY z{n} "{("&z" + str(n - 1) + ";" if n else "&a;") * 20}">' for n in range(10))
)
OUTSIDE = """<?xml version="1.0"?><!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss version="2.0"><channel><title>x</title>
<item><title>got &f;</title><guid>1</guid></item></channel></rss>"""

INDICATOR = {
    "type": "indicator", "spec_version": "2.1", "id": "indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
    "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "pattern": "[ipv4-addr:value = '10.0.0.1']",
    "pattern_type": "stix", "valid_from": "2026-01-01T00:00:00Z", "confidence": 80,
    "object_marking_refs": ["marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"],
}  # fmt: skip
MALWARE = {
    "type": "malware", "spec_version": "2.1", "id": "malware--31b940d4-6f7f-459a-80ea-9c1f17b5891b",
    "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": "SHIPSHAPE", "is_family": False,
}  # fmt: skip


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as made:
        yield made


def task(location: str, memory: dict[str, Any] | None = None, seconds: float = 20) -> Task:
    return Task("t", location, {}, memory or {}, time.monotonic() + seconds, 4 << 20, 1_000)


def feed(server: Site, body: str, memory: dict[str, Any] | None = None, **headers: str) -> Collected:
    server.pages["/feed"] = text(body, "application/rss+xml", **headers)
    return FeedCollector({"per_host": "0s"}).collect(task(server.url("/feed"), memory))


def bundle(*objects: Any) -> str:
    return json.dumps(
        {"type": "bundle", "id": "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d", "objects": list(objects)}
    )


# -- feeds ----------------------------------------------------------------


def test_a_feed_gives_the_entries_that_are_new(server: Site) -> None:
    first = feed(server, RSS.format(ENTRY.format(1)), etag='"1"')
    (item,) = first.items
    assert (item["content"], item["source"]) == ("Title 1\n\nText 1", "https://example.org/1")
    assert item["metadata"] == {"source_type": "feed", "collection_method": "http", "feed": "News"}
    assert feed(server, "", first.memory, etag='"1"').unchanged, "304"
    same = feed(server, RSS.format(ENTRY.format(1)) + "<!-- made anew -->", first.memory, etag='"2"')
    assert (same.items, same.unchanged) == ([], True)
    more = feed(server, RSS.format(ENTRY.format(2) + ENTRY.format(1)), first.memory, etag='"3"')
    assert [item["content"] for item in more.items] == ["Title 2\n\nText 2"]


def test_atom_and_html(server: Site) -> None:
    (item,) = feed(server, ATOM).items
    assert (item["content"], item["content_type"]) == ("One\n\n<b>bold</b>", "html")


@pytest.mark.parametrize("body", ["", "<html><body>hello</body></html>", "\x00\x01"])
def test_what_is_no_feed_is_a_failure(server: Site, body: str) -> None:
    with pytest.raises(CollectError, match="no feed"):
        feed(server, body)


def test_a_feed_without_entries_is_empty(server: Site) -> None:
    found = feed(server, RSS.format(""))
    assert (found.items, found.unchanged) == ([], False)


@pytest.mark.parametrize("body", [LAUGHS, OUTSIDE], ids=["a billion laughs", "a file of ours"])
def test_a_feed_that_is_a_bomb_or_a_spy_gets_nothing(server: Site, body: str) -> None:
    """Neither 10^13 letters nor /etc/passwd."""
    began = time.monotonic()
    try:
        found = feed(server, body)
    except CollectError:
        found = Collected()
    assert time.monotonic() - began < 5
    told = "".join(item["content"] for item in found.items)
    assert len(told) < 1 << 20 and "root:" not in told


# -- STIX and TAXII -------------------------------------------------------


def test_a_bundle_gives_each_object_that_is_new_or_modified(server: Site, tmp_path: Path) -> None:
    """From the web and from a file alike; one that is not STIX is skipped."""
    bad = {**MALWARE, "id": "malware--7"}
    server.pages["/b"] = text(bundle(INDICATOR, MALWARE, bad), "application/json")
    first = StixCollector({"per_host": "0s"}).collect(task(server.url("/b")))
    one, two = first.items
    assert (one["confidence"], one["metadata"]["tlp"], one["content_type"]) == (0.8, "AMBER", "stix")
    assert json.loads(two["content"]) == MALWARE and two["source"] == f"{server.url('/b')}#{MALWARE['id']}"
    assert len(first.skipped) == 1 and "malware--7" in first.skipped[0]
    (tmp_path / "b.json").write_text(bundle(INDICATOR, {**MALWARE, "modified": "2026-02-01T00:00:00.000Z"}))
    files = StixCollector({"roots": [str(tmp_path)]})
    (changed,) = files.collect(task(str(tmp_path / "b.json"), first.memory)).items
    assert changed["metadata"]["stix_type"] == "malware"
    assert files.collect(task(str(tmp_path / "b.json"), files.collect(task(str(tmp_path / "b.json"))).memory)).unchanged


@pytest.mark.parametrize(
    "body", ["", "[]", '{"type": "bundle"}', '{"type": "bundle", "objects": [{"type": "x"}, 7]}', "[" * 100_000]
)
def test_what_is_no_bundle_is_a_failure(server: Site, body: str) -> None:
    server.pages["/b"] = text(body, "application/json")
    with pytest.raises(CollectError, match=r"no STIX bundle|none of 2 objects"):
        StixCollector({"per_host": "0s"}).collect(task(server.url("/b")))


@pytest.fixture
def taxii(tmp_path: Path) -> Iterator[tuple[str, Any]]:
    """OASIS's server, with one collection in memory: (its URL, what adds objects)."""
    from medallion import load_app

    collection = "365fed99-08fa-4fdc-a1b3-fb247eb41d01"
    data = {
        "/discovery": {"title": "x", "default": "http://localhost/api/", "api_roots": ["http://localhost/api/"]},
        "api": {
            "information": {"title": "api", "versions": ["application/taxii+json;version=2.1"], "max_content_length": 9765625},
            "status": [],
            "collections": [
                {"id": collection, "title": "c", "can_read": True, "can_write": True,
                 "media_types": ["application/stix+json;version=2.1"], "objects": [], "manifest": []}
            ],
        },
    }  # fmt: skip
    (tmp_path / "data.json").write_text(json.dumps(data))
    config = {
        "backend": {
            "module": "medallion.backends.memory_backend",
            "module_class": "MemoryBackend",
            "filename": str(tmp_path / "data.json"),
        },
        "users": {"icn": "secret"},
        "taxii": {"max_page_size": 2},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    app = load_app(str(tmp_path / "config.json"))

    class Silent(WSGIRequestHandler):
        def log_message(self, *words: object) -> None: ...

    server = make_server("127.0.0.1", 0, app, handler_class=Silent)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api/collections/{collection}/"

    def add(*objects: dict[str, Any]) -> None:
        from taxii2client.v21 import Collection

        Collection(url, user="icn", password="secret").add_objects({"objects": list(objects)})

    yield url, add
    server.shutdown()
    server.server_close()


def test_a_collection_is_read_page_by_page_and_then_only_what_was_added(taxii: tuple[str, Any]) -> None:
    url, add = taxii
    others = [{**MALWARE, "id": f"malware--31b940d4-6f7f-459a-80ea-9c1f17b5891{n}", "name": f"m{n}"} for n in range(5)]
    add(*others)
    own = {"user": "icn", "password": "secret", "hosts": [urlsplit(url).netloc]}
    collector = TaxiiCollector({"per_host": "0s", **own})
    first = collector.collect(task(url))
    assert sorted(json.loads(item["content"])["name"] for item in first.items) == ["m0", "m1", "m2", "m3", "m4"]
    assert collector.collect(task(url, first.memory)).unchanged
    add(INDICATOR)
    (new,) = collector.collect(task(url, first.memory)).items
    assert new["metadata"]["stix_type"] == "indicator"
    for wrong in ({}, own | {"password": "wrong"}, own | {"hosts": ["example.org"]}):
        with pytest.raises(CollectError, match="401"):
            TaxiiCollector({"per_host": "0s", **wrong}).collect(task(url))


def test_a_password_is_for_the_hosts_that_are_named_and_not_for_where_they_redirect(server: Site) -> None:
    with pytest.raises(IcnError, match="a user without hosts"):
        TaxiiCollector({"user": "icn", "password": "secret"})
    with site() as other:
        server.pages["/c/"] = redirect(other.url("/c/"))
        own = {"per_host": "0s", "user": "icn", "password": "secret", "hosts": [urlsplit(server.root).netloc]}
        for place in (server.url("/c/"), other.url("/c/")):
            with pytest.raises(CollectError):
                TaxiiCollector(own).collect(task(place))
        assert "authorization" in server.asked[0][1]
        assert len(other.asked) >= 2 and not any("authorization" in headers for _, headers in other.asked)


@pytest.mark.parametrize("body", ["/dev/zero", "{path}"])
def test_a_feed_that_names_a_file_of_ours_is_no_feed(server: Site, body: str, tmp_path: Path) -> None:
    """A parser may take short bytes for a file's name."""
    (tmp_path / "secret.xml").write_text(RSS.format(ENTRY.format("secret")))
    with pytest.raises(CollectError, match="no feed"):
        feed(server, body.format(path=tmp_path / "secret.xml"))


def test_what_is_no_taxii_is_a_failure(server: Site) -> None:
    server.pages["/c/"] = text("{}", "application/json")
    with pytest.raises(CollectError, match="no TAXII"):
        TaxiiCollector({"per_host": "0s"}).collect(task(server.url("/c")))
