"""HTTP for collectors: requests, with an end. No server can make it wait past its time, take more than its room, or send it in circles."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

import requests
import urllib3
from requests.adapters import HTTPAdapter

from streams import __version__
from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.options import read, seconds

REDIRECTS_MAX = 5
CHUNK = 1 << 16
WAIT_MAX_S = 10.0  # for a single word of the server
ROBOTS_FOR_S = 3_600.0
ROBOTS_MAX_BYTES = 500 << 10  # RFC 9309
CHARSETS = re.compile(
    r"(utf[-_]?(8|8-sig|16|16le|16be|32)|us-ascii|ascii|latin-?1|iso-?8859-\d+|windows-\d+|cp\d+|koi8-[ru]|"
    r"gb(2312|k|18030)|big5|euc-(jp|kr)|shift[-_]jis|iso-2022-jp)",
    re.IGNORECASE,
)
AGENT = f"icn-streams/{__version__}"

OPTIONS: dict[str, tuple[Any, Any]] = {
    "user_agent": (str, AGENT),
    "per_host": (seconds, "1s"),  # between two requests to a host
    "robots": (bool, True),
}


class Pace:
    """Of all of a node's threads: one request to a host at a time, with a pause; longer where it asked for that."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self._lock = threading.Lock()
        self._free_s: dict[str, float] = {}

    def wait(self, host: str, task: Task) -> None:
        """For our turn. Raises CollectError if it comes too late."""
        with self._lock:
            at = max(time.monotonic(), self._free_s.get(host, 0.0))
            if at > task.ends_s:
                raise CollectError(f"{host} is asked too often: its next turn is after the deadline")
            self._free_s[host] = at + self.pause_s
        time.sleep(max(0.0, at - time.monotonic()))

    def rest(self, host: str, for_s: float) -> None:
        """It wants to be left alone."""
        with self._lock:
            self._free_s[host] = max(self._free_s.get(host, 0.0), time.monotonic() + for_s)


class Web:
    """What requests of a node share. options: of the collector, see OPTIONS."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.agent, self.heeds_robots = options["user_agent"], options["robots"]
        self.pace = Pace(options["per_host"])
        self._robots: dict[str, tuple[float, RobotFileParser]] = {}

    def get(self, task: Task, url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """The response, whole, of status 200 or 304. Raises CollectError."""
        with self.session(task) as session:
            if self.heeds_robots and not self._may(session, task, url):
                raise CollectError(f"{urlsplit(url).netloc}/robots.txt forbids it")
            return self._get(session, task, url, headers or {})

    def changed(self, task: Task) -> requests.Response | None:
        """The target's location, if it has changed since its last success; None: the server says that it hasn't. Raises CollectError."""
        names = {"etag": "If-None-Match", "last_modified": "If-Modified-Since"}
        asked = {header: str(task.memory[name]) for name, header in names.items() if task.memory.get(name)}
        response = self.get(task, task.location, asked)
        return None if response.status_code == 304 else response

    @contextlib.contextmanager
    def session(self, task: Task) -> Iterator[requests.Session]:
        """For one task. At its deadline every connection is cut, whatever is going on there."""
        sockets: list[tuple[socket.socket, bool]] = []  # in the order of use; whether its peer is inside of a network
        session = _Session()
        session.max_redirects = REDIRECTS_MAX
        session.headers.update({"User-Agent": self.agent, "Connection": "close"})
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Bounded(task, self.pace, sockets))
        timer = threading.Timer(task.left_s(), _cut, (sockets,))
        timer.daemon = True
        timer.start()
        try:
            yield session
        except CollectError:
            raise
        except requests.TooManyRedirects as error:
            raise CollectError(f"more than {REDIRECTS_MAX} redirects") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            task.left_s()
            raise CollectError(_words(error)) from error
        finally:
            timer.cancel()
            session.close()

    def _get(self, session: requests.Session, task: Task, url: str, headers: Mapping[str, str]) -> requests.Response:
        response = session.get(url, headers=dict(headers))
        if response.status_code in (429, 503):
            asked = response.headers.get("Retry-After", "")
            self.pace.rest(urlsplit(response.url).netloc, float(asked) if asked.isdecimal() else 60.0)
        if response.status_code not in (200, 304):
            raise CollectError(f"HTTP {response.status_code} {response.reason}"[:200])
        return response

    def _may(self, session: requests.Session, task: Task, url: str) -> bool:
        parts = urlsplit(url)
        site = f"{parts.scheme}://{parts.netloc}"
        known = self._robots.get(site)
        if known is None or time.monotonic() - known[0] > ROBOTS_FOR_S:
            rules = RobotFileParser()
            response = session.get(f"{site}/robots.txt")
            if response.status_code == 200:
                rules.parse(response.content[:ROBOTS_MAX_BYTES].decode("utf-8", "replace").splitlines())
            else:  # RFC 9309: what isn't there forbids nothing, a server in trouble is left alone
                rules.parse(["User-agent: *", "Disallow: /" if response.status_code >= 500 else "Disallow:"])
            known = self._robots[site] = (time.monotonic(), rules)
        return known[1].can_fetch(self.agent, url)


class WebCollector(ABC):
    """What collectors of one URL have in common; `read` makes artifacts of an answer that has changed."""

    capability: str

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.web = Web(read(self.capability, options, OPTIONS))

    def collect(self, task: Task) -> Collected:
        response = self.web.changed(task)
        if response is None:
            return Collected(memory=dict(task.memory), unchanged=True)
        return self.read(task, response)

    @abstractmethod
    def read(self, task: Task, response: requests.Response) -> Collected:
        """Raises CollectError."""


class _Session(requests.Session):
    """Gives away nothing of this machine's: no netrc, and what was sent to one host is not sent to where it redirects."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _nothing  # with none at all, netrc would be asked

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        before, now = urlsplit(response.request.url or ""), urlsplit(prepared_request.url or "")
        if (before.scheme, before.netloc) != (now.scheme, now.netloc):
            prepared_request.headers.pop("Authorization", None)


