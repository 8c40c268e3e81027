"""The fold of the network's topics: reliability so far, dead letters, registrations, rates."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from streams.watch.figures import Figures, Letter
from tests.exporter.looks import NOW_MS, batch, tick


def ended(successes: list[bool | None], schedule: str = "s") -> Figures:
    told = Figures()
    for slot, success in enumerate(successes):
        told.take("ticks", tick("ended", slot, success, schedule), NOW_MS)
    return told


@pytest.mark.parametrize(("kept", "failed"), [(0, 5), (1, 0), (50, 0), (997, 3), (1, 9)])
def test_reliability_s_bound_is_clopper_and_pearson_s(kept: int, failed: int) -> None:
    ticks = ended([True] * kept + [False] * failed + [None] * 7).ticks
    assert ticks.reliability == kept / (kept + failed)
    exact = binomtest(kept, kept + failed).proportion_ci(0.95, "exact").low
    assert ticks.reliability_at_least == pytest.approx(exact, abs=1e-12)


def test_a_tick_that_never_was_counts_as_lost() -> None:
    told = ended([True, True])
    told.take("ticks", tick("ended", 4, True), NOW_MS)
    assert told.ticks.sums == {"kept": 3, "expected": 5}
    assert told.ticks.reliability == 3 / 5


def test_before_the_schedule_begins_and_without_work_there_is_no_figure() -> None:
    told = ended([None, None])
    told.take("ticks", tick("ended", -3, False), NOW_MS)
    assert (told.ticks.reliability, told.ticks.reliability_at_least) == (None, None)


def test_a_new_schedule_goes_on_with_the_sums_of_the_one_before() -> None:
    told = ended([True, False])
    told.take("ticks", tick("ended", 0, True, "later"), NOW_MS)
    assert (told.ticks.sums["kept"], told.ticks.sums["expected"]) == (2, 3)


def test_a_dead_letter_is_open_until_it_is_sent_again_whichever_is_read_first() -> None:
    letters = [("artifacts.raw.dlq", 0, offset, Letter(NOW_MS, "schema")) for offset in (1, 2)]
    again = {"topic": "artifacts.raw", "partition": 0, "offset": 1, "attempt": 2, "reason": "schema"}
    for order in (0, 1):
        told = Figures()
        for step in (0, 1) if order == 0 else (1, 0):
            if step == 0:
                for letter in letters:
                    told.letter(*letter)
            else:
                told.take("redrives", again, NOW_MS)
        assert set(told.letters) == {("artifacts.raw.dlq", 0, 2)}


def test_a_node_is_registered_until_it_is_unregistered_by_the_newest_generation() -> None:
    told = Figures()
    for kind, generation in (("node_registered", 1), ("node_registered", 3), ("node_unregistered", 2)):
        told.take("control", {"kind": kind, "node_id": "n", "generation": generation}, NOW_MS)
    assert told.node_names == ["n"]
    told.take("control", {"kind": "node_unregistered", "node_id": "n", "generation": 3}, NOW_MS)
    assert told.node_names == []


def test_a_rate_forgets_what_is_older_than_five_minutes() -> None:
    stage = Figures().stage("s1_intake")
    stage.take(batch("s1_intake", 0, 600, 599, {}), NOW_MS - 400_000)
    stage.take(batch("s1_intake", 1, 300, 899, {}), NOW_MS)
    assert stage.per_second(NOW_MS) == 1.0
    assert stage.per_second(NOW_MS + 300_001) == 0.0
    assert (stage.records, stage.batches, stage.applied) == (900, 2, {0: {"artifacts.raw": 899}})


def test_years_of_ticks_are_counted_and_only_the_newest_are_kept() -> None:
    """A tick that is said again counts once, also one that is long over."""
    told = ended([slot % 10 != 0 for slot in range(5_000)])
    for slot in (4_999, 3):
        told.take("ticks", tick("ended", slot, True), NOW_MS)
    assert (told.ticks.sums["kept"], told.ticks.sums["expected"]) == (4_500, 5_000)
    assert len(told.ticks.ended) <= 2_000 and max(told.ticks.ended) == 4_999
