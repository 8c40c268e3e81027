"""What people changed, as the audit log has it."""

from __future__ import annotations

from typing import Any

from streams.audit.layout import is_record
from streams.audit.record.events import TYPES, payload_of
from streams.audit.verify.envelope import Unreadable, read
from streams.broker.topics import fold
from streams.settings import Settings
from streams.topology import Topology


def operator_actions(topology: Topology, settings: Settings) -> list[dict[str, Any]]:
    """Each with who, what, why, when and its coordinates, oldest first. What can't be read is `icn audit verify`'s."""
    form, found = payload_of("operator_action"), []
    assert form is not None
    name = topology.topic("metrics").name
    for message in fold(settings, name):
        if not is_record(message.key(), message.value()):
            continue
        try:
            record = read(message.value(), ("unknown", *TYPES))
            if record["type"] != "operator_action":
                continue
            told = form.decode(record["payload"])
        except (Unreadable, ValueError):
            continue
        at = f"{name}/{message.partition()}/{message.offset()}"
        found.append({**told, "at_ms": record["wall_ns"] // 1_000_000, "at": at})
    return sorted(found, key=lambda action: action["at_ms"])
