"""The page in a real browser, of a real network: it shows, it follows, it outlives its broker and its server, anybody can use it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from streams.broker.local import LocalBroker
from streams.dashboard.roles import Role, read_tokens
from tests.support.browser import browser, complaints, scheme, size, violations
from tests.support.chain import add_nodes, node
from tests.support.network import Network, network, wait_until
from tests.support.screenshots import SHOTS, shoot

HOSTILE = "<img src=x onerror=\"document.title='taken over'\">"


@contextmanager
def dashboard(net: Network, *words: str, port: int = 0) -> Iterator[str]:
    """`icn dashboard` as a process; where it is."""
    command = [sys.executable, "-m", "streams", "dashboard", "--listen", f"127.0.0.1:{port}", "--every", "1s", *words]
    process = subprocess.Popen(command, env=net.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://[^/\s]+/", line)
    assert found, line + process.stderr.read()
    threading.Thread(target=process.stderr.read, daemon=True).start()
    try:
        yield found[0]
    finally:
        process.terminate()
        assert process.wait(30) == 0


def text(page: Any, name: str) -> str:
    return str(page.execute_script("return document.getElementById(arguments[0]).textContent", f"{name}-part"))


def state(page: Any) -> str:
    return str(page.execute_script("return document.body.dataset.state || ''"))


def words(page: Any) -> str:
    """What it says of that."""
    return str(page.find_element(By.ID, "state").text)


def stored(page: Any) -> int:
    """The figure of the page."""
    found = re.search(r"stored\s*(\d+)", text(page, "flow"))
    return int(found[1]) if found else -1


def test_it_shows_follows_and_outlives_broker_and_server(tmp_path: Path) -> None:
    """One page that is never loaded again: new artifacts, a broker stopped and started, a server stopped and started."""
    broker = LocalBroker(tmp_path)
    bootstrap = broker.start(owned=True)
    try:
        with network(bootstrap, tmp_path) as net, browser() as page:
            add_nodes(net, "n1", HOSTILE)
            net.worker()
            with dashboard(net) as url:
                page.get(url)
                page.execute_script("window.loadedOnce = true")
                wait_until(lambda: state(page) == "live", 60, "a live page")
                with node(net, HOSTILE) as n1:
                    told = [n1.submit(f"text {number}", confidence=0.9) for number in range(7)]
                    assert all(future.result(60).accepted for future in told)
                    wait_until(lambda: stored(page) == 7, 30, "seven stored")
                    wait_until(lambda: told[0].artifact_id[-12:] in text(page, "top"), 30, "the most urgent, by its id")
                    wait_until(
                        lambda: "s1_intake OK" in re.sub(r"\s+", " ", text(page, "flow")), 30, "s1 is at its end"
                    )
                    # a stranger's name is on the page, as a name
                    assert HOSTILE in text(page, "nodes") and HOSTILE in text(page, "top")
                    assert page.find_elements(By.TAG_NAME, "img") == [] and "taken over" not in page.title

                    broker.stop()
                    wait_until(lambda: state(page) == "old", 60, "it says that its figures are old")
                    assert re.search("figures are of 20", words(page))
                    wait_until(lambda: "does not answer: figures are of 20" in words(page), 40, "why, in our words")
                    assert stored(page) == 7, "what was seen stays, marked as old"
                    broker.start(owned=True)
                    wait_until(lambda: state(page) == "live", 90, "live again")
                    assert n1.submit("after the broker came back").result(90).accepted
                    wait_until(lambda: stored(page) == 8, 60, "the eighth")
                assert complaints(page) == []
            wait_until(lambda: state(page) == "lost", 40, "it says that it hears nothing")
            since = r"no word from the server since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z"
            assert re.fullmatch(since, words(page))
            for _ in range(30):
                time.sleep(0.1)
                assert state(page) == "lost", "until it hears something"
            complaints(page)  # of a server that isn't there a browser always complains
            with dashboard(net, port=urlsplit(url).port or 0):
                wait_until(lambda: state(page) == "live", 60, "live again, by itself")
                assert stored(page) == 8 and page.execute_script("return window.loadedOnce")
                assert [one for one in complaints(page) if "ERR_CONNECTION_REFUSED" not in one] == []
    finally:
        broker.stop()


def test_anybody_can_use_it(net: Network, tmp_path: Path) -> None:
    """axe finds nothing in light and dark, on a screen and on a phone; nothing is wider than the phone; the keyboard is enough."""
    add_nodes(net, "n1", "n2")
    net.worker()
    with node(net, "n1") as n1:
        assert n1.submit("a text", confidence=0.5).result(60).accepted
    with dashboard(net) as url, browser() as page:
        page.get(url)
        wait_until(lambda: state(page) == "live" and stored(page) == 1, 60, "a live page")
        looked = 0
        for wide in (1400, 360):
            for colours in ("light", "dark"):
                size(page, wide, 900)
                scheme(page, colours)
                time.sleep(0.5)  # colours fade over
                assert violations(page) == [], (wide, colours)
                looked += 1
            assert page.execute_script("return document.documentElement.scrollWidth") <= wide
        size(page, 1400, 900)
        page.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
        assert page.switch_to.active_element.text == "Skip to the figures"
        # in one step: what is found may be replaced by news before it is used
        focus = "const one = document.querySelector('#flow .figure'); one.focus(); return one.dataset.command"
        command = page.execute_script(focus)
        ActionChains(page).send_keys(Keys.ENTER).perform()
        assert page.find_element(By.ID, "command").text == command
        ActionChains(page).send_keys(Keys.ESCAPE).perform()
        assert not page.find_element(By.ID, "evidence").is_displayed()
        # what is new does not take the focus away
        assert page.execute_script("return document.activeElement.dataset.command") == command
        with node(net, "n1") as n1:
            assert n1.submit("another text").result(60).accepted
        wait_until(lambda: stored(page) == 2, 30, "news")
        assert page.execute_script("return document.activeElement.dataset.command") == command
        pictures = shoot(page, tmp_path)  # as docs have them: scripts/screenshots
        assert [path.stat().st_size > 20_000 for path in pictures] == [True] * len(SHOTS)
        assert complaints(page) == []
    print(f"\n{looked} looks of axe at the page, nothing found")


class Asked:
    """HTTP without a browser."""

    def __init__(self, url: str) -> None:
        self.host, self.port = urlsplit(url).hostname or "", urlsplit(url).port or 0

    def __call__(self, path: str, **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        connection.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return connection.getresponse()


def test_beyond_this_machine_each_sees_what_his_token_lets_him(net: Network, tmp_path: Path) -> None:
    add_nodes(net, "a-node-s-name")
    tokens = {role: token for token, role in read_tokens(tmp_path / "tokens").items()}
    with dashboard(net, "--tokens", str(tmp_path / "tokens")) as url:
        ask = Asked(url)
        wait_until(lambda: ask("/health").status == 200, 60, "a look")
        assert [ask("/").status, ask("/events").status, ask("/?token=wrong").status] == [401, 401, 401]
        assert ask("/", Authorization="Bearer wrong").status == 401
        seen = {}
        for role, token in tokens.items():
            answer = ask("/", Authorization=f"Bearer {token}")
            assert answer.status == 200 and answer.getheader("Content-Security-Policy", "").startswith(
                "default-src 'none'"
            )
            body = answer.read().decode()
            seen[role] = ("a-node-s-name" in body, f"{role.name}, read only" in body)
        assert seen == {Role.viewer: (False, True), Role.auditor: (True, True), Role.operator: (True, True)}
        moved = ask(f"/?token={tokens[Role.viewer]}")
        cookie = moved.getheader("Set-Cookie", "")
        assert (
            (moved.status, moved.getheader("Location")) == (302, "./")
            and "HttpOnly" in cookie
            and "SameSite=Strict" in cookie
        )
        assert ask("/", Cookie=cookie.split(";")[0]).status == 200
        stream = ask("/events", Cookie=cookie.split(";")[0])
        assert b"a-node-s-name" not in stream.read(3000)
        for method in ("POST", "PUT", "DELETE"):
            connection = http.client.HTTPConnection(ask.host, ask.port, timeout=20)
            connection.request(method, "/", headers={"Authorization": f"Bearer {tokens[Role.operator]}"})
            assert connection.getresponse().status == 405
        assert ask("/static/../roles.py").status in (403, 404) and ask("/static/%2e%2e/roles.py").status in (403, 404)


def test_a_page_of_another_name_does_not_read_along(net: Network) -> None:
    """A stranger's site whose name points here: its requests bear its name."""
    with dashboard(net) as url:
        ask = Asked(url)
        assert ask("/", Host="evil.example").status == 403 == ask("/events", Host="evil.example").status
        assert ask("/", Host="localhost").status == 200


