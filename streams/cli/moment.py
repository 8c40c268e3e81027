"""A point in time, as people write it on a command line."""

from __future__ import annotations

from datetime import UTC, datetime

import click


class Moment(click.ParamType):
    """ISO 8601, or milliseconds since 1970; UTC."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if text.isascii() and text.isdigit():
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither ISO 8601 (2026-11-23T12:00:00Z) nor milliseconds since 1970", param, ctx)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
