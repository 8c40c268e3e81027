"""The betting test: an honest node is hardly ever called inflated, an inflating one is within hours."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streams.domain.calibration import (
    Bets,
    BettingTest,
    Voice,
    begin_epoch,
    e_value,
    is_inflated,
    no_bets,
    settle,
    settle_for,
)

TEST = BettingTest(level=0.035, truths=(0.5, 0.78), from_start=0.7, claim_max=0.99, alone_max=20)


def caught(claimed: float, truth: list[float], outcomes: int, nodes: int, seed: int = 1) -> np.ndarray:
    """For each node the epoch (from 0) in which it is called inflated, -1: never; `truth` by epoch. The core's arithmetic, on arrays."""
    rng = np.random.default_rng(seed)
    p = min(claimed, TEST.claim_max)
    when = np.full(nodes, -1)
    capital = np.full((2, nodes), TEST.from_start)
    for epoch, true in enumerate(truth, 1):
        capital += (1 - TEST.from_start) / (epoch * (epoch + 1))
        for came_true in rng.random((outcomes, nodes)) < true:
            capital *= [np.where(came_true, share, (1 - share * p) / (1 - p)) for share in TEST.truths]
            e = capital.mean(0) + (1 - TEST.from_start) / (epoch + 1)
            when[(when < 0) & (e >= 1 / TEST.level)] = epoch - 1
    return when


def test_the_arrays_say_what_the_core_says() -> None:
    """300 nodes, 10 epochs of 6: the same epoch for each, outcome by outcome."""
    rng = np.random.default_rng(1)
    drawn = [rng.random((6, 300)) < true for true in [0.9] * 4 + [0.5] * 6]
    found = []
    for node in range(300):
        bets, when = no_bets(TEST), -1
        for epoch, outcomes in enumerate(drawn):
            bets = begin_epoch(TEST, bets)
            for came_true in outcomes[:, node]:
                bets = settle(TEST, bets, 0.9, bool(came_true))
                if when < 0 and is_inflated(TEST, bets):
                    when = epoch
        found.append(when)

    assert len(set(found)) > 3
    assert found == caught(0.9, [0.9] * 4 + [0.5] * 6, 6, 300).tolist()


def test_no_outcome_is_no_evidence() -> None:
    """E is 1 at the start, and beginning an epoch moves nothing: the weight was there before."""
    bets = no_bets(TEST)
    assert e_value(TEST, bets) == pytest.approx(1)
    for _ in range(50):
        bets = begin_epoch(TEST, bets)
    assert e_value(TEST, bets) == pytest.approx(1)


@pytest.mark.parametrize("claimed", [0.0, 0.3, 0.5, 0.8, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_under_honesty_a_bet_is_worth_what_it_costs(claimed: float, weight: float) -> None:
    """E after one outcome, averaged over an outcome that is as probable as claimed: the same E. Exact, not simulated."""
    before = begin_epoch(TEST, Bets(3, (0.2, 1.7)))
    p = min(claimed, TEST.claim_max)
    after = [e_value(TEST, settle(TEST, before, claimed, came_true, weight)) for came_true in (True, False)]

    assert p * after[0] + (1 - p) * after[1] == pytest.approx(e_value(TEST, before))


def test_one_number_holds_all_first_epochs() -> None:
    """The sum over each first epoch's own bet, computed the long way, is the capital."""
    rng = random.Random(5)
    bets, ratios = no_bets(TEST), list[tuple[int, float]]()
    for epoch in range(1, 30):
        bets = begin_epoch(TEST, bets)
        for _ in range(7):
            came_true = rng.random() < 0.7
            bets = settle(TEST, bets, 0.8, came_true)
            ratios.append((epoch, 0.5 if came_true else (1 - 0.4) / (1 - 0.8)))

    def product(first: int) -> float:
        value = 1.0
        for epoch, ratio in ratios:
            value *= ratio if epoch >= first else 1
        return value

    weights = {k: 0.3 / (k * (k + 1)) for k in range(1, 30)}
    assert bets.capital[0] == pytest.approx(
        0.7 * product(1) + sum(w * product(k) for k, w in weights.items()), rel=1e-12
    )


@pytest.mark.parametrize("outcomes", [5, 20])
@pytest.mark.parametrize("claimed", [0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
def test_at_most_three_and_a_half_percent_of_honest_nodes_are_ever_demoted(claimed: float, outcomes: int) -> None:
    """10,000 nodes, 100 epochs, looked at after every single outcome; the bound is proven, the seed is fixed."""
    ever = float((caught(claimed, [claimed] * 100, outcomes, 10_000) >= 0).mean())
    print(f"honest, claims {claimed}, {outcomes} outcomes an epoch: {ever:.2%} ever demoted")

    assert ever <= 0.035


@pytest.mark.parametrize(
    ("claimed", "true", "outcomes", "epochs", "at_least"),
    [(0.9, 0.5, 10, 3, 0.98), (0.9, 0.7, 20, 3, 0.85), (0.9, 0.7, 20, 10, 0.98), (1.0, 0.7, 10, 3, 0.98)],
)
def test_inflation_is_caught(claimed: float, true: float, outcomes: int, epochs: int, at_least: float) -> None:
    """10,000 nodes."""
    share = float((caught(claimed, [true] * epochs, outcomes, 10_000) >= 0).mean())
    print(f"claims {claimed}, truth {true}, {outcomes} an epoch: {share:.1%} caught within {epochs} epochs")

    assert share >= at_least


def test_a_node_that_turns_is_caught_within_three_epochs_of_it() -> None:
    """Honest at 0.9 for 19 epochs of 20 outcomes, then 0.6; those called inflated before the turn are left out."""
    when = caught(0.9, [0.9] * 19 + [0.6] * 3, 20, 10_000)
    turned = when[(when < 0) | (when >= 19)]
    share = float((turned >= 19).mean())
    print(f"a turn from 0.9 to 0.6 in epoch 20: {share:.1%} of {len(turned)} caught within 3 epochs")

    assert share >= 0.88


def test_one_bounded_principal_never_demotes_alone_and_two_do() -> None:
    """1,000 false verdicts on claims of 0.99, over 50 epochs; then one of somebody else."""
    bets, mallory = no_bets(TEST), Voice()
    for _ in range(50):
        bets = begin_epoch(TEST, bets)
        for _ in range(20):
            bets, mallory = settle_for(TEST, bets, mallory, 0.99, False, 0.9, bounded=True)
            assert not is_inflated(TEST, bets)
    assert 16 < e_value(TEST, bets) < 20, "as far as one may bring it"

    bets, _ = settle_for(TEST, bets, Voice(), 0.99, False, 0.9, bounded=True)
    assert is_inflated(TEST, bets)


@pytest.mark.parametrize("most", [1.0, 12.0, 20.0])
@pytest.mark.parametrize("claimed", [0.0, 0.5, 0.9, 1.0])
def test_a_bound_takes_nothing_from_an_honest_nodes_guarantee(claimed: float, most: float) -> None:
    """Under honesty a bounded bet is worth at most what it costs. Exact, not simulated."""
    before, voice = begin_epoch(TEST, Bets(3, (0.2, 1.7))), Voice(most, most)
    p = min(claimed, TEST.claim_max)
    right, wrong = (
        e_value(TEST, settle_for(TEST, before, voice, claimed, came_true, 0.9, bounded=True)[0])
        for came_true in (True, False)
    )

    assert p * right + (1 - p) * wrong <= e_value(TEST, before) + 1e-12
