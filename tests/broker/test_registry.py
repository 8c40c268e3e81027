"""The schema registry as outsiders meet it: over HTTP, in memory and on a real Apache Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from streams import codec
from streams.broker import registry as module
from streams.broker.admin import Admin
from streams.broker.local import LocalBroker
from streams.broker.ports import free_port
from streams.broker.registry import Log, Registry
from streams.broker.registry_http import CONTENT_TYPE, Api, serve
from streams.broker.schemas import Refused, Schemas
from streams.broker.topics import fold
from streams.errors import BrokerError, ContractError
from streams.settings import Settings, read_settings
from streams.topology import PACKAGE, Topology, load

ROOT = PACKAGE.parent
RAW = "icn.artifacts.raw-value"
SERVE = """import sys
from streams.broker.registry_http import serve
from streams.settings import read_settings
from streams.topology import load
topology = load()
serve(topology, read_settings(topology), port=int(sys.argv[1]))"""


class Http:
    """Plain HTTP, as any client sends it."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, decoded JSON). `body`: sent as JSON; bytes are sent as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": CONTENT_TYPE}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.headers["Content-Type"] == CONTENT_TYPE
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            assert error.headers["Content-Type"] == CONTENT_TYPE
            return error.code, json.loads(error.read())

    def register(self, subject: str, schema: Any) -> int:
        """The id."""
        status, answer = self("POST", f"/subjects/{subject}/versions", {"schema": json.dumps(schema)})
        assert status == 200, answer
        return int(answer["id"])


@contextlib.contextmanager
def running(registry: Registry) -> Iterator[Http]:
    """The application on a port of its own, in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = web.AppRunner(Api(registry).application(), access_log=None)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return int(runner.addresses[0][1])

    try:
        yield Http(asyncio.run_coroutine_threadsafe(start(), loop).result(10))
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@contextlib.contextmanager
def process(port: int, folder: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """`serve` as a process of its own, once it answers. What it says is in folder/stderr."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ICN_")}
    at = {"ICN_TOPOLOGY": str(ROOT / "topology.yaml"), "ICN_STATE": str(folder)}
    with (folder / "stderr").open("w") as stderr:
        started = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], env=kept | at | env, stderr=stderr)
    try:
        deadline = time.monotonic() + 60
        while started.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                Http(port)("GET", "/subjects")
                break
            time.sleep(0.05)
        yield started
    finally:
        started.kill()
        started.wait(10)


@pytest.fixture(scope="module")
def topology() -> Topology:
    """The network as it is."""
    return load(ROOT / "topology.yaml")


@pytest.fixture
def http(topology: Topology) -> Iterator[Http]:
    """A registry in memory."""
    with running(Registry(topology, None)) as client:
        yield client


def form(*fields: str, optional: tuple[str, ...] = (), kind: str = "int", name: str = "out.Form") -> dict[str, Any]:
    """A record schema; the `optional` fields have a default."""
    return {
        "type": "record",
        "name": name,
        "fields": [
            *({"name": field, "type": kind} for field in fields),
            *({"name": field, "type": kind, "default": 0} for field in optional),
        ],
    }


def test_every_seeded_id_is_the_one_of_ids_yaml(http: Http, topology: Topology) -> None:
    """Under each topic's subject, by id, and with the fingerprint that the file says."""
    for alias, topic in topology.topics.items():
        if topic.schema in ("json", "note") or alias.endswith(".dlq"):
            continue
        entry = codec.ids()[topic.schema]
        status, latest = http("GET", f"/subjects/icn.{alias}-value/versions/latest")
        assert (status, latest["id"]) == (200, entry["id"])
        assert http("GET", f"/schemas/ids/{entry['id']}") == (200, {"schema": latest["schema"]})
        assert codec.schema_fingerprint(json.loads(latest["schema"])) == entry["fingerprint"]
        version = {"subject": f"icn.{alias}-value", "version": latest["version"]}
        assert version in http("GET", f"/schemas/ids/{entry['id']}/versions")[1]
    assert http("GET", "/subjects/icn.links-value/versions") == (200, [1, 2])


