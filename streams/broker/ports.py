"""Ports of local servers."""

from __future__ import annotations

import random
import socket
import time

SERVER_PORTS = (10_000, 32_000)
PATIENCE_S = 2.0


def free_port() -> int:
    """A port that was free a moment ago, below those that systems give to outgoing connections.

    One of those would be lost while its broker is down: to a stranger, or to a client that tries again and connects to itself.
    """
    while True:
        number = random.randrange(*SERVER_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            return number


def is_free(number: int, patience_s: float = PATIENCE_S) -> bool:
    """A server that was killed is gone a moment before its port is."""
    deadline = time.monotonic() + patience_s
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.05)
                continue
            return True
