"""The exporter over HTTP: Prometheus' /metrics, Burrow's /v3/kafka, /health and /ready."""

from __future__ import annotations

import html
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from prometheus_client.exposition import CONTENT_TYPE_LATEST as TEXT
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS

from streams import http_server
from streams.exporter import burrow
from streams.exporter.burrow import Document, NotThere, Seen
from streams.exporter.exporter import Exporter

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATHS = ("/metrics", "/health", "/ready", "/v3/kafka")
HOST = socket.gethostname()


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotThere as error:
        return _answer(request, {"message": str(error)}, 404)


def _answer(request: web.Request, body: Document, status: int = 200) -> web.Response:
    """With what Burrow adds to each."""
    told = {"error": status >= 400, **body, "request": {"url": request.path_qs, "host": HOST}}
    return web.json_response(told, status=status)


class Api:
    """What is served. It answers from memory alone: a scrape asks no broker."""

    def __init__(self, exporter: Exporter) -> None:
        self.exporter = exporter

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_errors])
        app.add_routes(
            [
                web.get("/", self.index),
                web.get("/metrics", self.metrics),
                web.get("/health", self.health),
                web.get("/ready", self.ready),
                web.get("/burrow/admin", self.admin),
                web.get("/burrow/admin/ready", self.ready),
                web.get("/v3/kafka", self.clusters),
                web.get("/v3/kafka/{cluster}", self.cluster),
                web.get("/v3/kafka/{cluster}/topic", self._of(lambda seen, _: burrow.topics(seen))),
                web.get("/v3/kafka/{cluster}/topic/{name}", self._of(burrow.topic_detail)),
                web.get("/v3/kafka/{cluster}/topic/{name}/consumers", self._of(burrow.topic_consumers)),
                web.get("/v3/kafka/{cluster}/consumer", self._of(lambda seen, _: burrow.consumers(seen))),
                web.get("/v3/kafka/{cluster}/consumer/{name}", self._of(burrow.consumer_detail)),
                web.get("/v3/kafka/{cluster}/consumer/{name}/status", self.status),
                web.get("/v3/kafka/{cluster}/consumer/{name}/lag", self.status),
            ]
        )
        return app

    async def index(self, _: web.Request) -> web.Response:
        links = "".join(f'<li><a href="{path}">{path}</a>' for path in PATHS)
        name = html.escape(self.exporter.cluster)
        page = f"<!doctype html><html lang=en><title>icn exporter</title><h1>icn exporter: {name}</h1><ul>{links}</ul>"
        return web.Response(text=page, content_type="text/html")

    async def metrics(self, request: web.Request) -> web.Response:
        """In OpenMetrics for who asks for it."""
        openmetrics = "application/openmetrics-text" in request.headers.get("Accept", "")
        body = self.exporter.metrics(openmetrics)
        return web.Response(body=body, headers={"Content-Type": OPENMETRICS if openmetrics else TEXT})

    async def health(self, _: web.Request) -> web.Response:
        """200 as long as somebody looks, whatever there is to be seen: to start it again would not bring a broker back."""
        alive = self.exporter.looking.is_alive
        return web.json_response(self.exporter.health()[1] | {"alive": alive}, status=200 if alive else 503)

    async def ready(self, _: web.Request) -> web.Response:
        """200 if what is served is fresh."""
        fresh, told = self.exporter.health()
        return web.json_response(told, status=200 if fresh else 503)

    async def admin(self, _: web.Request) -> web.Response:
        return web.Response(text="GOOD")

    # -- Burrow's -----------------------------------------------------------

    async def clusters(self, request: web.Request) -> web.Response:
        return _answer(request, burrow.clusters(self.exporter.cluster))

    async def cluster(self, request: web.Request) -> web.Response:
        self._require_cluster(request)
        return _answer(request, burrow.cluster_detail(self.exporter.brokers, self.exporter.every_s))

    async def status(self, request: web.Request) -> web.Response:
        """As Burrow: a group that isn't there is an answer, with 404."""
        seen, cluster, group = self._seen(request), self.exporter.cluster, request.match_info["name"]
        if group not in seen.picture.look.groups:
            return _answer(request, burrow.not_found_status(cluster, group), 404)
        return _answer(request, burrow.status(cluster, seen, group, request.path.endswith("/lag")))

    def _of(self, told: Callable[[Seen, str], Document]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            return _answer(request, told(self._seen(request), request.match_info.get("name", "")))

        return handle

    def _require_cluster(self, request: web.Request) -> None:
        if request.match_info["cluster"] != self.exporter.cluster:
            raise NotThere("cluster not found")

    def _seen(self, request: web.Request) -> Seen:
        self._require_cluster(request)
        shown: Any = self.exporter.looking.shown
        if shown is None:
            raise web.HTTPServiceUnavailable(text="no look at the cluster yet, or the last one is old: see /health\n")
        seen: Seen = shown.seen
        return seen


def serve(exporter: Exporter, listening: socket.socket) -> None:
    """Look and answer until SIGTERM or SIGINT."""
    exporter.looking.start()
    try:
        http_server.serve(Api(exporter).application(), listening)
    finally:
        exporter.looking.stop()
