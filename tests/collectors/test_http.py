"""The web, as it is and as it should not be: each page served by a real server."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from streams.collectors import fetch as fetching
from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.http import HttpCollector
from tests.support import web
from tests.support.web import Page, Site, site, text


@pytest.fixture
def server() -> Iterator[Site]:
    with site() as made:
        yield made


def collector(**options: Any) -> HttpCollector:
    return HttpCollector({"per_host": "0s", **options})


def task(url: str, memory: dict[str, Any] | None = None, seconds: float = 20, size: int = 1 << 20, **meta: str) -> Task:
    return Task("t", url, meta, memory or {}, time.monotonic() + seconds, size, 1_000)


def fetch(server: Site, page: Page, path: str = "/page", **more: Any) -> Collected:
    server.pages[path] = page
    return collector().collect(task(server.url(path), **more))


def test_a_page_is_one_artifact(server: Site) -> None:
    found = fetch(server, text("<p>SHIPSHAPE</p>", "text/html"))
    assert [dict(item) for item in found.items] == [
        {
            "content": "<p>SHIPSHAPE</p>",
            "content_type": "html",
            "source": server.url("/page"),
            "metadata": {"source_type": "web", "collection_method": "http"},
        }
    ]


def test_what_has_not_changed_is_not_sent_again(server: Site) -> None:
    """The server's word, 304; and the same bytes from one that has none."""
    first = fetch(server, text("one", etag='"v1"'))
    again = fetch(server, text("one", etag='"v1"'), memory=first.memory)
    assert (again.unchanged, again.items, again.memory) == (True, (), first.memory)
    assert server.asked[-1][1]["if-none-match"] == '"v1"'
    changed = fetch(server, text("two", etag='"v2"'), memory=first.memory)
    assert [item["content"] for item in changed.items] == ["two"]
    mute = fetch(server, text("two"), memory=changed.memory)
    assert (mute.unchanged, mute.items) == (True, ())


@pytest.mark.parametrize(
    ("body", "kind", "path"),
    [
        ('{"content": "a"}\n{"content": "b"}\nbroken\n', "application/x-ndjson", "/x"),
        ('[{"content": "a"}, {"content": "b"}, 7]', "application/json", "/x"),
        ("content,domain\na,web\nb,web\n,\n", "text/csv", "/x"),
        ("content,domain\na,web\nb,web\n", "text/plain", "/x.csv"),
    ],
)
def test_artifacts_in_json_lines_or_a_table_are_read_one_by_one(server: Site, body: str, kind: str, path: str) -> None:
    """What can't be read is told; the rest counts."""
    found = fetch(server, text(body, kind), path)
    assert [item["content"] for item in found.items] == ["a", "b"]
    assert len(found.skipped) == (path == "/x")


def test_little_is_told_of_much_that_can_not_be_read(server: Site) -> None:
    found = fetch(server, text("[" + "1," * 100_000 + '{"content": "a"}]', "application/json"))
    assert (len(found.items), len(found.skipped)) == (1, 100)


def test_other_json_is_one_artifact_and_the_target_may_say_what_it_is(server: Site) -> None:
    (item,) = fetch(server, text('{"cve": 1}', "application/json")).items
    assert (item["content"], item["content_type"]) == ('{"cve": 1}', "data")
    (item,) = fetch(server, text("<x/>", "application/octet-stream"), collect_format="html").items
    assert item["content_type"] == "html"


def test_a_redirect_is_followed_and_the_source_is_where_it_led(server: Site) -> None:
    server.pages["/new"] = text("here")
    (item,) = fetch(server, web.redirect("/new")).items
    assert item["source"] == server.url("/new")


