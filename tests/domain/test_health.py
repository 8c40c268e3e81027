"""Alive is not useful: both are told, with what to do."""

from __future__ import annotations

import pytest

from streams.domain.health import Attempt, Health, Seen, health, usefulness

NOW = 10_000_000
HOUR = 3_600_000


def seen(attempts: list[Attempt] = [], heartbeat_ago_ms: int | None = 1_000, load: int = 0, **more: object) -> Seen:  # noqa: B006
    heartbeat = None if heartbeat_ago_ms is None else NOW - heartbeat_ago_ms
    return Seen(heartbeat, True, load, 3, tuple(attempts), **more)  # type: ignore[arg-type]


def ended(*outcomes: bool | None, seconds: float = 6.0, ago_ms: int = 60_000) -> list[Attempt]:
    return [Attempt(NOW - ago_ms, outcome, seconds) for outcome in outcomes]


@pytest.mark.parametrize(
    ("attempts", "artifacts", "good", "value"),
    [
        ([], 0, 0, None),  # it has not tried
        (ended(True, True), 10, 10, 0.4 + 0.4 + 0.2 * 0.9),
        (ended(True, False), 10, 5, 0.2 + 0.2 + 0.2 * 0.9),
        (ended(None, None), 0, 0, 0.2 * 0.9),  # unchanged: in no rate, and no evidence is bad evidence
        (ended(True, seconds=90), 1, 1, 0.8),  # slower than a minute is as bad
        (ended(*[False] * 100, *[True] * 100), 0, 0, 0.4 + 0.2 * 0.9),  # the last hundred
    ],
)
def test_usefulness_is_success_quality_and_speed(
    attempts: list[Attempt], artifacts: int, good: int, value: float | None
) -> None:
    found = usefulness(seen(attempts, artifacts=artifacts, good=good))
    assert found == (None if value is None else pytest.approx(value))


@pytest.mark.parametrize(
    ("node", "state", "why"),
    [
        (seen(), "active", ""),
        (seen(heartbeat_ago_ms=299_999), "active", ""),
        (seen(heartbeat_ago_ms=300_000), "offline", "300 s ago"),
        (seen(heartbeat_ago_ms=None), "offline", "never"),
        (seen(load=3), "busy", "3 of 3"),
        (seen(ended(*[False] * 5)), "degraded", "usefulness 0.18"),
        (seen(ended(*[False] * 4)), "active", ""),  # four are too few
        (seen(ended(True, ago_ms=2 * HOUR) + ended(False)), "degraded", "for 60 min nothing"),
        (seen(ended(False, ago_ms=HOUR // 2)), "active", ""),  # it has not tried for an hour yet
        (seen(ended(True, ago_ms=2 * HOUR)), "active", ""),  # it was not asked to
    ],
)
def test_a_node_is_active_busy_degraded_or_offline(node: Seen, state: str, why: str) -> None:
    told: Health = health(node, NOW)
    assert told.state == state and why in told.why and bool(told.advice) == (state != "active")


def test_what_to_do_is_about_what_pulls_it_down_most() -> None:
    """Nothing succeeded, a quarter of what it sent was good; then two of ten, and nothing of it new."""
    fails = health(seen(ended(*[False] * 6, seconds=59), artifacts=4, good=1), NOW)
    copies = health(seen(ended(*[True] * 2, *[False] * 8), artifacts=100, good=0), NOW)
    assert (fails.state, copies.state) == ("degraded", "degraded")
    assert "most of its collections fail" in fails.advice and "new or true" in copies.advice
