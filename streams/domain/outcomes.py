"""What came of an assignment: a node's claim, held against what was admitted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SUCCESS, UNCHANGED, EMPTY, FAILURE = OUTCOMES = ("success", "unchanged", "empty", "failure")
UNKNOWN = "unknown"  # of a report that counts nothing

NOT_ITS, ANSWERED = "not its assignment", "answered before"
ERROR_MAX = 500  # characters of a node's words


class Assigned(NamedTuple):
    """To whom and in which tick. over: its outcome, or why it was given up; empty: it is open."""

    target_id: str
    node_id: str
    slot_ms: int
    attempt: int
    over: str = ""


def judge(
    report: Mapping[str, Any], one: Assigned | None, admitted: int, at_ms: int, final: bool
) -> dict[str, Any] | None:
    """The record for `collections`. one: what was assigned under that name. admitted: its node's artifacts of it. None: wait for them,
    unless this is the last look."""
    if one is None or (one.node_id, one.target_id) != (report["node_id"], report["target_id"]):
        return _of(report, UNKNOWN, 0, at_ms, NOT_ITS)
    if one.over in OUTCOMES:
        return _of(report, UNKNOWN, 0, at_ms, ANSWERED)
    outcome, claimed = report["outcome"], report["artifact_count"]
    error = None if report["error"] is None else report["error"][:ERROR_MAX]
    if outcome == SUCCESS and admitted < claimed and not final:
        return None
    if outcome == SUCCESS and (admitted < claimed or admitted == 0):
        outcome, error = FAILURE, f"it claimed {claimed} artifacts, {admitted} were admitted"
    more = {"duration_ms": report["duration_ms"], "late": bool(one.over), "simulated": report["simulated"]}
    return _of(report, outcome, admitted, at_ms, error) | more


def _of(report: Mapping[str, Any], outcome: str, admitted: int, at_ms: int, error: str | None) -> dict[str, Any]:
    record = collection(report["assignment"], report["node_id"], report["target_id"], outcome, at_ms, error)
    return record | {"artifact_count": admitted, "claimed": report["artifact_count"]}


def collection(
    assignment: str, node_id: str, target_id: str, outcome: str, at_ms: int, error: str | None
) -> dict[str, Any]:
    """As schemas/collection.avsc has it, of an assignment that brought nothing."""
    return {
        "collection_id": assignment,
        "node_id": node_id,
        "target_id": target_id,
        "assignment": assignment,
        "outcome": outcome,
        "artifact_count": 0,
        "claimed": 0,
        "ended_at": at_ms,
        "duration_ms": 0,
        "error": error,
        "late": False,
        "simulated": False,
    }
