"""A collecting node: says that it is there, takes its assignments from their topic, and answers for each."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.broker.registrations import kept_token, registered
from streams.broker.topics import ends, events, headers
from streams.clock import Steady
from streams.codec import Undecodable, decoder
from streams.collectors.collector import find
from streams.collectors.config import Config
from streams.collectors.job import Ended, Job
from streams.collectors.memory import Memory
from streams.domain.identity import is_said_by
from streams.errors import IcnError
from streams.partition import partition_of
from streams.sdk.node import Node
from streams.sdk.voice import Voice
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms
from streams.words import counted

log = logging.getLogger("icn.collect")

ALIVE_CADENCES = 5
LOOK_BACK = 2_000  # heartbeats of the fleet
POLL_S = 0.05
GOODBYE_S = 5.0
WORDS_MAX = 200
HANGING_MAX = 50  # threads


class CollectingNode:
    """`run` until `stop` is set. Raises IcnError for what keeps it from starting."""

    def __init__(self, topology: Topology, settings: Settings, config: Config, token: str | None = None) -> None:
        self.topology, self.settings, self.config, self.name = topology, settings, config, config.node
        about = registered(topology, settings).get(self.name)
        if about is None:
            raise IcnError(f'node "{self.name}" is not registered', f"icn node register {self.name} --principal NAME")
        able = sorted(about["capabilities"])
        if not able:
            raise IcnError(
                f'node "{self.name}" is registered without a capability, so nothing is ever assigned to it',
                f"icn node register {self.name} --rotate --principal {about['principal']} --capability file",
            )
        self.capacity, self.generation = about["capacity"], about["generation"]
        if config.capacity is not None and config.capacity < self.capacity:
            raise IcnError(
                f"capacity {config.capacity}: the plan counts on {self.capacity}, as {self.name} is registered",
                f"icn node register {self.name} --rotate --principal {about['principal']} --capacity {config.capacity}",
            )
        self.collectors = find(config.collectors, able)
        self.cadence_s = duration_ms(topology.protocol["coordination"]["cadence"]) / 1000
        self.folder = settings.state / "collect" / self.name
        self.memory = Memory(self.folder)
        self.voice = Voice(topology, settings, self.name, kept_token(settings, self.name, token))
        self.node = Node(self.name, topology=topology, state=settings.state, broker=settings.brokers, token=token)
        try:
            self._refuse_another()
            self.inbox = self._assignments()
        except BaseException:
            self.node.close(0)
            raise
        self.decode, self.decode_control = decoder("assignment"), decoder("control")
        self.clock = Steady()
        self.jobs: dict[str, Job] = {}
        self.hanging: list[Job] = []
        self.done = 0

    def _refuse_another(self) -> None:
        """Two processes under one name would take each other's assignments. Our own dead one is known by its session: it can't be alive,
        for the outbox is ours."""
        path = self.folder / "session"
        ours = path.read_text() if path.exists() else ""
        newest: tuple[dict[str, Any], int] | None = None
        for event, message in events(self.settings, self.topology.topic("nodes").name, "node", last=LOOK_BACK):
            if message.key() == self.name.encode() and self._is_ours(message):
                newest = event, message.timestamp()[1]
        if newest is not None:
            said, at_ms = newest
            ago_s = time.time() - at_ms / 1000
            if said["kind"] != "stopped" and said["session"] != ours and ago_s < ALIVE_CADENCES * self.cadence_s:
                raise IcnError(
                    f'node "{self.name}" is alive elsewhere: it was heard {ago_s:.0f} s ago',
                    f"stop it there; or wait {ALIVE_CADENCES * self.cadence_s - ago_s:.0f} s if it has died",
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(self.voice.session)

    def _is_ours(self, message: Any) -> bool:
        """Said with our token: anybody can write our name."""
        return is_said_by(self.voice.token, self.name, message.value(), headers(message))

    def _assignments(self) -> Consumer:
        """From now on: what an earlier process had been given is given anew, once we say that we have started."""
        consumer = Consumer(
            self.settings.librdkafka_reader(**{"client.id": f"icn-node-{self.name}", "enable.partition.eof": False})
        )
        topic = self.topology.topic("assignments").name
        bounds = ends(consumer, topic)
        partition = partition_of(self.name.encode(), len(bounds))
        control = self.topology.topic("control").name
        revoked = [TopicPartition(control, number, high) for number, (_, high) in ends(consumer, control).items()]
        consumer.assign([TopicPartition(topic, partition, bounds[partition][1]), *revoked])
        return consumer

    def run(self, stop: threading.Event) -> int:
        """How many assignments it has answered."""
        self.voice.say("started")
        log.info("%s: collects %s, %d at a time", self.name, ", ".join(self.collectors), self.capacity)
        heartbeat_s, assignments = time.monotonic() + self.cadence_s, self.topology.topic("assignments").name
        try:
            while not stop.is_set():
                for message in self.inbox.consume(100, POLL_S):
                    if message.error() is None and message.key() == self.name.encode():
                        of = self._take if message.topic() == assignments else self._hear
                        of(message.value() or b"")
                self._answer()
                if time.monotonic() >= heartbeat_s:
                    heartbeat_s = time.monotonic() + self.cadence_s
                    self.voice.say("heartbeat", len(self.jobs))
                self.voice.producer.poll(0)
        finally:
            self.close()
        return self.done

    def _hear(self, value: bytes) -> None:
        """Of our registration. Raises IcnError where we may speak no longer."""
        with contextlib.suppress(Undecodable):
            event = self.decode_control(value)
            if event["kind"] in ("node_registered", "node_unregistered") and event["generation"] > self.generation:
                what = (
                    "no longer registered"
                    if event["kind"] == "node_unregistered"
                    else "registered anew, with another token"
                )
                raise IcnError(
                    f'node "{self.name}" is {what}', "icn node list; start it again with its new token: icn node run"
                )

    def _take(self, value: bytes) -> None:
        try:
            assignment = self.decode(value)
        except Undecodable as error:
            log.warning("an assignment can't be read: %s", error)
            return
        if self.clock.now_ms() >= assignment["deadline_ms"]:
            self._report(
                assignment,
                Ended("failure", error="it came too late to be collected: does this clock, or the broker, lag?"),
                0,
            )
            return
        needed = self.topology.protocol["coordination"]["needs"].get(assignment["type"], assignment["type"])
        self.node.record.collection_began(assignment["slot"], assignment["target_id"], assignment["attempt"])
        if needed not in self.collectors:
            self._report(assignment, Ended("failure", error=f"no collector for {assignment['type']}"), 0)
            return
        if len(self.jobs) >= self.capacity:
            self._report(assignment, Ended("failure", error=f"more at a time than its capacity of {self.capacity}"), 0)
            return
        job = Job(assignment, self.collectors[needed], self.node, self.config, self.memory, self.clock)
        job.start()
        self.jobs[assignment["assignment_id"]] = job

    def _answer(self) -> None:
        """Report what is done. What is not at its deadline has failed, whatever its thread still does."""
        for key, job in list(self.jobs.items()):
            if job.error is not None:
                raise job.error
            if job.ended is None and self.clock.now_ms() < job.assignment["deadline_ms"]:
                continue
            del self.jobs[key]
            ended = job.ended or Ended("failure", error="timeout")
            if ended.memory is not None:
                self.memory.keep(job.assignment["target_id"], ended.memory)
            self._report(job.assignment, ended, time.monotonic() - job.began_s)
            if job.ended is None:
                self._leave(job)

    def _leave(self, job: Job) -> None:
        """To itself: a collector that does not come back can't be stopped. Raises IcnError where too many don't."""
        self.hanging = [one for one in (*self.hanging, job) if one.is_alive()]
        if len(self.hanging) > HANGING_MAX:
            raise IcnError(
                f"{len(self.hanging)} collections are long over and don't come back, the last of {job.assignment['location'][:WORDS_MAX]}",
                f'the collector for "{job.assignment["type"]}" must heed task.left_s(); start the node again',
            )

    def _report(self, assignment: Mapping[str, Any], ended: Ended, took_s: float) -> None:
        self.done += 1
        took_ms, target = int(took_s * 1000), assignment["target_id"]
        self.voice.report(
            assignment["assignment_id"],
            target,
            ended.outcome,
            ended.artifact_count,
            took_ms,
            ended.error if ended.outcome == "failure" else None,
            self.topology.simulated or bool(self.config.defaults.get("simulated")),
        )
        self.node.record.collection_ended(
            assignment["slot"],
            target,
            assignment["attempt"],
            ended.outcome,
            ended.artifact_count,
            took_ms * 1_000_000,
            ended.error,
        )
        words = f", {counted(ended.artifact_count, 'artifact')}" if ended.artifact_count else ""
        why = f": {ended.error[:WORDS_MAX]}" if ended.error else ""
        where = assignment["location"][:WORDS_MAX]
        log.info("%s: %s: %s in %d ms%s%s", self.name, where, ended.outcome, took_ms, words, why)

    def close(self) -> None:
        """What it is at is given up, and said so: the coordinator gives it to others."""
        self.voice.say("stopped")
        self.voice.flush(GOODBYE_S)
        self.inbox.close()
        self.node.close(GOODBYE_S)
