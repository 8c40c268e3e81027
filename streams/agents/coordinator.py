"""The coordinator: reads what nodes, targets and stages say, takes the core's steps, and writes what they make in one transaction each.

Its state is a fold of topics. A new one reads `ticks` and takes the same steps again, each with what the first one had read; then it goes
on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from confluent_kafka import KafkaException, Producer

from streams.agents.deadletters import letter
from streams.agents.inbox import Inbox, Letter
from streams.audit.record.methodology import OVERLONG_PERCENT
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.domain.coordination import Coordination, Made
from streams.domain.coordination_state import Rules
from streams.domain.identity import NAME_MAX, is_registrable, is_said_by, node_token
from streams.domain.plan import Choice
from streams.errors import Fatal
from streams.runtime.rules import rule_version
from streams.runtime.stage import Message
from streams.secrets import deployment_secret, derive
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms

log = logging.getLogger("icn.coordinator")

STAGE = "coordinator"
# who may speak comes first, then who is there and what there is to do; what was admitted before what is claimed
SOURCES = ("control", "nodes", "targets", "artifacts.decided", "votes", "reports")
SCHEMAS = {"control": "control", "nodes": "node", "targets": "target", "votes": "vote", "reports": "report"}
SCHEMAS |= {"artifacts.decided": "decided"}
SIGNED = ("nodes", "reports")
TAKEN_MAX = 20_000  # records in one step: a flood is for several
HEAR_EVERY_S = 0.2
TRANSACTION_TIMEOUT_MS = 15_000
FENCE_TIMEOUT_S = 60


class Told(Protocol):
    """Who wants to know what happened, as it happens (the audit log)."""

    def heard(self, source: str, event: dict[str, Any]) -> None:
        """An event that counts."""

    def made(self, core: Coordination, made: Made) -> None:
        """A step that is a fact now."""


def rules_of(topology: Topology) -> Rules:
    """As topology.yaml has them."""
    given = topology.protocol["coordination"]
    return Rules.of(duration_ms(given["cadence"]), given["needs"], OVERLONG_PERCENT)


class Folder:
    """Records -> the core's events: decodes, checks who speaks. The same for the coordinator and for whoever checks it."""

    def __init__(self, topology: Topology, secret: bytes, rule: bytes) -> None:
        self.topology, self.rule = topology, rule
        self.core = Coordination(rules_of(topology))
        self.key = derive(secret, "node-token")
        self.decode = {alias: decoder(schema) for alias, schema in SCHEMAS.items()}

    def fold(self, letters: Iterable[Letter], hear: Callable[[str, dict[str, Any]], None]) -> dict[str, list[Message]]:
        """Take them in; what can't be goes to the dead letters: topic alias -> messages."""
        dead: dict[str, list[Message]] = {}
        for source, partition, record in letters:
            try:
                event = self.decode[source](record.value or b"")
            except Undecodable as error:
                reason, detail = error.reason, str(error)
            else:
                reason, detail = self._flaw(source, event, record)
                if not reason:
                    self.core.fold(source, event, record.timestamp)
                    hear(source, event)
                    continue
            self.core.refused[f"{source}: {reason}"] += 1
            if self.topology.topic(source).dlq and source in SIGNED:
                name = self.topology.topic(source).name
                message = letter(name, partition, record, STAGE, reason, detail, self.rule)
                dead.setdefault(f"{source}.dlq", []).append(message)
        return dead

    def _flaw(self, source: str, event: dict[str, Any], record: Any) -> tuple[str, str]:
        """Why it counts nothing, and in words; empty: it does."""
        if source == "control" and event["kind"] in ("node_registered", "node_unregistered"):
            about = (event["node_id"], event["principal"], event["generation"], event["capabilities"])
            return ("", "") if is_registrable(*about) else ("registration", "out of range")
        if source not in SIGNED:
            return "", ""
        name = event["node_id"]
        node = self.core.nodes.get(name)
        if record.key != name.encode():
            return "node_mismatch", "its node_id is not its key"
        if node is None or not node.capacity:
            return "unknown_node", "the node is not registered; icn node register"
        if not is_said_by(node_token(self.key, name, node.generation), name, record.value, record.headers):
            return "bad_signature", "header icn_mac does not fit node, record and the node's current token"
        if min(event.get("artifact_count", 0), event.get("duration_ms", 0), event.get("said_at", 0)) < 0:
            return "out_of_range", "artifact_count, duration_ms and said_at: from 0 on"
        if max(len(event.get(field, "")) for field in ("assignment", "target_id", "session")) > NAME_MAX:
            return "out_of_range", f"assignment, target_id and session: at most {NAME_MAX} characters"
        if "unknown" in (event.get("outcome"), event.get("kind")):
            return "out_of_range", "an outcome or a kind that this release does not know"
        return "", ""


