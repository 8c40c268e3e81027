"""A Confluent-compatible schema registry for outsiders. Our own processes need none: schemas/ids.yaml fixes their ids.

`Schemas` is the pure core: ids, subjects, versions, levels. It starts from the files; the compacted topic `_schemas`
holds only what was added over HTTP. Without a broker that is kept in memory.
"""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
from aiohttp import web
from fastavro.schema import to_parsing_canonical_form

from streams import codec
from streams.broker.admin import Admin
from streams.broker.compatibility import compatible, graph
from streams.errors import BrokerError, ContractError, IcnError
from streams.settings import Settings
from streams.topology import Topology

FIRST_ID = 1000  # of what is added; below: schemas/ids.yaml
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")
CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
BROKER_S = 30  # longest wait for the broker
BROKER_HINT = "is the broker running? icn broker status"

INCOMPATIBLE, NO_SUBJECT, NO_VERSION, NO_SCHEMA, NO_LEVEL = 409, 40401, 40402, 40403, 40408
BAD_REQUEST, BAD_SCHEMA, BAD_VERSION, BAD_LEVEL, NOT_STORED = 400, 42201, 42202, 42203, 50001


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(Exception):
    """A request that can't be met. `code` is Confluent's error code, the text is for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """HTTP status: the first three digits of the code."""
        return self.code if self.code < 1000 else self.code // 100


@dataclass(frozen=True)
class Version:
    """A schema under a subject. `number` counts from 1 in its subject, `id` is the wire format's."""

    subject: str
    number: int
    id: int
    schema: str

    def json(self) -> dict[str, Any]:
        """As HTTP and the topic carry it."""
        return {"subject": self.subject, "version": self.number, "id": self.id, "schema": self.schema}


def read_schema(text: str) -> tuple[Any, str]:
    """JSON text -> (schema, parsing canonical form). Raises Refused."""
    try:
        schema = json.loads(text)
        graph(schema)  # what fastavro lets pass: fields or union branches twice, names that are none
        fastavro.parse_schema(schema)  # and what it doesn't: defaults of the wrong type
        return schema, to_parsing_canonical_form(schema)
    except Exception as error:  # fastavro raises KeyError, TypeError, RecursionError … on garbage
        raise Refused(BAD_SCHEMA, f"not an Avro schema: {type(error).__name__}: {error}") from error