def test_there_is_a_subject_for_each_avro_topic_and_for_no_other(http: Http) -> None:
    """Dead letters promise no schema, _schemas is JSON, checkpoints are signed notes."""
    topics = (
        "artifacts.admitted artifacts.decided artifacts.raw assignments batches collections control corroborations idf links metrics "
        "nodes patterns phoenix.feed phoenix.refused phoenix.rounds priorities receipts redrives reports reputation reputation.log "
        "sketches targets ticks verdicts votes windows"
    )
    assert http("GET", "/subjects") == (200, [f"icn.{topic}-value" for topic in topics.split()])


def test_an_event_s_older_forms_are_its_first_versions(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`before:` in ids.yaml, the files in schemas/old."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "artifact-1.avsc").write_text(json.dumps(form("a")))
    monkeypatch.setattr(codec, "ids", lambda: {"artifact": {"id": 9, "before": [1]}})
    monkeypatch.setattr(codec, "folder", lambda: tmp_path)
    monkeypatch.setattr(codec, "schema", lambda name: form("a", optional=("b",)))
    schemas = Schemas.seeded(topology)
    assert [(version.number, version.id) for version in schemas.versions(RAW)] == [(1, 1), (2, 9)]


def test_what_was_added_keeps_its_id_where_the_files_took_its_version(topology: Topology) -> None:
    """Version 1 is in schemas/ by now; the record that says so moves behind it, and the next one behind that."""
    schemas = Schemas.seeded(topology)
    subject = "icn.votes-value"
    rows = [
        {"subject": subject, "version": version, "id": 999 + version, "schema": json.dumps(form(f"f{version}"))}
        for version in (2, 1)
    ]
    schemas.replay(
        {
            json.dumps({"keytype": "SCHEMA", "subject": subject, "version": row["version"]}): json.dumps(row)
            for row in rows
        }
    )
    assert [(v.number, v.id) for v in schemas.versions(subject)] == [(1, 15), (2, 1000), (3, 1001)]
    schemas.set_level(subject, "NONE")
    assert (schemas.next(subject, '"int"').number, schemas.next("new", '"int"').id) == (4, 1002)


def test_an_equal_schema_gets_the_known_id(http: Http) -> None:
    """Written otherwise, without docs, or for another subject: the id of the first."""
    artifact = codec.schema("artifact")
    fields = [{key: field[key] for key in ("type", "name")} for field in artifact["fields"]]
    bare = {"name": "icn.Artifact", "fields": fields, "type": "record"}
    assert http.register(RAW, artifact) == 1
    assert http.register(RAW, bare) == 1
    assert http.register("copy-value", bare) == 1
    assert http("GET", f"/subjects/{RAW}/versions") == (200, [1])
    assert http("POST", "/subjects/copy-value", {"schema": json.dumps(artifact)})[1]["version"] == 1


def test_new_schemas_get_ids_from_1000_on(http: Http) -> None:
    """One each, whatever the subject; registering again changes nothing."""
    first, second = form("a"), form("a", optional=("b",))
    assert [http.register("s", first), http.register("s", second), http.register("t", "long")] == [1000, 1001, 1002]
    http("PUT", "/config/t", {"compatibility": "NONE"})
    assert [http.register("s", first), http.register("t", first | {"doc": "…"})] == [1000, 1000]
    assert http("GET", "/subjects/s/versions") == (200, [1, 2])
    assert http("GET", "/subjects/s/versions/-1")[1]["version"] == 2
    status, found = http("GET", "/subjects/s/versions/1")
    assert json.loads(found.pop("schema")) == first
    assert (status, found) == (200, {"subject": "s", "version": 1, "id": 1000})
    uses = [{"subject": "s", "version": 1}, {"subject": "t", "version": 2}]
    assert http("GET", "/schemas/ids/1000/versions") == (200, uses)


def test_a_subject_may_have_any_name(http: Http) -> None:
    """Slashes and spaces come percent-encoded."""
    assert http.register("a%2Fb%20c", "string") == 1000
    assert "a/b c" in http("GET", "/subjects")[1]


def test_an_incompatible_schema_is_refused_and_says_where(http: Http) -> None:
    """409 with the path; nothing has changed."""
    changed = json.loads(json.dumps(codec.schema("artifact")))
    changed["fields"][0]["type"] = "long"
    changed["fields"].append({"name": "extra", "type": "string"})
    status, answer = http("POST", f"/subjects/{RAW}/versions", {"schema": json.dumps(changed)})
    assert (status, answer["error_code"]) == (409, 409)
    assert "icn.Artifact.artifact_id: written as string, can't be read as long" in answer["message"]
    assert "icn.Artifact.extra: not written, and the reader has no default for it" in answer["message"]
    assert http("GET", f"/subjects/{RAW}/versions") == (200, [1])
    assert http("GET", "/schemas/ids/1000")[0] == 404


@pytest.mark.parametrize(
    ("level", "passes"),
    [
        ("NONE", {"adds", "removes", "breaks"}),
        ("BACKWARD", {"removes"}),
        ("FORWARD", {"adds"}),
        ("FULL", set()),
    ],
)
def test_the_level_says_what_passes(http: Http, level: str, passes: set[str]) -> None:
    """A field without default: who adds one can't read the old, who removes one can't be read by the old."""
    assert http("PUT", "/config", {"compatibility": level}) == (200, {"compatibility": level})
    http.register("s", form("a", "b"))
    changes = {"adds": form("a", "b", "c"), "removes": form("a"), "breaks": form("a", "b", kind="string")}
    answers = {
        name: http("POST", "/compatibility/subjects/s/versions/latest", {"schema": json.dumps(schema)})[1]
        for name, schema in changes.items()
    }
    assert {name for name, answer in answers.items() if answer["is_compatible"]} == passes
    for name, schema in changes.items():
        if name not in passes:
            assert http("POST", "/subjects/s/versions", {"schema": json.dumps(schema)})[0] == 409


def test_transitive_means_all_versions(http: Http) -> None:
    """Two steps that are fine one by one, and not together: b goes, then comes back with another type."""
    http("PUT", "/config/s", {"compatibility": "backward_transitive"})
    http.register("s", form("a", "b"))
    http.register("s", form("a"))
    back = json.loads(
        json.dumps(form("a", optional=("b",)))
        .replace('"b", "type": "int"', '"b", "type": "boolean"')
        .replace('"default": 0', '"default": false')
    )
    status, answer = http("POST", "/subjects/s/versions", {"schema": json.dumps(back)})
    assert (status, "version 1" in answer["message"], "version 2" in answer["message"]) == (409, True, False)
    http("PUT", "/config/s", {"compatibility": "BACKWARD"})
    assert http.register("s", back) == 1002


def test_a_subject_without_its_own_level_has_the_common_one(http: Http) -> None:
    """BACKWARD at first."""
    assert http("GET", "/config") == (200, {"compatibilityLevel": "BACKWARD"})
    assert http("GET", "/config/s")[1]["error_code"] == 40408
    assert http("PUT", "/config/s", {"compatibility": "full_transitive"}) == (200, {"compatibility": "FULL_TRANSITIVE"})
    assert http("GET", "/config/s") == (200, {"compatibilityLevel": "FULL_TRANSITIVE"})
    assert http("GET", f"/config/{RAW}?defaultToGlobal=true") == (200, {"compatibilityLevel": "BACKWARD"})


def test_a_check_tells_why_when_asked(http: Http) -> None:
    """?verbose=true; a subject's first schema is compatible with whatever it has not."""
    breaking = {"schema": json.dumps({"type": "record", "name": "Artifact", "fields": [{"name": "x", "type": "int"}]})}
    path = f"/compatibility/subjects/{RAW}/versions/1"
    assert http("POST", path, breaking) == (200, {"is_compatible": False})
    assert http("POST", path + "?verbose=True", breaking) == (
        200,
        {
            "is_compatible": False,
            "messages": [
                "the new schema reading version 1: Artifact.x: not written, and the reader has no default for it"
            ],
        },
    )
    assert http("POST", "/compatibility/subjects/none/versions/latest", breaking) == (200, {"is_compatible": True})


INT = {"schema": '"int"'}
ERRORS: dict[str, tuple[str, str, Any, int, int]] = {  # what is wrong -> (method, path, body, status, code)
    "no such subject": ("GET", "/subjects/none/versions", None, 404, 40401),
    "no such subject's version": ("GET", "/subjects/none/versions/1", None, 404, 40401),
    "no such subject to look in": ("POST", "/subjects/none", INT, 404, 40401),
    "no such subject to check": ("POST", "/compatibility/subjects/none/versions/1", INT, 404, 40401),
    "no such version": ("GET", f"/subjects/{RAW}/versions/7", None, 404, 40402),
    "no such version to check": ("POST", f"/compatibility/subjects/{RAW}/versions/7", INT, 404, 40402),
    "no such schema in the subject": ("POST", f"/subjects/{RAW}", INT, 404, 40403),
    "no such id": ("GET", "/schemas/ids/4711", None, 404, 40403),
    "no such id's versions": ("GET", "/schemas/ids/4711/versions", None, 404, 40403),
    "a schema that is not JSON": ("POST", "/subjects/s/versions", {"schema": "{"}, 422, 42201),
    "a schema that is not Avro": ("POST", "/subjects/s/versions", {"schema": '"strin"'}, 422, 42201),
    "a default of the wrong type": (
        "POST",
        "/subjects/s/versions",
        {"schema": json.dumps(form(optional=("a",), kind="string"))},
        422,
        42201,
    ),
    "a field twice": ("POST", "/subjects/s/versions", {"schema": json.dumps(form("a", "a"))}, 422, 42201),
    "a schema too deep": ("POST", "/subjects/s/versions", {"schema": '{"type":"array","items":' * 9000}, 422, 42201),
    "a schema to look up that is not Avro": ("POST", f"/subjects/{RAW}", {"schema": "5"}, 422, 42201),
    "no schema": ("POST", "/subjects/s/versions", {}, 422, 42201),
    "another kind of schema": ("POST", "/subjects/s/versions", INT | {"schemaType": "JSON"}, 422, 42201),
    "a reference": ("POST", "/subjects/s/versions", INT | {"references": [{"name": "x"}]}, 422, 42201),
    "a body that is not JSON": ("POST", "/subjects/s/versions", b"{", 400, 400),
    "a body that is no object": ("PUT", "/config", [], 400, 400),
    "a version that is none": ("GET", f"/subjects/{RAW}/versions/0", None, 422, 42202),
    "a version that is a word": ("GET", f"/subjects/{RAW}/versions/first", None, 422, 42202),
    "a level that is none": ("PUT", "/config", {"compatibility": "SOMEHOW"}, 422, 42203),
    "no level": ("PUT", f"/config/{RAW}", {}, 422, 42203),
    "a level that is null": ("PUT", f"/config/{RAW}", {"compatibility": None}, 422, 42203),
    "no such path": ("GET", "/nothing", None, 404, 404),
    "an id that is a word": ("GET", "/schemas/ids/one", None, 404, 404),
    "a method we don't have": ("DELETE", f"/subjects/{RAW}", None, 405, 405),
    "a body too big": ("POST", "/subjects/s/versions", {"schema": "x" * (1 << 20)}, 413, 413),
}


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), ERRORS.values(), ids=ERRORS)
def test_an_error_has_a_code_and_a_sentence(
    http: Http, method: str, path: str, body: Any, status: int, code: int
) -> None:
    """The codes of Confluent's registry."""
    got, answer = http(method, path, body)
    assert (got, answer["error_code"], bool(answer["message"])) == (status, code, True), answer


