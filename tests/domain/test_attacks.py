"""The attack table: with ICN's rules, attackers' false reports weigh less than with a plain average and with plain Beta reputation."""

from __future__ import annotations

import pytest

from streams.bench.attacks import ATTACKS, simulate
from streams.domain.reputation import Rules
from streams.topology import load
from streams.units import duration_ms

SECTION = load().protocol["reputation"]
RULES = Rules.of(SECTION, duration_ms(SECTION["idle"]["after"]))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_attack_gains_least_against_icn(attack: str, seed: int) -> None:
    """The same world for all three; the seed is fixed."""
    row = simulate(attack, RULES, seed)
    print(f"{attack}, seed {seed}: " + ", ".join(f"{scheme} {share:.1%}" for scheme, share in row.damage.items()))

    assert row.damage["ICN"] < min(row.damage["plain average"], row.damage["plain Beta"])


def test_the_schemes_are_fair_to_each_other() -> None:
    """Without an attack nobody is better off: with attackers who are honest, false reports weigh what they are."""
    import streams.bench.attacks as attacks

    def honesty(world, number, hour):  # type: ignore[no-untyped-def]
        for node in world.attackers:
            world.report(hour, node, attacks.HONEST_TRUTH, attacks.CLAIM)

    attacks.ATTACKS["honesty"] = (honesty, 10)
    try:
        row = simulate("honesty", RULES)
    finally:
        del attacks.ATTACKS["honesty"]

    assert all(share == pytest.approx(0.05, abs=0.006) for share in row.damage.values())
