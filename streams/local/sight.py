"""What is seen of a run while it runs: from `ticks` and `collections`, and from the processes themselves."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.broker.topics import ends
from streams.codec import Undecodable, decoder
from streams.errors import BrokerError
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.presence import presence


class Sight:
    """Follows its topics from their beginning; `look` takes in what has come."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.decode = {
            topology.topic(a).name: (a, decoder(s))
            for a, s in (("ticks", "tick"), ("collections", "collection"), ("control", "control"))
        }
        self.consumer = Consumer(settings.librdkafka_reader(**{"enable.partition.eof": False}))
        places = [
            TopicPartition(name, p, low) for name in self.decode for p, (low, _) in ends(self.consumer, name).items()
        ]
        self.consumer.assign(places)
        self.ticks: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.artifacts = 0
        self.slot = -1  # the newest that was planned
        self.nodes: list[Mapping[str, Any]] = []
        self.capabilities: dict[str, Sequence[str]] = {}  # of registered nodes
        self.progress_s = time.monotonic()

    def look(self, timeout_s: float = 0.05) -> None:
        """What is away is seen later."""
        with contextlib.suppress(KafkaException, BrokerError):
            for message in self.consumer.consume(500, timeout_s):
                if message.error() is None:
                    alias, decode = self.decode[message.topic()]
                    with contextlib.suppress(Undecodable):
                        take = {"ticks": self._tick, "collections": self._collection, "control": self._control}[alias]
                        take(decode(message.value() or b""))

    def _tick(self, step: dict[str, Any]) -> None:
        if step["kind"] == "planned" and step["slot"] >= 0:
            self.slot, self.nodes, self.progress_s = step["slot"], step["nodes"], time.monotonic()
            self.ticks["started"] += 1
        elif step["kind"] == "ended" and step["slot"] >= 0:
            self.ticks["idle" if step["success"] is None else "ok" if step["success"] else "without success"] += 1
            self.progress_s = time.monotonic()

    def _collection(self, one: dict[str, Any]) -> None:
        if self.slot < 0:  # before it begins, while stages and sources are still starting
            return
        self.outcomes["late" if one["late"] else one["outcome"]] += 1
        self.artifacts += 0 if one["late"] else one["artifact_count"]

    def _control(self, event: dict[str, Any]) -> None:
        if event["kind"] == "node_registered":
            self.capabilities[event["node_id"]] = event["capabilities"]

    @property
    def present(self) -> Counter[str]:
        """How many of the planned nodes are what, as `presence` has it."""
        return Counter(presence(node, self.capabilities.get(node["node_id"], ())) for node in self.nodes)

    def close(self) -> None:
        self.consumer.close()


def processes(pids: Mapping[str, int]) -> dict[str, psutil.Process]:
    """Of the supervised ones and their children: name -> process. A stage is named by its worker and its own name."""
    found: dict[str, psutil.Process] = {}
    for name, pid in pids.items():
        with contextlib.suppress(psutil.Error):
            found[name] = psutil.Process(pid)
            for child in found[name].children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    found[f"{name}/{_called(child.cmdline())}"] = child
    return found


def _called(command: list[str]) -> str:
    """streams.runtime.worker s1_intake 0 -> s1_intake."""
    if "streams.runtime.worker" in command:
        return command[command.index("streams.runtime.worker") + 1]
    return next(
        (word.rpartition(".")[2] for word in command if word.startswith("streams.")), command[0] if command else "?"
    )


def memory_bytes(of: Mapping[str, psutil.Process]) -> int:
    """Resident, all together."""
    total = 0
    for process in of.values():
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total
