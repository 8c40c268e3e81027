"""Take the coordinator's steps again, each with what it had read, and compare what they make with what is on the topics."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from streams.agents.coordinator import SOURCES, Folder, take
from streams.agents.inbox import Inbox
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.secrets import deployment_secret
from streams.settings import Settings
from streams.topology import Topology

MADE = {"assignments": "assignment", "collections": "collection"}
FINDINGS_MAX = 100


@dataclass
class Compared:
    """compared: records. findings: (place, what differs). other_rules: steps by another version of the code, not judged."""

    steps: int = 0
    compared: int = 0
    other_rules: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)


def compare(topology: Topology, settings: Settings, rule: bytes) -> Compared:
    """Every step from the first one; what retention took of it shows as differences. Raises BrokerError."""
    folder, inbox = Folder(topology, deployment_secret(settings.state), rule), Inbox(topology, settings, SOURCES)
    written = {alias: deque(fold(settings, topology.topic(alias).name)) for alias in MADE}
    encode = {alias: encoder(schema) for alias, schema in {**MADE, "ticks": "tick"}.items()}
    decode, found = decoder("tick"), Compared()
    for message in fold(settings, topology.topic("ticks").name):
        place = f"{message.topic()}/{message.partition()}/{message.offset()}"
        try:
            step = decode(message.value() or b"")
        except Undecodable as error:
            found.findings.append((place, f"no tick: {error}"))
            continue
        folder.fold(inbox.take(step["read"]), lambda source, event: None)
        made = take(folder.core, step)
        found.steps += 1
        found.other_rules += step["rule"] != rule
        tick = {**made.tick, "schedule": step["schedule"], "read": inbox.position(), "rule": step["rule"]}
        _same(found, place, encode["ticks"](tick), message.value())
        for alias, outputs in (("assignments", made.assignments), ("collections", made.collections)):
            for output in outputs:
                there = written[alias].popleft() if written[alias] else None
                where = (
                    f"{place}: {alias}" if there is None else f"{there.topic()}/{there.partition()}/{there.offset()}"
                )
                _same(found, where, encode[alias](output), None if there is None else there.value())
    for alias, rest in written.items():
        for there in rest:
            found.findings.append(
                (f"{there.topic()}/{there.partition()}/{there.offset()}", f"no step made it ({alias})")
            )
    inbox.close()
    return found


def _same(found: Compared, place: str, recomputed: bytes, there: Any) -> None:
    found.compared += 1
    if recomputed != there and len(found.findings) < FINDINGS_MAX:
        found.findings.append((place, "missing" if there is None else "differs from what the step makes"))