def test_avro_is_the_only_kind_of_schema(http: Http) -> None:
    """/schemas/types."""
    assert http("GET", "/schemas/types") == (200, ["AVRO"])


def test_confluent_s_own_client_reads_and_writes_our_events(http: Http) -> None:
    """Its serializer makes the bytes that our encoder makes. Needs confluent-kafka[avro], which we don't depend on."""
    client_module = pytest.importorskip("confluent_kafka.schema_registry", exc_type=ImportError)
    avro = pytest.importorskip("confluent_kafka.schema_registry.avro", exc_type=ImportError)
    from confluent_kafka.serialization import MessageField, SerializationContext

    client = client_module.SchemaRegistryClient({"url": http.url})
    text = json.dumps(codec.without_logical_types(codec.schema("control")))
    record = {
        "kind": "tick",
        "slot_ms": 60_000,
        "cadence_ms": 60_000,
        "node_id": None,
        "principal": None,
        "generation": 0,
        "capabilities": [],
        "capacity": 3,
        "weight": 0.0,
    }
    context = SerializationContext("icn.control", MessageField.VALUE)
    written = avro.AvroSerializer(client, text)(record, context)
    assert written == codec.encoder("control")(record)
    assert avro.AvroDeserializer(client, text)(written, context) == record
    assert client.get_latest_version("icn.control-value").schema_id == codec.ids()["control"]["id"]
    assert client.register_schema("own-value", client_module.Schema('"int"', "AVRO")) == 1000
    assert client.lookup_schema("own-value", client_module.Schema('"int"', "AVRO")).version == 1
    assert client.test_compatibility("own-value", client_module.Schema('"string"', "AVRO")) is False
    assert client.set_compatibility("own-value", "NONE") == {"compatibility": "NONE"}
    assert client.get_compatibility("own-value") == "NONE"
    with pytest.raises(client_module.error.SchemaRegistryError) as caught:
        client.get_version("own-value", 7)
    assert caught.value.error_code == 40402


