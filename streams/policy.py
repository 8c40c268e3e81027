"""What may be set in the protocol's `priority` and `phoenix`, and in what range. Pure."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from streams.errors import TopologyError
from streams.units import duration_ms

Range = tuple[float, float]
QUOTES = "'\""
repr_ = reprlib.repr  # a file may hold what has no end

WINDOW: Mapping[str, Any] = {"fewer_than": (1, 1_000_000), "of_last": (1, 10_000)}
POLICY: Mapping[str, Mapping[str, Any]] = {
    "priority": {
        "threat_weight": (0.0, 1.0),
        "opportunity_weight": (0.0, 1.0),
        "confidence_weight": (0.0, 1.0),
        "half_life": "duration",
    },
    "phoenix": {
        "every": "duration",
        "per_round": (1, 1_000),
        "per_hour": (1, 100_000),
        "domain": WINDOW,
        "node": WINDOW,
        "content_type": WINDOW,
        "novelty": (0, 1_000_000),
        "candidates": "duration",
        "pool": (1, 100_000),
        "relevance": (0.0, 1.0),
        "score_min": (0.0, 1.0),
        "reputation_min": (0.0, 1.0),
    },
}


def check(given: Any, source: str, whole: bool) -> None:
    """given: section -> settings. whole: every setting must be there. Raises TopologyError, which names file and setting."""
    _check(given, POLICY, source, "", whole)


def merged(protocol: Mapping[str, Any], policy: Mapping[str, Any]) -> dict[str, Any]:
    """The protocol with what the policy, checked, sets anew."""
    found = dict(protocol)
    for name, value in policy.items():
        found[name] = merged(found[name], value) if isinstance(value, Mapping) else value
    return found


def _known(name: Any, known: Mapping[str, Any]) -> str:
    """What to do about a setting that is none."""
    if known is POLICY and name in ("deployment", "protocol", "topics"):
        return "that looks like a whole topology.yaml: a policy holds only priority: and phoenix:, as they stand under protocol:"
    return f"known: {', '.join(known)}"


def _check(given: Any, known: Mapping[str, Any], source: str, path: str, whole: bool) -> None:
    if not isinstance(given, Mapping):
        raise TopologyError(
            f"{source}: {path.rstrip('.') or 'a policy'} is {repr_(given)}", f"a map with some of {', '.join(known)}"
        )
    for name in given:
        if name not in known:
            raise TopologyError(f"{source}: {path}{repr_(name).strip(QUOTES)} is no setting", _known(name, known))
    for name, wanted in known.items():
        where = f"{path}{name}"
        if name not in given:
            if whole:
                raise TopologyError(f"{source}: {where} is missing", "compare it with the one in the package")
        elif isinstance(wanted, Mapping):
            _check(given[name], wanted, source, f"{where}.", whole)
            if wanted is WINDOW and given[name].get("fewer_than", 1) > given[name].get("of_last", 10_000):
                raise TopologyError(
                    f"{source}: {where}: fewer than {given[name]['fewer_than']} of the last {given[name]['of_last']} is always so",
                    "fewer_than at most of_last",
                )
        elif wanted == "duration":
            _check_duration(given[name], source, where)
        else:
            _check_number(given[name], wanted, source, where)


def _check_duration(value: Any, source: str, where: str) -> None:
    try:
        if duration_ms(value) >= 1_000:
            return
        error: object = "at least a second"
    except (ValueError, OverflowError):
        error = "no duration"
    raise TopologyError(f"{source}: {where} is {repr_(value)}: {error}", "for example 30m, 24h or 7d")


def _check_number(value: Any, wanted: Range, source: str, where: str) -> None:
    low, high = wanted
    is_whole = isinstance(low, int)
    kinds = (int,) if is_whole else (int, float)
    # NaN is in no range
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise TopologyError(
            f"{source}: {where} is {repr_(value)}", f"a {'whole ' if is_whole else ''}number in [{low:g}, {high:g}]"
        )
