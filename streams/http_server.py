"""Serves an aiohttp application until SIGTERM or Ctrl-C. Shared by the schema registry, the exporter and the dashboard."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
from typing import TYPE_CHECKING

from streams.errors import BrokerError, IcnError

if TYPE_CHECKING:
    from aiohttp import web


EVERYWHERE = ("0.0.0.0", "::")


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises BrokerError: the port is taken, or not ours to take."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        raise BrokerError(f"port {port} of {host} {why}", "stop what listens there, or choose another port") from error


def address(text: str) -> tuple[str, int]:
    """(host, port) of "host:port" or "[v6]:port"; port 0: any that is free. Raises IcnError."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise IcnError(f"{text!r} is no address to listen on", "host:port, for example 127.0.0.1:8000")
    return host, int(port)


def url(listening: socket.socket) -> str:
    """Where a browser finds it; what listens everywhere, by this machine's name."""
    host, port = listening.getsockname()[:2]
    host = socket.gethostname() if host in EVERYWHERE else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def serve(app: web.Application, listening: socket.socket) -> None:
    """Answer until SIGTERM or SIGINT."""
    asyncio.run(_serve(app, listening))


async def _serve(app: web.Application, listening: socket.socket) -> None:
    from aiohttp import web

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5)
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        await stop.wait()
    finally:
        await runner.cleanup()
