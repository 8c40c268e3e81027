"""The network that trials cut and slow down."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from streams.certify.proxy import Proxy


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """Before a server that says everything again."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer(one: socket.socket) -> None:
        while data := one.recv(1 << 16):
            one.sendall(data)

    def accept() -> None:
        while True:
            try:
                threading.Thread(target=answer, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    made = Proxy()
    made.start(server.getsockname()[1])
    yield made
    made.close()
    server.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def read(one: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := one.recv(1 << 16)):
        data += more
    return data


def test_what_passes_is_whole_and_in_order(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 4096
    with connect(proxy) as one:
        threading.Thread(target=one.sendall, args=(sent,), daemon=True).start()
        assert read(one, len(sent)) == sent
    assert proxy.passed_bytes == 2 * len(sent)


def test_slow_is_late_and_nothing_else(proxy: Proxy) -> None:
    proxy.delay_s = 0.2
    with connect(proxy) as one:
        began = time.monotonic()
        one.sendall(b"there and back")
        assert read(one, 14) == b"there and back"
        assert time.monotonic() - began >= 0.4
    proxy.heal()
    assert proxy.delay_s == 0


def test_cut_ends_what_is_open_and_lets_nobody_in_until_it_is_healed(proxy: Proxy) -> None:
    with connect(proxy) as one:
        one.sendall(b"x")
        assert read(one, 1) == b"x"
        proxy.cut()
        assert one.recv(1) == b""
    with connect(proxy) as refused:
        assert refused.recv(1) == b""
    proxy.heal()
    with connect(proxy) as one:
        one.sendall(b"y")
        assert read(one, 1) == b"y"