def _nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


class _Bounded(HTTPAdapter):
    """Reads each answer, redirects too, within the task's time and room."""

    def __init__(self, task: Task, pace: Pace, sockets: list[tuple[socket.socket, bool]]) -> None:
        self.task, self.pace, self.sockets = task, pace, sockets
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self.sockets)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        task, url = self.task, request.url or ""
        self.pace.wait(urlsplit(url).netloc, task)
        wait_s = min(WAIT_MAX_S, task.left_s())
        self.poolmanager.clear()  # a connection that was kept may just be closing at the other end
        response = super().send(request, stream=True, timeout=(wait_s, wait_s), verify=kwargs.get("verify", True))
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal() and int(declared) > task.size_max_bytes:
            response.raw.close()
            raise CollectError(f"{int(declared):,} bytes; at most {task.size_max_bytes:,} are taken")
        response._content = self._body(response)
        response._content_consumed = True  # type: ignore[attr-defined]
        return response

    def _body(self, response: requests.Response) -> bytes:
        found = bytearray()
        # read1 returns what is there and unpacks no more than asked for: neither a drop a second nor a bomb gets past the next check
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            found += chunk
            self.task.left_s()
            if len(found) > self.task.size_max_bytes:
                response.raw.close()
                raise CollectError(f"more than {self.task.size_max_bytes:,} bytes, unpacked")
        self.task.left_s()  # at the deadline the connection is cut, which looks like an end
        return bytes(found)


def _pools(sockets: list[tuple[socket.socket, bool]]) -> dict[str, Any]:
    """urllib3's own, with connections that tell of their socket."""

    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _keep(self.sock, sockets)

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _keep(self.sock, sockets)

    plain = type("Plain", (urllib3.HTTPConnectionPool,), {"ConnectionCls": Plain})
    secure = type("Secure", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": Secure})
    return {"http": plain, "https": secure}


def _keep(made: socket.socket, sockets: list[tuple[socket.socket, bool]]) -> None:
    """Nothing has been sent yet. The peer is asked, not the name: a name may lead elsewhere the next time. Raises CollectError."""
    here = str(made.getpeername()[0])
    inside = is_inside(here)
    if sockets and inside and not sockets[0][1]:
        made.close()
        raise CollectError(f"a public server leads to {here}, inside of a network: not followed")
    sockets.append((made, inside))


def is_inside(address: str) -> bool:
    """Of this machine, or of a network that the world can't ask."""
    return not ipaddress.ip_address(address.partition("%")[0]).is_global


def _cut(sockets: list[tuple[socket.socket, bool]]) -> None:
    for one, _ in sockets:
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def _words(error: BaseException) -> str:
    """What went wrong, without the library's names."""
    inner: BaseException = error
    while (below := inner.__cause__ or inner.__context__) is not None:
        inner = below
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        return f"no word from the server for {WAIT_MAX_S:.0f} s"
    if isinstance(inner, socket.gaierror):
        return f"no such host: {inner.strerror}"
    text = getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
    return str(text)[:300]


def text_of(response: requests.Response) -> str:
    """By the charset it names, else UTF-8. Raises CollectError for what is no text."""
    about = Message()
    about["Content-Type"] = response.headers.get("Content-Type", "")
    charset = about.get_content_charset("utf-8-sig")  # requests would guess Latin-1 for any text/*
    if not CHARSETS.fullmatch(charset):  # some of Python's take hours for a megabyte
        raise CollectError(f"no text: charset {charset[:40]!r}")
    try:
        return response.content.decode(charset)
    except (LookupError, UnicodeDecodeError) as error:
        raise CollectError(f"no text: {error}"[:200]) from error


def validators(response: requests.Response) -> dict[str, Any]:
    """What to ask with the next time."""
    found = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
    return {name: value for name, value in found.items() if value}
