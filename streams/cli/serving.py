"""What commands that serve over HTTP have in common: where they listen, how often they look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

EVERY_MIN_S = 0.5
Option = Callable[[Any], Any]


def listen_option(port: int) -> Option:
    return click.option(
        "--listen",
        default=f"127.0.0.1:{port}",
        show_default=True,
        metavar="HOST:PORT",
        help=f"Where; 0.0.0.0:{port} is everywhere.",
    )


def every_option(default: str) -> Option:
    """Given to the command as seconds."""
    return click.option(
        "--every",
        "every_s",
        default=default,
        show_default=True,
        callback=_seconds,
        help="Between two looks at the cluster.",
    )


def _seconds(_: click.Context, __: click.Parameter, text: str) -> float:
    from streams.units import duration_ms

    try:
        every_s = duration_ms(text) / 1000
    except (ValueError, OverflowError) as error:
        raise click.UsageError(f"--every: {error}") from error
    if every_s < EVERY_MIN_S:
        raise click.UsageError(f"--every {text}: at least {EVERY_MIN_S:g} s")
    return every_s
