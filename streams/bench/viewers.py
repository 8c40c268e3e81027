"""What viewers of the page cost its server: CPU of `icn dashboard` with none and with many, one after the other."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil

from streams.errors import IcnError

SETTLE_S = 5.0  # the first look reads all there is


def bench_viewers(viewers: int, seconds: float, every_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """{viewers, every_s, seconds, idle, watched: share of a core [0..], bytes_per_viewer_s, rss_mib}."""
    command = [sys.executable, "-m", "streams", "dashboard", "--listen", "127.0.0.1:0", "--every", f"{every_s:g}s"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        line = server.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        if found is None:
            raise IcnError(f"the page was not served: {line.strip()}")
        threading.Thread(target=server.stderr.read, daemon=True).start()
        process = psutil.Process(server.pid)
        time.sleep(SETTLE_S)
        say(f"nobody looks, {seconds:g} s …")
        idle = _share(process, seconds)
        say(f"{viewers} look, {seconds:g} s …")
        sockets = [_viewer(int(found[1])) for _ in range(viewers)]
        read = [0]
        stop = threading.Event()
        reader = threading.Thread(target=_read, args=(sockets, read, stop), daemon=True)
        reader.start()
        time.sleep(SETTLE_S)
        before = read[0]
        watched = _share(process, seconds)
        taken = read[0] - before
        rss_mib = process.memory_info().rss / (1 << 20)
        stop.set()
        reader.join(5)
        for one in sockets:
            one.close()
    finally:
        server.terminate()
        server.wait(30)
    return {
        "viewers": viewers,
        "every_s": every_s,
        "seconds": seconds,
        "idle": idle,
        "watched": watched,
        "bytes_per_viewer_s": taken / viewers / seconds,
        "rss_mib": rss_mib,
    }


def _share(process: psutil.Process, seconds: float) -> float:
    """Of a core, that it used meanwhile."""
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) / seconds


def _viewer(port: int) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", port))
    one.sendall(f"GET /events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    one.setblocking(False)
    return one


def _read(sockets: list[socket.socket], read: list[int], stop: threading.Event) -> None:
    import selectors

    with selectors.DefaultSelector() as selector:
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        while not stop.is_set():
            for key, _ in selector.select(0.2):
                read[0] += len(key.fileobj.recv(1 << 16))  # type: ignore[union-attr]
