"""A TCP proxy that can be slow, or cut: the network between a worker and its broker."""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time

CHUNK = 1 << 16
LOOK_S = 0.05


class Proxy:
    """Listens on 127.0.0.1, forwards to a port there. Not started when made."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.target = 0
        self.delay_s = 0.0  # each way
        self.passed_bytes = 0
        self._is_cut = threading.Event()
        self._ended = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept, daemon=True, name="proxy")

    def start(self, target: int) -> None:
        """Forward to that port from now on."""
        self.target = target
        self._thread.start()

    def cut(self) -> None:
        """Every connection ends, none is made any more."""
        self._is_cut.set()
        for one in list(self._open):
            _close(one)

    def heal(self) -> None:
        """As it was."""
        self.delay_s = 0.0
        self._is_cut.clear()

    def close(self) -> None:
        self._ended.set()
        self.cut()
        _close(self.listener)

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self._is_cut.is_set():
                _close(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
            except OSError:
                _close(near)
                continue
            self._open |= {near, far}
            threading.Thread(target=self._forward, args=(near, far), daemon=True, name="proxy-pair").start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        """Both ways, in order, each piece when its time has come."""
        other, waiting, number = {near: far, far: near}, list[tuple[float, int, socket.socket, bytes]](), 0
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            for one in other:
                selector.register(one, selectors.EVENT_READ)
            while True:
                wait_s = max(0.0, waiting[0][0] - time.monotonic()) if waiting else LOOK_S
                for key, _ in selector.select(min(wait_s, LOOK_S)):
                    data = key.fileobj.recv(CHUNK)  # type: ignore[union-attr]
                    if not data:
                        raise OSError("it has ended")
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + self.delay_s, number, other[key.fileobj], data))  # type: ignore[index]
                while waiting and waiting[0][0] <= time.monotonic():
                    _, _, to, data = heapq.heappop(waiting)
                    to.sendall(data)
                    self.passed_bytes += len(data)
        for one in other:
            _close(one)
            self._open.discard(one)


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        one.close()
