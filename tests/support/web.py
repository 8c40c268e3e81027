"""A web server that does what a test tells it: well-behaved, slow, endless, or hostile."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Handler = BaseHTTPRequestHandler
Page = Callable[[Handler], None]


class Site:
    """pages: path -> what it answers. asked: (path, headers) in order."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.closing = threading.Event()
        site = self

        class Answer(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                site.asked.append((path, {name.lower(): value for name, value in self.headers.items()}))
                with contextlib.suppress(OSError):
                    site.pages.get(path, status(404))(self)
                self.close_connection = True

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("", 0), Answer)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str) -> str:
        return self.root + path

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def close(self) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """Its pages are set by the test."""
    made = Site()
    try:
        yield made
    finally:
        made.close()


def text(body: str | bytes, kind: str = "text/plain; charset=utf-8", **headers: str) -> Page:
    """200, with validators if they are given (etag=…, last_modified=…), and 304 for whoever has it already."""
    data = body.encode() if isinstance(body, str) else body

    def answer(to: Handler) -> None:
        named = {name.replace("_", "-").title(): value for name, value in headers.items()}
        etag = headers.get("etag")
        known = etag is not None and to.headers.get("If-None-Match") == etag
        to.send_response(304 if known else 200)
        for name, value in named.items():
            to.send_header(name, value)
        if not known:
            to.send_header("Content-Type", kind)
            to.send_header("Content-Length", str(len(data)))
        to.end_headers()
        if not known:
            to.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Page:
    def answer(to: Handler) -> None:
        to.send_response(code)
        for name, value in headers.items():
            to.send_header(name.replace("_", "-").title(), value)
        to.send_header("Content-Length", "0")
        to.end_headers()

    return answer


def redirect(where: str) -> Page:
    return status(302, location=where)


def hang(to: Handler) -> None:
    """Takes the request, and never says a word."""
    time.sleep(30)


def drip_head(to: Handler) -> None:
    """A letter of the header a tenth of a second, for ever."""
    for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 1000:
        to.wfile.write(bytes([letter]))
        to.wfile.flush()
        time.sleep(0.1)


def drip_body(to: Handler) -> None:
    to.send_response(200)
    to.send_header("Content-Type", "text/plain")
    to.send_header("Content-Length", "100000")
    to.end_headers()
    for _ in range(1000):
        to.wfile.write(b"a")
        to.wfile.flush()
        time.sleep(0.1)


def declared(size: int) -> Page:
    """Says how much is to come, and sends it."""

    def answer(to: Handler) -> None:
        to.send_response(200)
        to.send_header("Content-Type", "text/plain")
        to.send_header("Content-Length", str(size))
        to.end_headers()
        for _ in range(size >> 20):
            to.wfile.write(b"a" * (1 << 20))

    return answer


def endless(to: Handler) -> None:
    """Chunks, for ever."""
    to.send_response(200)
    to.send_header("Content-Type", "text/plain")
    to.send_header("Transfer-Encoding", "chunked")
    to.end_headers()
    while True:
        to.wfile.write(b"10000\r\n" + b"a" * (1 << 16) + b"\r\n")


def bomb(unpacked: int) -> Page:
    """A few kilobytes of gzip that unpack to so much."""
    data = gzip.compress(bytes(1 << 20)) * (unpacked >> 20)

    def answer(to: Handler) -> None:
        to.send_response(200)
        to.send_header("Content-Type", "text/plain")
        to.send_header("Content-Encoding", "gzip")
        to.send_header("Content-Length", str(len(data)))
        to.end_headers()
        to.wfile.write(data)

    return answer


def garbage(to: Handler) -> None:
    to.wfile.write(b"\x00\xff" * 500)


def cut_short(to: Handler) -> None:
    """Says 100 bytes, sends 10, and hangs up."""
    to.send_response(200)
    to.send_header("Content-Type", "text/plain")
    to.send_header("Content-Length", "100")
    to.end_headers()
    to.wfile.write(b"a" * 10)