def test_a_viewer_that_never_reads_is_let_go_and_costs_nobody(net: Network) -> None:
    """Twenty of them beside one that reads: he goes on hearing, and when they are gone nothing is left of them."""
    with dashboard(net) as url:
        ask, at = Asked(url), urlsplit(url)
        silent = []
        for _ in range(20):
            one = socket.create_connection((at.hostname, at.port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.sendall(f"GET /events HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode())
            silent.append(one)
        wait_until(lambda: json.loads(ask("/health").read())["viewers"] == 20, 30, "twenty viewers")
        reader = ask("/events")
        heard, began = 0, time.monotonic()
        while heard < 5 and time.monotonic() - began < 60:
            heard += reader.readline().startswith(b"event: state")
        assert heard == 5
        for one in silent:
            one.close()
        reader.close()
        wait_until(lambda: json.loads(ask("/health").read())["viewers"] == 0, 60, "nobody")


def test_ctrl_c_ends_it_also_while_somebody_looks(net: Network) -> None:
    command = [sys.executable, "-m", "streams", "dashboard", "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, env=net.env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r"http://[^/\s]+/", process.stderr.readline())
    assert found
    reader = Asked(found[0])("/events")
    assert reader.readline()
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(30) == 0 and "Traceback" not in process.stderr.read()
