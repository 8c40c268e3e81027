"""When a target is due, whose it is, and when it is left alone for a while."""

from __future__ import annotations

from streams.domain.targets import (
    Assignment,
    Progress,
    Rules,
    Target,
    assigned,
    collected,
    failed,
    given_up,
    is_due,
    may_try,
)

MINUTE, HOUR = 60_000, 3_600_000
RULES = Rules()
PAGE = Target("http", "https://example.org/feed")


def tries(progress: Progress, at_ms: int, node: str = "n1", number: int = 1) -> Progress:
    """It gets the target, and fails."""
    progress = assigned(progress, Assignment(f"a{number}", node, at_ms))
    return failed(PAGE, progress, f"a{number}", at_ms + 1_000, RULES)


def test_an_id_is_of_type_and_location() -> None:
    """First 16 hex of SHA-256("http:https://example.org/feed")."""
    assert PAGE.id == "ff6b044d91282a62"
    assert PAGE.id == Target("http", "https://example.org/feed", priority=9).id != Target("feed", PAGE.location).id


def test_it_is_due_at_first_and_when_its_interval_has_passed() -> None:
    assert is_due(PAGE, Progress(), 0)
    done = collected(assigned(Progress(), Assignment("a", "n1", 0)), "a", 10 * MINUTE)
    assert done.assignment is None
    assert not is_due(PAGE, done, 10 * MINUTE + HOUR - 1) and is_due(PAGE, done, 10 * MINUTE + HOUR)


def test_who_has_it_has_it_and_silence_is_an_attempt_that_another_need_not_wait_for() -> None:
    held = assigned(Progress(), Assignment("a", "n1", 0))
    assert not is_due(PAGE, held, 24 * HOUR)
    after = failed(PAGE, held, "a", 10 * MINUTE, RULES, at_once=True)
    assert (after.attempts, after.tried, is_due(PAGE, after, 10 * MINUTE)) == (1, ("n1",), True)


def test_a_failure_waits_for_the_retry_and_a_late_one_changes_nothing() -> None:
    progress = tries(Progress(), 0)
    assert not is_due(PAGE, progress, 300_000) and is_due(PAGE, progress, 301_000)
    again = assigned(progress, Assignment("a2", "n2", 400_000))
    assert failed(PAGE, again, "a1", 410_000, RULES) == again


def test_a_late_success_counts_and_who_has_it_now_still_has_it() -> None:
    """Reassigned, then the first one answers: what was collected is collected."""
    again = assigned(Progress(), Assignment("b", "n2", 10 * MINUTE))
    assert collected(again, "a", 0) == Progress(Assignment("b", "n2", 10 * MINUTE), collected_ms=0)
    assert collected(again, "b", 10 * MINUTE) == Progress(collected_ms=10 * MINUTE)


def test_after_three_attempts_another_node_tries_and_after_five_nobody_for_a_while() -> None:
    progress = Progress()
    for number in range(3):
        assert may_try(progress, "n1", RULES)
        progress = tries(progress, number * 10 * MINUTE, "n1", number)
    assert not may_try(progress, "n1", RULES) and may_try(progress, "n2", RULES)
    progress = tries(tries(progress, 40 * MINUTE, "n2", 4), 50 * MINUTE, "n3", 5)
    ended = 50 * MINUTE + 1_000
    assert not is_due(PAGE, progress, ended + HOUR - 1) and is_due(PAGE, progress, ended + HOUR)
    assert may_try(progress, "n1", RULES), "after the pause everybody may"
    for number in range(5):
        progress = tries(progress, 200 * MINUTE, "n1", number)
    assert not is_due(PAGE, progress, 200 * MINUTE + 1_000 + 2 * HOUR - 1), "twice as long the second time"


def test_a_node_that_leaves_gives_up_what_it_had_and_has_not_failed() -> None:
    held = assigned(tries(Progress(), 0), Assignment("b", "n1", HOUR))
    left = given_up(held, "b")
    assert given_up(held, "a") == held
    assert (left.attempts, left.assignment) == (1, None) and is_due(PAGE, left, HOUR)
