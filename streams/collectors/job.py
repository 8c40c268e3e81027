"""One assignment on a node: collect, submit, wait for what became of it. In a thread of its own, until its deadline."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import TimeoutError as NotYet
from typing import Any, NamedTuple

from streams.clock import Steady
from streams.collectors.collector import BEGINS_FOR_COLLECTOR, Collected, CollectError, Collector, Task
from streams.collectors.config import Config
from streams.collectors.memory import Memory
from streams.domain.quota import OVER_A_LIMIT
from streams.errors import ArtifactError, IcnError
from streams.sdk.decision import Submission
from streams.sdk.node import Node

log = logging.getLogger("icn.collect")

SAID_MAX = 3  # of what was skipped
SHARE_TO_SEND = 5  # the last fifth of the time is for sending and being told, at most so many seconds:
SEND_MAX_S = 10.0


class Ended(NamedTuple):
    """artifact_count: those that were admitted. memory: to be kept; None: nothing is."""

    outcome: str  # success, unchanged, empty, failure
    artifact_count: int = 0
    error: str | None = None
    memory: dict[str, Any] | None = None


class Job(threading.Thread):
    """ended: how, once it has; None so far. It keeps nobody from going on, nor the process from ending."""

    def __init__(
        self,
        assignment: Mapping[str, Any],
        collector: Collector,
        node: Node,
        config: Config,
        memory: Memory,
        clock: Steady,
    ) -> None:
        super().__init__(name=f"icn-collect {assignment['target_id']}", daemon=True)
        self.assignment, self.began_s = assignment, time.monotonic()
        self.ended: Ended | None = None
        self.error: IcnError | None = None
        self._work = (assignment, collector, node, config, memory, clock)

    def run(self) -> None:
        try:
            self.ended = work(*self._work)
        except IcnError as error:  # of the node, not of the source: its outbox, its token
            self.error = error


def work(
    assignment: Mapping[str, Any], collector: Collector, node: Node, config: Config, memory: Memory, clock: Steady
) -> Ended:
    """Whatever happens, there is an end of it."""
    left_s = (assignment["deadline_ms"] - clock.now_ms()) / 1000
    ends_s = time.monotonic() + left_s
    try:
        task = Task(
            assignment["target_id"],
            assignment["location"],
            assignment["metadata"],
            memory.of(assignment["target_id"]),
            ends_s - min(SEND_MAX_S, left_s / SHARE_TO_SEND),
            config.size_max_bytes,
            config.items_max,
        )
        task.left_s()
        collected = collector.collect(task)
        for words in collected.skipped[:SAID_MAX]:
            log.warning("%s: %s", assignment["location"], words)
        if collected.unchanged:
            return Ended("unchanged", memory=collected.memory)
        if not collected.items:
            return Ended("empty", error=_some(collected.skipped), memory=collected.memory)
        return _submit(assignment, collected, node, config, ends_s)
    except CollectError as error:
        return Ended("failure", error=str(error))
    except IcnError:
        raise
    except Exception as error:  # a collector is anybody's code
        log.exception("%s: collector %s", assignment["location"], assignment["type"])
        node.record.failed(error)
        return Ended("failure", error=f"{type(error).__name__}: {error}"[:500])


def _submit(assignment: Mapping[str, Any], collected: Collected, node: Node, config: Config, ends_s: float) -> Ended:
    about = {k: v for k, v in assignment["metadata"].items() if not k.startswith(BEGINS_FOR_COLLECTOR)}
    sent: list[Submission] = []
    refused: Counter[str] = Counter()
    for item in collected.items:
        metadata = {**(config.defaults.get("metadata") or {}), **about, **(item.get("metadata") or {})}
        fields = {**config.defaults, **item, "metadata": metadata, "assignment": assignment["assignment_id"]}
        try:
            sent.append(node.submit(**fields))
        except ArtifactError as error:
            refused[error.args[0]] += 1
    again = accepted = open_ = 0
    for submission in sent:
        try:
            decision = submission.result(max(0.0, ends_s - time.monotonic()))
        except (NotYet, TimeoutError):
            open_ += 1
            continue
        accepted += decision.accepted
        if not decision.accepted:
            refused[decision.reason or decision.outcome] += 1
            again += decision.reason in OVER_A_LIMIT
    if open_:
        return Ended("failure", error=f"timeout: {open_} of {len(collected.items)} artifacts were not decided in time")
    why = ", ".join(f"{number} {words}" for words, number in refused.most_common(SAID_MAX)) or None
    if not accepted:
        return Ended("failure", error=f"none of {len(collected.items)} artifacts was admitted: {why}"[:500])
    # what there was no room for is collected again; what is refused for what it is would be refused again
    return Ended("success", accepted, why, None if again else collected.memory)


def _some(skipped: Any) -> str | None:
    return f"{len(skipped)} could not be read: {skipped[0]}"[:500] if skipped else None