def test_a_public_server_does_not_lead_into_the_network(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 plays the world, 127.0.0.2 the network: not a byte is sent there. From inside one may go anywhere."""
    other = server.url("/new").replace("127.0.0.1", "127.0.0.2")
    server.pages["/new"] = text("a secret")
    monkeypatch.setattr(fetching, "is_inside", lambda address: address == "127.0.0.2")
    with pytest.raises(CollectError, match=r"leads to 127\.0\.0\.2, inside of a network"):
        fetch(server, web.redirect(other))
    assert "/new" not in server.paths()
    monkeypatch.undo()
    assert len(fetch(server, web.redirect(other)).items) == 1


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("127.0.0.1", True),
        ("10.1.2.3", True),
        ("169.254.169.254", True),
        ("::1", True),
        ("fe80::1%eth0", True),
        ("8.8.8.8", False),
    ],
)
def test_inside_is_what_the_world_can_not_ask(address: str, inside: bool) -> None:
    assert fetching.is_inside(address) == inside


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (web.redirect("/page"), "more than 5 redirects"),
        (web.redirect("file:///etc/passwd"), "file:///etc/passwd"),
        (web.status(404), "HTTP 404"),
        (web.status(500), "HTTP 500"),
        (web.hang, "timeout"),
        (web.drip_head, "timeout"),
        (web.drip_body, "timeout"),
        (web.declared(10 << 30), "10,737,418,240 bytes; at most 1,048,576"),
        (web.endless, "more than 1,048,576 bytes"),
        (web.bomb(900 << 20), "more than 1,048,576 bytes, unpacked"),
        (web.garbage, "BadStatusLine"),
        (web.cut_short, "10 bytes read, 90 more expected"),
        (text(b"\xff\xfe", "text/plain; charset=utf-8"), "no text"),
        (text("x", "text/plain; charset=nonsense"), "no text"),
        (text("a" * 1_000_000, "text/plain; charset=punycode"), "no text"),  # hours of CPU
        (text(b"%PDF", "application/pdf"), "application/pdf is no text"),
    ],
    ids=lambda value: "" if isinstance(value, str) else getattr(value, "__name__", ""),
)
def test_what_a_bad_server_does_is_a_failure_in_time_and_in_little_room(server: Site, page: Page, words: str) -> None:
    """Two seconds are given; none takes three, and none more than a few megabytes."""
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(CollectError) as told:
        fetch(server, page, seconds=2)
    took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words in str(told.value) or words == "BadStatusLine"
    assert took < 3 and peak < 64 << 20, f"{took:.1f} s, {peak >> 20} MiB"


def test_nobody_listens_there(server: Site) -> None:
    server.close()
    with pytest.raises(CollectError, match="refused"):
        collector(robots=False).collect(task(server.url("/page")))
    with pytest.raises(CollectError, match="no such host"):
        collector(robots=False).collect(task("http://no-such-host.invalid/"))


def test_robots_are_heeded(server: Site) -> None:
    server.pages |= {
        "/robots.txt": text("User-agent: *\nDisallow: /private\n"),
        "/private/x": text("x"),
        "/open": text("y"),
    }
    polite = collector()
    with pytest.raises(CollectError, match="forbids it"):
        polite.collect(task(server.url("/private/x")))
    assert polite.collect(task(server.url("/open"))).items
    assert server.paths() == ["/robots.txt", "/open"], "asked once"
    assert collector(robots=False).collect(task(server.url("/private/x"))).items


def test_a_host_is_not_asked_again_at_once(server: Site) -> None:
    """Half a second between two requests, and whoever can't wait so long fails at once; 429 is obeyed."""
    server.pages |= {"/page": text("x"), "/busy": web.status(429, retry_after="600")}
    polite = collector(per_host="500ms", robots=False)
    began = time.monotonic()
    for _ in range(3):
        polite.collect(task(server.url("/page")))
    assert time.monotonic() - began > 0.99
    with pytest.raises(CollectError, match="HTTP 429"):
        polite.collect(task(server.url("/busy")))
    with pytest.raises(CollectError, match="asked too often"):
        polite.collect(task(server.url("/page")))
