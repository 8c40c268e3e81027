"""Which ticks are due. Pure."""

from __future__ import annotations

MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def due(last_slot_ms: int | None, now_ms: int, catch_up_max: int = 60) -> list[tuple[int, int]]:
    """(slot_ms, cadence_ms) of every minute after the last one up to now; a full hour also as an hourly tick.

    Slots are multiples of the cadence, so a tick that two emitters write is the same tick. After a long silence at most `catch_up_max`
    minutes are emitted late, but every full hour among the missed ones.
    """
    newest = now_ms // MINUTE_MS * MINUTE_MS
    first = newest if last_slot_ms is None else last_slot_ms + MINUTE_MS
    slots: list[tuple[int, int]] = []
    for slot in range(first, newest + 1, MINUTE_MS):
        if slot % HOUR_MS == 0:
            slots.append((slot, HOUR_MS))
        if slot > newest - catch_up_max * MINUTE_MS:
            slots.append((slot, MINUTE_MS))
    return slots
