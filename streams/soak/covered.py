"""Whether a schedule was promised, with its methodology, under a signed checkpoint."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from streams.audit.record.events import payload_of
from streams.audit.record.schedule import Schedule
from streams.audit.verify.note import NoteError, parse_checkpoint, parse_note
from streams.broker.topics import events, fold
from streams.errors import BrokerError
from streams.settings import Settings
from streams.topology import Topology


def is_covered(topology: Topology, settings: Settings, schedule: Schedule) -> bool:
    """By the newest checkpoint on the topic. What can't be read now isn't covered yet."""
    try:
        offset = _methodology_of(topology, settings, schedule)
        if offset is None:
            return False
        for message in fold(settings, topology.topic("checkpoints").name, last=5):
            with contextlib.suppress(NoteError):
                if parse_checkpoint(parse_note(message.value() or b"").text).size > offset:
                    return True
    except BrokerError:
        pass
    return False


def _methodology_of(topology: Topology, settings: Settings, schedule: Schedule) -> int | None:
    """Offset of the record behind the one that promised it; None: neither is there."""
    promised = set[bytes]()
    for record, message in events(settings, topology.topic("metrics").name, "metric_event"):
        if record["type"] == "process_start" and _manifest(record).get("schedule") == schedule.json():
            promised.add(record["run_id"])
        elif record["type"] == "methodology" and record["run_id"] in promised:
            return int(message.offset())
    return None


def _manifest(record: Mapping[str, Any]) -> Mapping[str, Any]:
    form = payload_of("process_start")
    assert form is not None
    try:
        found = json.loads(form.decode(record["payload"])["manifest"])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
