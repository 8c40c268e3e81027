"""The registry over HTTP, with the endpoints and errors of Confluent's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from streams.broker.registry import Log, Registry
from streams.broker.schemas import BAD_REQUEST, BAD_SCHEMA, BAD_VERSION, NO_SCHEMA, NOT_STORED, Refused
from streams.errors import IcnError
from streams.http_server import listen
from streams.http_server import serve as run
from streams.settings import Settings
from streams.topology import Topology

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _answer(body: Any, status: int = 200) -> web.Response:
    data = json.dumps(body, ensure_ascii=False).encode()
    return web.Response(body=data, status=status, headers={"Content-Type": CONTENT_TYPE})


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as error:
        return _answer({"error_code": error.code, "message": str(error)}, error.status)
    except IcnError as error:
        return _answer({"error_code": NOT_STORED, "message": error.args[0]}, 500)
    except web.HTTPException as error:
        return _answer({"error_code": error.status, "message": f"HTTP {error.status} {error.reason}"}, error.status)


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise Refused(BAD_REQUEST, f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refused(BAD_REQUEST, "The body is not a JSON object")
    return body


async def _schema(request: web.Request) -> str:
    body = await _body(request)
    if body.get("schemaType") not in (None, "AVRO") or body.get("references"):
        raise Refused(BAD_SCHEMA, "Only self-contained Avro schemas are kept here: no other schemaType, no references")
    if not isinstance(body.get("schema"), str):
        raise Refused(BAD_SCHEMA, 'The body needs "schema": the Avro schema as a string')
    return str(body["schema"])


def _subject(request: web.Request) -> str:
    return request.match_info["subject"]


def _number(request: web.Request) -> int | None:
    """The version asked for; None: the latest. Raises Refused."""
    text = request.match_info["version"]
    if text in ("latest", "-1"):
        return None
    if not text.isdecimal() or int(text) < 1:
        raise Refused(BAD_VERSION, f"The specified version '{text}' is not valid: 1, 2, … or \"latest\"")
    return int(text)


class Api:
    """Confluent's HTTP interface, without deletes, modes, contexts and references."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[_errors])
        app.add_routes(
            [
                web.post("/subjects/{subject}/versions", self.register),
                web.post("/subjects/{subject}", self.look_up),
                web.get("/subjects", self.subjects),
                web.get("/subjects/{subject}/versions", self.versions),
                web.get("/subjects/{subject}/versions/{version}", self.version),
                web.get("/schemas/types", self.types),
                web.get(r"/schemas/ids/{id:\d+}", self.schema),
                web.get(r"/schemas/ids/{id:\d+}/versions", self.uses),
                web.get("/config", self.level),
                web.put("/config", self.set_level),
                web.get("/config/{subject}", self.own_level),
                web.put("/config/{subject}", self.set_level),
                web.post("/compatibility/subjects/{subject}/versions/{version}", self.check),
            ]
        )
        return app

    async def register(self, request: web.Request) -> web.Response:
        """The id of a new, or known, schema."""
        return _answer({"id": (await self.registry.register(_subject(request), await _schema(request))).id})

    async def look_up(self, request: web.Request) -> web.Response:
        """Which version of a subject a schema is."""
        text = await _schema(request)
        self.registry.schemas.versions(_subject(request))  # 40401 comes before 40403
        found = self.registry.schemas.find(_subject(request), text)
        if found is None:
            raise Refused(NO_SCHEMA, "Schema not found")
        return _answer(found.json())

    async def subjects(self, _: web.Request) -> web.Response:
        """All subjects."""
        return _answer(self.registry.schemas.subjects())

    async def versions(self, request: web.Request) -> web.Response:
        """A subject's version numbers."""
        return _answer([version.number for version in self.registry.schemas.versions(_subject(request))])

    async def version(self, request: web.Request) -> web.Response:
        """One version of a subject."""
        return _answer(self.registry.schemas.version(_subject(request), _number(request)).json())

    async def types(self, _: web.Request) -> web.Response:
        """Kinds of schemas kept here."""
        return _answer(["AVRO"])

    async def schema(self, request: web.Request) -> web.Response:
        """The schema with an id."""
        return _answer({"schema": self.registry.schemas.text(int(request.match_info["id"]))})

    async def uses(self, request: web.Request) -> web.Response:
        """Where an id is registered."""
        found = self.registry.schemas.uses(int(request.match_info["id"]))
        return _answer([{"subject": version.subject, "version": version.number} for version in found])

    async def level(self, _: web.Request) -> web.Response:
        """The level of subjects without their own."""
        return _answer({"compatibilityLevel": self.registry.schemas.level(None)})

    async def own_level(self, request: web.Request) -> web.Response:
        """A subject's own level; with ?defaultToGlobal=true the one in force."""
        schemas = self.registry.schemas
        level = schemas.level if request.query.get("defaultToGlobal") == "true" else schemas.own_level
        return _answer({"compatibilityLevel": level(_subject(request))})

    async def set_level(self, request: web.Request) -> web.Response:
        """Set a level."""
        given = (await _body(request)).get("compatibility")
        level = given.upper() if isinstance(given, str) else ""  # null is not "NONE"
        await self.registry.set_level(request.match_info.get("subject"), level)
        return _answer({"compatibility": level})

    async def check(self, request: web.Request) -> web.Response:
        """Whether a schema could join one version; with ?verbose=true also why not."""
        schemas, subject, number = self.registry.schemas, _subject(request), _number(request)
        # as Confluent has it: what would be a subject's first schema is compatible with its latest
        judges = [schemas.version(subject, number)] if number is not None or subject in schemas.subjects() else []
        problems = schemas.problems(subject, await _schema(request), judges)
        verbose = request.query.get("verbose", "").lower() == "true"
        return _answer({"is_compatible": not problems} | ({"messages": problems} if verbose else {}))


def serve(topology: Topology, settings: Settings, host: str = "127.0.0.1", port: int = 8081) -> None:
    """Answer until SIGTERM or SIGINT. Raises BrokerError: port taken, no broker; ContractError: no topic `_schemas`."""
    listening = listen(host, port)
    # the port first: a second registry on this machine must not fence the one that runs
    with listening:
        log = Log(topology, settings) if settings.brokers else None
        registry = Registry(topology, log)
        run(Api(registry).application(), listening)
        if log is not None:
            log.close()
