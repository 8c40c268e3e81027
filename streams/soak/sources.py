"""Made-up sources for a run without a fleet of its own: a folder that grows, pages, a feed and a bundle that change."""

from __future__ import annotations

import http.server
import json
import random
import threading
import time
from pathlib import Path

from streams.collectors.config import parse
from streams.domain.targets import Target
from streams.local.fleet import Fleet, Member

NAMES = ("SHIPSHAPE", "COBALT", "LANTERN", "DRIFTWOOD", "MAGPIE", "OSPREY", "TINDER", "HALYARD")
DEEDS = (
    "seen in the wild",
    "beacons every minute",
    "spreads by mail",
    "sold on a forum",
    "was patched",
    "has a new loader",
)
ENTRIES = 20
LINES = 5_000  # then the file begins anew
BUNDLE = "bundle--5d0092c5-5f74-4287-9642-33f4c354e56d"
CHANGES_S = 12.0  # at least: a newcomer may send a thousand artifacts an hour


def made_up(folder: Path, port: int, cadence_ms: int) -> Fleet:
    """Three nodes and six targets."""
    web, files = f"http://127.0.0.1:{port}", str(folder)
    polite = {"per_host": "0s", "robots": False}
    members = {
        "files": _member("files", {"file": {"roots": [files]}, "stix": {"roots": [files]}}),
        "web-1": _member("web-1", {"http": polite, "feed": polite}),
        "web-2": _member("web-2", {"http": polite, "feed": polite, "stix": polite}),
    }

    def every(ticks: int, type_: str, location: str, priority: int) -> Target:
        interval_ms = max(1_000, ticks * cadence_ms)
        return Target(type_, location, priority, interval_ms, interval_ms, (("domain", type_),))

    return Fleet(
        members,
        (
            every(1, "file", f"{files}/findings.jsonl", 8),
            every(2, "file", f"{files}/notes", 4),
            every(2, "http", f"{web}/page", 6),
            every(3, "http", f"{web}/findings.jsonl", 5),
            every(2, "feed", f"{web}/feed.xml", 7),
            every(5, "stix", f"{web}/bundle.json", 9),
        ),
    )


def _member(name: str, collectors: dict[str, dict[str, object]]) -> Member:
    raw = {"node": name, "capacity": 3, "collectors": collectors, "defaults": {"simulated": True}}
    return Member("soak", parse(raw), raw)


def finding(number: int) -> dict[str, object]:
    """The same for the same number."""
    chance = random.Random(number)
    words = f"{chance.choice(NAMES)} {chance.choice(DEEDS)}, case {number}"
    return {"content": words, "confidence": round(chance.random(), 2), "threat_level": chance.randrange(11)}


def page(path: str, number: int) -> tuple[str, str] | None:
    """(media type, body) of a page at that time."""
    said = str(finding(number)["content"])
    if path == "/page":
        return "text/html", f"<p>{said}</p>"
    if path == "/findings.jsonl":
        return "application/x-ndjson", json.dumps(finding(number + 1)) + "\n"
    if path == "/feed.xml":
        items = "".join(
            f"<item><title>{finding(n)['content']}</title><guid>{n}</guid></item>"
            for n in range(number, number - ENTRIES, -1)
        )
        return "application/rss+xml", f'<rss version="2.0"><channel><title>made up</title>{items}</channel></rss>'
    if path == "/bundle.json":
        return "application/json", json.dumps({"type": "bundle", "id": BUNDLE, "objects": [_malware(number, said)]})
    return None


def _malware(number: int, said: str) -> dict[str, object]:
    return {
        "type": "malware", "spec_version": "2.1", "id": f"malware--31b940d4-6f7f-459a-80ea-{number % (1 << 48):012x}",
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": said, "is_family": False,
    }  # fmt: skip


def serve(folder: Path, port: int, every_s: float, stop: threading.Event) -> None:
    """Until then: grow and change, and answer."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = int(time.time() / every_s)
            found, etag = page(self.path, number), f'"{number}"'
            known = found is not None and self.headers.get("If-None-Match") == etag
            media, body = ("text/plain", "") if found is None or known else found
            self.send_response(404 if found is None else 304 if known else 200)
            self.send_header("ETag", etag)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *words: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer)
    threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True).start()
    (folder / "notes").mkdir(parents=True, exist_ok=True)
    while True:
        number = int(time.time() / every_s)
        with (folder / "findings.jsonl").open("w" if number % LINES == 0 else "a") as lines:
            lines.write(json.dumps(finding(number + 2)) + "\n")
        (folder / "notes" / f"{number % 5}.txt").write_text(f"{finding(number + 3)['content']}\n")
        if stop.wait(every_s):
            server.shutdown()
            return


def main(arguments: list[str]) -> None:
    """folder, port, seconds between changes; until SIGTERM."""
    import signal

    from streams.runtime.worker import hold_on_to_lifeline

    hold_on_to_lifeline()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    serve(Path(arguments[0]), int(arguments[1]), float(arguments[2]), stop)


if __name__ == "__main__":
    import sys

    main(sys.argv[1:])