class Schemas:
    """Every schema, subject and level. Pure.

    Equal schemas have the same parsing canonical form, so the same bytes on the wire: docs, defaults, aliases and
    logical types don't count. Registering one that differs only in those gives the id, and the text, of the first.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._forms: dict[int, str] = {}
        self._subjects: dict[str, dict[int, int]] = {}  # subject -> version -> id
        self._levels: dict[str | None, str] = {None: "BACKWARD"}  # None: of subjects without their own

    @classmethod
    def seeded(cls, topology: Topology) -> Schemas:
        """What schemas/ holds, under `<topic>-value` for each Avro topic; older forms of an event come first."""
        schemas = cls()
        for name, entry in codec.ids().items():
            # a dead letter is whatever came, so a .dlq topic promises no schema
            subjects = [
                f"{topic.name}-value"
                for topic in topology.topics.values()
                if topic.schema == name and not topic.alias.endswith(".dlq")
            ]
            for older in entry.get("before", ()):
                schemas.add(int(older), (codec.folder() / "old" / f"{name}-{older}.avsc").read_text(), subjects)
            schemas.add(int(entry["id"]), json.dumps(codec.schema(name), ensure_ascii=False), subjects)
        return schemas

    def add(self, number: int, text: str, subjects: Iterable[str], version: int = 1) -> None:
        """Put a schema with this id under these subjects: as this version, or after the last where that is taken.

        It is taken where schemas/ got a new form of an event after somebody had registered one here: the id stays.
        """
        schema, form = read_schema(text)
        self._texts[number] = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        self._forms[number] = form
        for subject in subjects:
            versions = self._subjects.setdefault(subject, {})
            versions[version if version not in versions else max(versions) + 1] = number

    def replay(self, records: Mapping[str, str]) -> None:
        """Add what the topic holds: key -> value, both JSON text. Raises ContractError where one is not ours."""
        try:
            rows = [(json.loads(key), json.loads(value)) for key, value in records.items()]
            registered = [row for key, row in rows if key["keytype"] == "SCHEMA"]
            for row in sorted(registered, key=lambda row: (row["subject"], row["version"])):
                self.add(row["id"], row["schema"], [row["subject"]], row["version"])
            for key, row in rows:
                if key["keytype"] == "CONFIG":
                    self.set_level(key["subject"], row["compatibilityLevel"])
        except (ValueError, KeyError, TypeError, Refused) as error:
            raise ContractError(
                f"the topic of the registry has a record that is not the registry's: {error!r}", "icn cat _schemas"
            ) from error

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return sorted(self._subjects)

    def versions(self, subject: str) -> list[Version]:
        """All versions of a subject, oldest first. Raises Refused."""
        if subject not in self._subjects:
            raise Refused(NO_SUBJECT, f"Subject '{subject}' not found.")
        return [Version(subject, number, of, self._texts[of]) for number, of in sorted(self._subjects[subject].items())]

    def version(self, subject: str, number: int | None) -> Version:
        """One version of a subject; None: the latest. Raises Refused."""
        found = [version for version in self.versions(subject) if number in (None, version.number)]
        if not found:
            raise Refused(NO_VERSION, f"Version {number} not found.")
        return found[-1]

    def text(self, number: int) -> str:
        """The schema with this id. Raises Refused."""
        if number not in self._texts:
            raise Refused(NO_SCHEMA, f"Schema {number} not found")
        return self._texts[number]

    def uses(self, number: int) -> list[Version]:
        """Where the schema with this id is registered. Raises Refused."""
        self.text(number)
        return [version for subject in self.subjects() for version in self.versions(subject) if version.id == number]

    def find(self, subject: str, text: str) -> Version | None:
        """The version of this subject that equals this schema. Raises Refused if it is none."""
        form = read_schema(text)[1]
        versions = self.versions(subject) if subject in self._subjects else []
        return next((version for version in versions if self._forms[version.id] == form), None)

    def next(self, subject: str, text: str) -> Version:
        """The version that registering a schema new to its subject would make; changes nothing. Raises Refused."""
        schema, form = read_schema(text)
        versions = self.versions(subject) if subject in self._subjects else []
        judges = versions if self.level(subject).endswith("_TRANSITIVE") else versions[-1:]
        if problems := self.problems(subject, text, judges):
            why = "; ".join(problems)
            raise Refused(INCOMPATIBLE, f"Schema being registered is incompatible ({self.level(subject)}): {why}")
        known = next((number for number, other in self._forms.items() if other == form), None)
        number = max(FIRST_ID - 1, *self._forms) + 1 if known is None else known
        text = json.dumps(schema, ensure_ascii=False) if known is None else self._texts[known]
        return Version(subject, versions[-1].number + 1 if versions else 1, number, text)

    def problems(self, subject: str, text: str, judges: Iterable[Version]) -> list[str]:
        """Why a schema may not join these versions of a subject at its level, a sentence each. Raises Refused."""
        new = read_schema(text)[0]
        level, problems = self.level(subject).removesuffix("_TRANSITIVE"), []
        for judge in judges:
            old, name = json.loads(judge.schema), f"version {judge.number}"
            if level in ("BACKWARD", "FULL"):
                problems += [f"the new schema reading {name}: {problem}" for problem in compatible(new, old)]
            if level in ("FORWARD", "FULL"):
                problems += [f"{name} reading the new schema: {problem}" for problem in compatible(old, new)]
        return problems

    def level(self, subject: str | None) -> str:
        """The level in force for a subject; None: for those without their own."""
        return self._levels.get(subject, self._levels[None])

    def own_level(self, subject: str) -> str:
        """The level set for just this subject. Raises Refused."""
        if subject not in self._levels:
            raise Refused(NO_LEVEL, f"Subject '{subject}' does not have subject-level compatibility configured")
        return self._levels[subject]

    def set_level(self, subject: str | None, level: str) -> None:
        """The level of a subject, which needs no schema yet; None: of all without their own."""
        self._levels[subject] = level


def _key(keytype: str, subject: str | None, version: int | None) -> str:
    return json.dumps({"keytype": keytype, "subject": subject, "version": version}, ensure_ascii=False)


class Log:
    """The topic `<deployment>._schemas`. Blocking. A deployment has one writer: the registry that opened it last.

    A write that fails closes the log, for it may have happened after all. Opening it again ends the transaction for
    good, one way or the other, and reads what is true; so no id is given out twice, even by two registries.
    """

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.topic = topology.topic("_schemas").name
        self._producer: Any = None

    @property
    def is_open(self) -> bool:
        """Whether what `open` returned, and what was written since, is all there is."""
        return self._producer is not None

    def open(self) -> dict[str, str]:
        """Become the writer; the newest value of each key. Raises BrokerError; ContractError: topic not as planned."""
        from confluent_kafka import KafkaException, Producer

        from streams.broker.topics import fold

        Admin(self.settings).require(self.topology, [self.topic])
        transactional = {"transactional.id": f"{self.topology.deployment}-registry"}  # one for all: the newest fences
        producer = Producer(self.settings.librdkafka_producer(**transactional))
        try:
            producer.init_transactions(BROKER_S)
        except KafkaException as error:
            raise BrokerError(f"{self.topic}: {error.args[0].str()}", BROKER_HINT) from error
        # only now: whatever another registry had begun is committed or aborted, so the end is the end
        records = {message.key().decode(): message.value() for message in fold(self.settings, self.topic)}
        self._producer = producer
        return {key: value.decode() for key, value in records.items() if value is not None}

    def write(self, key: str, value: Mapping[str, Any]) -> None:
        """Add one record; on return it is committed. Raises BrokerError, and is closed then."""
        from confluent_kafka import KafkaException

        try:
            self._producer.begin_transaction()
            self._producer.produce(self.topic, json.dumps(value, ensure_ascii=False), key)
            self._producer.commit_transaction(BROKER_S)
        except (KafkaException, BufferError) as error:
            self.close()
            raise BrokerError(f"{self.topic}: not written: {error}", BROKER_HINT) from error

    def close(self) -> None:
        """Let go of the broker, without waiting for it."""
        if self._producer is not None:
            self._producer.purge()
            self._producer = None


class Registry:
    """The schemas and where they are kept. Changes go one at a time: judged, written, and only then seen."""

    def __init__(self, topology: Topology, log: Log | None) -> None:
        self.topology, self.log = topology, log
        self.schemas = self._load()
        self._turn = asyncio.Lock()

    def _load(self) -> Schemas:
        schemas = Schemas.seeded(self.topology)
        if self.log is not None:
            try:
                schemas.replay(self.log.open())
            except ContractError:
                self.log.close()  # what is not understood must not be written to
                raise
        return schemas

    async def register(self, subject: str, text: str) -> Version:
        """Register a schema, or find it registered. Raises Refused or IcnError."""
        async with self._turn:
            await self._catch_up()
            if found := self.schemas.find(subject, text):
                return found
            version = self.schemas.next(subject, text)
            await self._write(_key("SCHEMA", subject, version.number), version.json())
            self.schemas.add(version.id, version.schema, [subject], version.number)
            return version

    async def set_level(self, subject: str | None, level: str) -> None:
        """Set the level of a subject; None: of all without their own. Raises Refused or IcnError."""
        if level not in LEVELS:
            raise Refused(BAD_LEVEL, f"Invalid compatibility level. Valid values are {', '.join(LEVELS)}")
        async with self._turn:
            await self._catch_up()
            await self._write(_key("CONFIG", subject, None), {"compatibilityLevel": level})
            self.schemas.set_level(subject, level)

    async def _catch_up(self) -> None:
        if self.log is not None and not self.log.is_open:
            self.schemas = await asyncio.to_thread(self._load)

    async def _write(self, key: str, value: Mapping[str, Any]) -> None:
        if self.log is not None:
            await asyncio.to_thread(self.log.write, key, value)


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
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"can't be used: {error.strerror}"
        raise BrokerError(f"port {port} of {host} {why}", "stop what listens there, or choose another port") from error
    # the port first: a second registry on this machine must not fence the one that runs
    with listening:
        log = Log(topology, settings) if settings.brokers else None
        registry = Registry(topology, log)
        asyncio.run(_serve(registry, listening))
        if log is not None:
            log.close()


async def _serve(registry: Registry, listening: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(Api(registry).application(), access_log=None, shutdown_timeout=5)
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        await stop.wait()
    finally:
        await runner.cleanup()