def test_a_busy_port_is_told_in_one_line(topology: Topology, tmp_path: Path) -> None:
    """Before anything else: the registry that runs there must not notice."""
    settings = dataclasses.replace(read_settings(topology, {}, state=str(tmp_path)), brokers="127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerError) as caught:
            serve(topology, settings, port=port)
    assert caught.value.args[0] == f"port {port} of 127.0.0.1 is in use"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, nothing on stderr; without a broker, too."""
    port = free_port()
    with process(port, tmp_path) as started:
        assert Http(port).register("s", "int") == 1000
        started.send_signal(number)
        assert (started.wait(10), (tmp_path / "stderr").read_text()) == (0, "")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    """A Kafka of its own: it is frozen on the way."""
    local = LocalBroker(tmp_path_factory.mktemp("registry"))
    local.start(owned=True)
    yield local
    local.stop()


@pytest.fixture
def deployed(topology: Topology, broker: LocalBroker, request: pytest.FixtureRequest) -> tuple[Topology, Settings]:
    """A deployment on it, with all topics."""
    prefix = f"t{abs(hash(request.node.name))}"
    topics = {alias: dataclasses.replace(topic, name=f"{prefix}.{alias}") for alias, topic in topology.topics.items()}
    own = dataclasses.replace(topology, deployment=prefix, topics=topics, agents={})
    settings = read_settings(own, {}, brokers=broker.bootstrap)
    Admin(settings).apply(own)
    return own, settings


def test_what_was_registered_is_there_after_a_restart(topology: Topology, broker: LocalBroker, tmp_path: Path) -> None:
    """After SIGTERM, and after kill -9 right behind the answer."""
    Admin(read_settings(topology, {}, brokers=broker.bootstrap)).apply(topology)
    port = free_port()
    http = Http(port)
    with process(port, tmp_path, ICN_BROKERS=broker.bootstrap) as started:
        assert http.register("out-value", form("a")) == 1000
        assert http("PUT", "/config/out-value", {"compatibility": "NONE"})[0] == 200
        assert http("PUT", "/config", {"compatibility": "FULL"})[0] == 200
        started.send_signal(signal.SIGTERM)
        assert (started.wait(10), (tmp_path / "stderr").read_text()) == (0, "")
    with process(port, tmp_path, ICN_BROKERS=broker.bootstrap) as started:
        assert http.register("out-value", "string") == 1001
        started.kill()
        started.wait(10)
    with process(port, tmp_path, ICN_BROKERS=broker.bootstrap):
        assert http("GET", "/subjects/out-value/versions") == (200, [1, 2])
        assert json.loads(http("GET", "/schemas/ids/1000")[1]["schema"]) == form("a")
        assert http("GET", "/schemas/ids/1001") == (200, {"schema": '"string"'})
        assert http("GET", "/config/out-value") == (200, {"compatibilityLevel": "NONE"})
        assert http("GET", "/config") == (200, {"compatibilityLevel": "FULL"})
        assert http.register("out-value", form("a")) == 1000
        assert http.register("out-value", "bytes") == 1002


def test_the_topic_holds_only_what_was_added(deployed: tuple[Topology, Settings]) -> None:
    """Keys that compaction can work with; no seeds."""
    topology, settings = deployed
    log = Log(topology, settings)
    with running(Registry(topology, log)) as http:
        subject = f"{topology.deployment}.links-value"
        http.register(subject, codec.schema("link"))  # a seed
        http.register("s", "int")
        http("PUT", "/config", {"compatibility": "FORWARD"})
        http("PUT", "/config", {"compatibility": "FULL"})
    log.close()
    records = [(json.loads(m.key()), json.loads(m.value())) for m in fold(settings, log.topic)]
    common = {"keytype": "CONFIG", "subject": None, "version": None}
    version = {"subject": "s", "version": 1}
    assert records == [
        ({"keytype": "SCHEMA"} | version, version | {"id": 1000, "schema": '"int"'}),
        (common, {"compatibilityLevel": "FORWARD"}),
        (common, {"compatibilityLevel": "FULL"}),
    ]


def test_two_registries_never_give_out_one_id_twice(deployed: tuple[Topology, Settings]) -> None:
    """The newer fences the older, whose next try reads what the newer wrote."""
    topology, settings = deployed
    logs = [Log(topology, settings), Log(topology, settings)]
    with running(Registry(topology, logs[0])) as older:
        assert older.register("a", "int") == 1000
        with running(Registry(topology, logs[1])) as newer:
            assert newer.register("b", "long") == 1001
            status, answer = older("POST", "/subjects/c/versions", {"schema": '"string"'})
            assert (status, answer["error_code"]) == (500, 50001)
            assert older.register("c", "string") == 1002
            assert "b" in older("GET", "/subjects")[1]
    for log in logs:
        log.close()


def test_a_write_that_nobody_confirmed_is_settled_by_the_next(
    deployed: tuple[Topology, Settings], broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker freezes: 500, nothing is seen. It thaws: whatever became of it, each id has its schema."""
    topology, settings = deployed
    log = Log(topology, settings)
    pid = broker.pid()
    assert pid is not None
    with running(Registry(topology, log)) as http:
        assert http.register("s", "int") == 1000
        monkeypatch.setattr(module, "BROKER_S", 12)  # long enough for the cluster to take its broker for dead
        os.kill(pid, signal.SIGSTOP)
        try:
            status, answer = http("POST", "/subjects/s/versions", {"schema": '"long"'})
            assert (status, answer["error_code"]) == (500, 50001)
            assert http("GET", "/subjects/s/versions") == (200, [1])
        finally:
            os.kill(pid, signal.SIGCONT)
        monkeypatch.setattr(module, "BROKER_S", 30)
        other, again = http.register("t", "string"), http.register("s", "long")
        seen = {number: http("GET", f"/schemas/ids/{number}")[1] for number in (1000, other, again)}
    log.close()
    assert seen == {1000: {"schema": '"int"'}, other: {"schema": '"string"'}, again: {"schema": '"long"'}}
    with running(Registry(topology, log)) as http:
        assert {number: http("GET", f"/schemas/ids/{number}")[1] for number in seen} == seen
    log.close()


def test_without_its_topic_it_does_not_start(topology: Topology, broker: LocalBroker) -> None:
    """One line that says what to do."""
    topics = {alias: dataclasses.replace(topic, name=f"absent.{alias}") for alias, topic in topology.topics.items()}
    absent = dataclasses.replace(topology, deployment="absent", topics=topics)
    with pytest.raises(ContractError, match=r'topic "absent\._schemas" is missing\n  hint: .*icn topics apply'):
        Registry(absent, Log(absent, read_settings(absent, {}, brokers=broker.bootstrap)))


def test_a_foreign_record_in_its_topic_stops_it(deployed: tuple[Topology, Settings]) -> None:
    """Better no registry than one that has forgotten something; it stays closed."""
    topology, settings = deployed
    log = Log(topology, settings)
    log.open()
    log.write("{}", {})
    with pytest.raises(ContractError, match="a record that is not the registry's"):
        Registry(topology, log)
    assert not log.is_open


def test_a_refusal_s_status_is_the_start_of_its_code() -> None:
    """40401 is a 404."""
    assert [Refused(code, "").status for code in (409, 40401, 42203, 50001)] == [409, 404, 422, 500]
