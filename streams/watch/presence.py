"""What a node is to people: to a plan one that never sent a heartbeat is offline, but who collects nothing sends none. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ONLY_SENDS, UNKNOWN, OFFLINE = "only sends", "unknown", "offline"
NEVER_HEARD = "its last heartbeat was never"  # why, as streams/domain/health.py says it


def presence(planned: Mapping[str, Any] | None, capabilities: Sequence[str]) -> str:
    """active, busy, degraded, offline; "only sends"; "unknown": it collects, and no plan has it yet. planned: as the newest plan has it."""
    is_heard = planned is not None and (planned["state"] != OFFLINE or planned.get("why") != NEVER_HEARD)
    if not capabilities and not is_heard:
        return ONLY_SENDS
    return UNKNOWN if planned is None else str(planned["state"])


def counted_state(number: int, state: str) -> str:
    """1 only sends, 2 only send."""
    return f"{number} only send" if state == ONLY_SENDS and number != 1 else f"{number} {state}"
