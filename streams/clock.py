"""Three clocks, read back to back. Injected wherever time is told, so that tests step them at will.

wall: UTC, may jump; for order beside the broker's time. mono: stops while the machine sleeps. boot: doesn't. So a change of (wall - boot)
is a step of the wall clock, a change of (boot - mono) is sleep, and another boot id is a reboot.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import NamedTuple, Protocol


class Moment(NamedTuple):
    """Nanoseconds: since 1970 UTC, and since some point of this boot."""

    wall_ns: int
    mono_ns: int
    boot_ns: int


class Clock(Protocol):
    """What the audit log asks of time."""

    boot_id: bytes  # 16; mono and boot compare only within one

    def now(self) -> Moment:
        """All three, back to back."""

    def state(self) -> str:
        """SYNCED, UNSYNCED or UNKNOWN."""


class Steady:
    """UTC as the wall clock had it at an anchor, carried on by the boot clock: setting the wall clock later changes nothing, and sleep is
    time that passes. zero_ns: what to add to the boot clock; None: the wall clock is right now."""

    def __init__(self, zero_ns: int | None = None) -> None:
        self.zero_ns = time.time_ns() - _boot_ns() if zero_ns is None else zero_ns

    def now_ms(self) -> float:
        """Since 1970."""
        return (self.zero_ns + _boot_ns()) / 1e6

    def was_set_by_ms(self) -> float:
        """How far the wall clock is ahead of this by now."""
        return time.time_ns() / 1e6 - self.now_ms()


class SystemClock:
    """This machine's."""

    def __init__(self) -> None:
        self.boot_id = boot_id()

    def now(self) -> Moment:
        return Moment(time.time_ns(), time.monotonic_ns(), _boot_ns())

    def state(self) -> str:
        return _kernel_state()


def boot_id() -> bytes:
    """16 bytes; zeros where there is none."""
    try:
        return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)  # no Linux: two boots can't be told apart


if hasattr(time, "CLOCK_BOOTTIME"):

    def _boot_ns() -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
else:  # sleep can't be seen

    def _boot_ns() -> int:
        return time.monotonic_ns()


_TIMEX_BYTES, _TIME_ERROR = (
    512,
    5,
)  # struct timex is smaller; adjtimex(2) returns TIME_ERROR while nothing steers the clock


def _kernel_state() -> str:
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        told = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zero: only ask
    except (OSError, AttributeError):
        return "UNKNOWN"
    return "UNKNOWN" if told < 0 else "UNSYNCED" if told == _TIME_ERROR else "SYNCED"
