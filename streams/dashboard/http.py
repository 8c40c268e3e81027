"""The page over HTTP: itself, its events, its files. Nothing that is asked here reaches a broker."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from streams import http_server
from streams.dashboard.board import Board
from streams.dashboard.contents import Past, contents
from streams.dashboard.roles import Role, role_of
from streams.dashboard.sections import page, render
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.looking import Looking, Sight
from streams.words import when

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
STATIC = Path(__file__).parent / "static"
COOKIE = "icn_token"
NO_TOKEN = "a token is needed: the address with ?token=…, or Authorization: Bearer …\n"
VIEWERS_MAX = 500
WRITE_S = 20.0  # who takes nothing for so long is gone
SAY_S = 5.0  # somebody who hears nothing for 20 s takes the server for dead
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Dashboard:
    """tokens None: whoever reaches it is an operator, and only names of this machine are answered to."""

    def __init__(
        self, topology: Topology, settings: Settings, tokens: Mapping[str, Role] | None, every_s: float = 2.0
    ) -> None:
        self.topology, self.brokers, self.tokens = topology, settings.require_brokers(), tokens
        self.board, self.past, self.viewers = Board(), Past(), 0
        self.looking = Looking(topology, settings, self._show, every_s, by_name=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams = set[asyncio.Task[Any]]()

    # -- from a look to the board ----------------------------------------

    def _show(self, sight: Sight) -> str:
        """In the thread that looks: the loop only sends."""
        told = contents(self.topology, self.brokers, sight, self.past)
        roles = list(Role) if self.tokens is not None else [Role.operator]
        rendered = {role: render(told, role) for role in roles}
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.board.put, rendered)
        return str(told["at"])

    async def _say(self) -> None:
        """Often enough that silence means something."""
        seen: tuple[Any, ...] = ()
        said = 0.0
        while True:
            looking = self.looking
            at = "" if looking.looked_ms is None else when(looking.looked_ms)
            now, told = asyncio.get_running_loop().time(), (looking.is_fresh, at, looking.trouble)
            if told != seen or now - said > SAY_S:
                self.board.tell(*told)
                seen, said = told, now
            await asyncio.sleep(0.2)

    # -- what is asked ----------------------------------------------------

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self.index),
                web.get("/events", self.events),
                web.get("/health", self.health),
                web.static("/static", STATIC),
            ]
        )
        app.cleanup_ctx.append(self._run)
        app.on_shutdown.append(self._end_streams)
        return app

    async def _end_streams(self, _: web.Application) -> None:
        """Before the server waits for what is being answered: a stream would never be over."""
        for task in list(self._streams):
            task.cancel()

    async def _run(self, _: web.Application) -> Any:
        self._loop = asyncio.get_running_loop()
        self.looking.start()
        saying = asyncio.create_task(self._say())
        yield
        saying.cancel()
        await asyncio.to_thread(self.looking.stop)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Who asks, and may he? Every answer bears the headers that keep strangers' names from becoming anything else."""
        if self.tokens is None and not _is_here(request.host):
            raise web.HTTPForbidden(text="this page answers only to names of this machine\n")
        if not request.path.startswith("/static/") and request.path != "/health":
            if self._role(request) is None:
                raise web.HTTPUnauthorized(text=NO_TOKEN)
            if self.tokens is not None and "token" in request.query:
                moved = web.HTTPFound("./")  # in the address it would be seen, and kept
                token = request.query["token"]
                moved.set_cookie(COOKIE, token, httponly=True, samesite="Strict", secure=request.secure)
                raise moved
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    def _role(self, request: web.Request) -> Role | None:
        if self.tokens is None:
            return Role.operator
        return role_of(self.tokens, request.query.get("token") or request.cookies.get(COOKIE) or _bearer(request))

    async def index(self, request: web.Request) -> web.Response:
        role = self._role(request)
        assert role is not None
        text = page(self.topology.deployment, role, self.board.shown(role))
        return web.Response(text=text, content_type="text/html")

    async def health(self, _: web.Request) -> web.Response:
        fresh = self.looking.is_fresh
        return web.json_response({"fresh": fresh, "viewers": self.viewers}, status=200 if fresh else 503)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Of what changed, until the viewer goes away, or takes nothing."""
        if self.viewers >= VIEWERS_MAX:
            raise web.HTTPServiceUnavailable(text=f"{VIEWERS_MAX} are looking already\n")
        role = self._role(request)
        assert role is not None
        asked = request.headers.get("Last-Event-ID", "")
        number = int(asked) if asked.isdecimal() and len(asked) < 16 else 0
        if number > self.board.number:  # of a server that is no more
            number = 0
        response = web.StreamResponse(
            headers={**HEADERS, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        self.viewers += 1
        try:
            await response.prepare(request)
            while True:
                data, number = self.board.since(role, number)
                async with asyncio.timeout(WRITE_S):
                    await response.write(data)
                await self.board.change()
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            if request.transport is not None:
                request.transport.abort()  # what is left in its buffer will never be read
        finally:
            self.viewers -= 1
            self._streams.discard(task)
        return response


def _bearer(request: web.Request) -> str:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else ""


def _is_here(host: str) -> bool:
    """Whether a Host header names this machine: a stranger's page may point its own name at 127.0.0.1, and read along."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    name = name.strip("[]")
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost"


def serve(dashboard: Dashboard, listening: socket.socket) -> None:
    """Look and answer until SIGTERM or SIGINT."""
    http_server.serve(dashboard.application(), listening)
