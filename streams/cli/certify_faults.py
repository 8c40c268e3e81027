"""`icn certify matrix` and `icn certify soak`: faults while nodes send, and what was left of the truth."""

from __future__ import annotations

import json
import logging
import random
import shutil
from typing import Any

import click

from streams.cli.show import network, print_json, say, table


def certify_faults(names: tuple[str, ...], duration: str, seed: int | None, as_json: bool) -> int:
    """names: matrix, then perhaps faults; or soak. The exit code; 2: a fault could not be made on this machine, all others are fine."""
    from streams.certify import matrix, soak
    from streams.errors import IcnError
    from streams.units import duration_ms

    what, of = names[0], names[1:]
    if what == "soak" and of:
        raise IcnError(f'soak takes no "{of[0]}"', "icn certify soak --duration 10m --seed 7")
    try:
        duration_s = duration_ms(duration) / 1000
    except (ValueError, OverflowError) as error:
        raise IcnError(f"--duration: {error}", "for example: --duration 10m") from error
    faults = matrix.named(of)
    seed = random.randrange(1 << 30) if seed is None else seed
    logging.getLogger("icn.sdk").setLevel(logging.ERROR)  # that nodes wait is what is tried
    folder = network(broker=False)[1].state.absolute() / f"certify-{what}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    say(f"seed {seed}: icn certify {' '.join(names)} --seed {seed} does the same again")
    if what == "soak":
        cells = soak.run(folder, seed, duration_s, say, _say_cell)
    else:
        cells = matrix.run(folder, faults, seed, say, _say_cell)
    made = soak.summary(cells, seed)
    (folder / "result.json").write_text(json.dumps(made, indent=1))
    if as_json:
        print_json(made)
    else:
        _show(made)
        say(f"{folder / 'result.json'} written")
    return 1 if not made["passed"] else 2 if any(cell.impossible for cell in cells) else 0


def _say_cell(cell: Any) -> None:
    word = "holds" if cell.passed else f"not tried: {cell.impossible}" if cell.impossible else "FAILED"
    say(f"  {word}: {cell.checks.faults} faults, {cell.checks.facts:,} facts, {cell.seconds:.0f} s {cell.stuck}")


def _show(made: dict[str, Any]) -> None:
    table(
        ("fault", "result", "faults", "facts", "lost", "residual", "replayed", "healed after", "seconds"),
        [
            (
                cell["says"],
                "holds" if cell["passed"] else "not tried" if cell["impossible"] else "FAILED",
                cell["faults"],
                f"{cell['facts']:,}",
                *(
                    _measured(cell, name)
                    for name in ("0 acknowledged artifacts are lost", "the residual is 0", "replay verifies")
                ),
                f"{cell['healed_s']:.0f} s",
                f"{cell['seconds']:.0f}",
            )
            for cell in made["cells"]
        ],
    )
    for cell in made["cells"]:
        for told in (cell["stuck"], cell["impossible"]):
            if told:
                click.echo(f"{cell['name']}: {told}")
        for check in cell["checks"]:
            if not check["holds"]:
                click.echo(f"{cell['name']}: {check['check']}: {check['wrong']} of {check['facts']} facts against it")
                for example in check["examples"]:
                    click.echo(f"  {example}")


def _measured(cell: dict[str, Any], name: str) -> str:
    return next((check["measured"] for check in cell["checks"] if check["check"] == name), "-")