class Coordinator:
    """`begin`, `hear` and `end` are the core's steps, made facts. Raises Fatal: whether it was committed is found out by the next one."""

    def __init__(self, topology: Topology, settings: Settings, schedule: str, told: Told) -> None:
        self.topology, self.settings, self.schedule, self.told = topology, settings, schedule, told
        self.rule = rule_version(topology)
        self.folder = Folder(topology, deployment_secret(settings.state), self.rule)
        self.core = self.folder.core
        self.encode = {name: encoder(name) for name in ("assignment", "collection", "tick")}
        self.producer = Producer(
            settings.librdkafka_producer(
                **{
                    "client.id": "icn-coordinator",
                    "transactional.id": f"{topology.deployment}-{STAGE}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                }
            )
        )
        self.slot: int | None = None  # of the tick that is not over
        self.restored = 0
        self.heard_s = 0.0

    def restore(self) -> None:
        """Fence whoever was before, and take its steps again."""
        try:
            self.producer.init_transactions(FENCE_TIMEOUT_S)
        except KafkaException as error:
            raise Fatal(f"can't take over {self.topology.deployment}-{STAGE}: {error.args[0].str()}") from error
        self.inbox = Inbox(self.topology, self.settings, STAGE, SOURCES)
        decode = decoder("tick")
        for message in fold(self.settings, self.topology.topic("ticks").name):
            try:
                step = decode(message.value() or b"")
            except Undecodable as error:
                log.warning("%s/%d is no tick: %s", message.topic(), message.offset(), error)
                continue
            self.folder.fold(self.inbox.take(step["read"]), lambda source, event: None)
            take(self.core, step, decide=False)
            self.slot = {"planned": step["slot"], "ended": None}.get(step["kind"], self.slot)
            self.restored += 1
        # what was said while nobody listened comes before the next plan, or a node that was heard by nobody would be offline
        self.inbox.catch_up()

    def poll(self, timeout_s: float) -> bool:
        """Take in what has come. True: something a step could change is waiting, and the last one was a moment ago."""
        waiting = self.inbox.poll(timeout_s)
        useful = "reports" in waiting or bool(self.core.claims and "artifacts.decided" in waiting)
        return useful and time.monotonic() - self.heard_s > HEAR_EVERY_S

    def begin(self, slot: int, slot_ms: int) -> Made:
        made = self._step(lambda: self.core.begin(slot, slot_ms))
        self.slot = slot
        return made

    def hear(self) -> Made:
        self.heard_s = time.monotonic()
        return self._step(self.core.hear)

    def end(self) -> Made:
        """First everything that is there is taken in: what is claimed and not admitted by then was not true."""
        assert self.slot is not None
        slot = self.slot
        self.inbox.catch_up()
        made = self._step(lambda: self.core.end(slot))
        self.slot = None
        return made

    def _step(self, step: Callable[[], Made]) -> Made:
        heard: list[tuple[str, dict[str, Any]]] = []
        self.inbox.poll(0)
        dead = self.folder.fold(self.inbox.take(most=TAKEN_MAX), lambda source, event: heard.append((source, event)))
        made = step()
        self._commit(made, dead)
        for source, event in heard:
            self.told.heard(source, event)
        self.told.made(self.core, made)
        return made

    def _commit(self, made: Made, dead: dict[str, list[Message]]) -> None:
        tick = {**made.tick, "schedule": self.schedule, "read": self.inbox.position(), "rule": self.rule}
        try:
            self.producer.begin_transaction()
            for alias, name, events in (
                ("assignments", "assignment", made.assignments),
                ("collections", "collection", made.collections),
            ):
                for event in events:
                    self._produce(alias, {"value": self.encode[name](event), "key": event["node_id"].encode()})
            for alias, messages in dead.items():
                for message in messages:
                    self._produce(alias, message)
            self._produce("ticks", {"value": self.encode["tick"](tick), "key": self.schedule.encode()})
            self.producer.commit_transaction()
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else "the output queue is full"
            raise Fatal(f"coordinator: {tick['kind']} of tick {tick['slot']} not committed: {reason}") from error

    def _produce(self, alias: str, message: Message) -> None:
        self.producer.produce(self.topology.topic(alias).name, **message)

    def close(self) -> None:
        self.inbox.close()


def take(core: Coordination, step: dict[str, Any], decide: bool = True) -> Made:
    """The step that a tick's event tells of. decide False: as it was decided then, by whatever rules."""
    if step["kind"] == "planned":
        fields = Choice.__dataclass_fields__
        made = None if decide else [Choice(**{name: one[name] for name in fields}) for one in step["choices"]]
        return core.begin(step["slot"], step["slot_ms"], made)
    return core.end(step["slot"]) if step["kind"] == "ended" else core.hear()
