"""A collector's part of a node's configuration, checked: a wrong one is told before anything is collected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from streams.errors import IcnError
from streams.units import duration_ms, size_bytes

Value = TypeVar("Value")


def seconds(value: Any) -> float:
    """`20s`, `500ms`, …"""
    return duration_ms(str(value)) / 1000


def size(value: Any) -> int:
    """`10MiB`, …"""
    return size_bytes(str(value))


def read(name: str, given: Mapping[str, Any], known: Mapping[str, tuple[Callable[[Any], Any], Any]]) -> dict[str, Any]:
    """known: option -> (how it is read, default as written). Raises IcnError."""
    for option in given:
        if option not in known:
            raise IcnError(f'collector {name}: no option "{option}"', f"there are: {', '.join(known) or 'none'}")
    found = {}
    for option, (read_one, default) in known.items():
        value = given.get(option, default)
        try:
            found[option] = read_one(value)
        except (ValueError, TypeError) as error:
            raise IcnError(
                f"collector {name}: {option} is {value!r}: {error}", f"for example: {option}: {default}"
            ) from error
    return found
