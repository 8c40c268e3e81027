"""The audit log of a process of this deployment: what every run says of itself before it does anything."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from streams import __version__
from streams.audit.place import find_place
from streams.audit.record.events import Event, canonical
from streams.audit.record.log import AuditLog
from streams.audit.record.methodology import METHODOLOGY
from streams.errors import AuditError, BrokerError
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.audit")

COMMANDS_AT_ONCE = 16


def process_log(
    topology: Topology, settings: Settings, name: str, rule: bytes | None, schedule: Mapping[str, Any] | None = None
) -> AuditLog:
    """Of a process with a stable name, unique on this state folder. rule: version of the code that decides, where this process has it.
    Raises AuditError: another process has the name."""
    topic = topology.topic("metrics")
    try:
        place = find_place(topology, settings)
        where: dict[str, Any] = {"cluster_id": place.cluster_id, "topic_id": place.topic_id}
    except BrokerError as error:  # the spool holds what is said until there is one
        where = {"cluster_id": None, "topic_id": None, "broker": error.args[0]}
    manifest = {
        **where,
        "topic": topic.name,
        "topic_config": topic.config(topology.horizon_ms, topology.simulated),
        "release": __version__,
        "rule": None if rule is None else rule.hex(),
        "protocol_sha256": hashlib.sha256(canonical(topology.protocol).encode()).hexdigest(),
        "schedule": schedule,
        "simulated": topology.simulated or settings.simulated_load,
    }
    return AuditLog(
        settings.state / "audit" / "spool",
        f"{name}@{socket.gethostname()}",
        topic.name,
        manifest=manifest,
        methodology=METHODOLOGY,
        producer=settings.librdkafka_producer(**{"client.id": f"icn-audit-{name}"}),
        partition=0,
    )


def try_process_log(
    topology: Topology,
    settings: Settings,
    name: str,
    rule: bytes | None = None,
    schedule: Mapping[str, Any] | None = None,
) -> AuditLog | None:
    """The same for a process whose work is worth more than its log: it says so and goes on."""
    try:
        return process_log(topology, settings, name, rule, schedule)
    except (AuditError, OSError) as error:
        log.error("no audit log for %s: %s", name, error)
        return None


def operator_action(topology: Topology, settings: Settings, what: Sequence[str], why: str = "") -> None:
    """A person changed something: who, what, why. Said after it was done, and before the command ends. Raises AuditError."""
    event = Event("operator_action", payload={"who": _who(), "what": shlex.join(what), "why": why})
    for number in range(1, COMMANDS_AT_ONCE + 1):  # a name of its own for each of those that run at the same time
        try:
            audit = process_log(topology, settings, f"cli-{number}", None)
        except AuditError:
            if number == COMMANDS_AT_ONCE:
                raise
            continue
        with audit:
            audit.write(event)
        return


def _who() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # no name for this user id
        return f"uid {os.getuid()}@{socket.gethostname()}"


def this_command() -> list[str]:
    """As it was typed, but for what is secret."""
    words, hide = ["icn"], False
    for word in sys.argv[1:]:
        words.append("…" if hide else word)
        hide = word in ("--token", "--secret")
    return words
