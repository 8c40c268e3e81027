"""A point in time, as people write it on a command line."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

import click

from streams.units import duration_ms

LATEST_MS = 1 << 62


class Moment(click.ParamType):
    """ISO 8601, milliseconds since 1970 (both UTC), or how long ago: 7d, 24h, 30m."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        with contextlib.suppress(ValueError, OverflowError):
            if text.isascii() and text.isdigit():
                if (ms := int(text)) <= LATEST_MS:
                    return ms
            elif text[:1].isdigit() and text[-1:].isalpha() and not text.endswith("Z"):
                return time.time_ns() // 1_000_000 - duration_ms(text)
            else:
                moment = datetime.fromisoformat(text)
                return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        self.fail(
            f"{shown!r} is neither ISO 8601 (2026-11-23T12:00:00Z), nor milliseconds since 1970, nor how long ago (7d, 24h, 30m)",
            param,
            ctx,
        )
