"""`icn bench phoenix`."""

from __future__ import annotations

from typing import Any

import click

from streams.cli.show import json_option, print_json, progress, table


@click.command()
@json_option
def phoenix(as_json: bool) -> None:
    """Measure the feed on the MISP galaxies: how urgent and diverse it is beside choosing by priority alone, past the same gate; and what a
    round costs. Some minutes.

    \b
    Example:
      icn bench phoenix
    """
    from streams.bench.phoenix import bench_phoenix

    found = bench_phoenix(progress)
    if as_json:
        print_json(found)
        return
    table(
        (
            "",
            "fed",
            "mean score",
            "of the greedy",
            "Vendi",
            "domains",
            "nodes",
            "in 60 min",
            "doubles",
            "longest round s",
        ),
        [
            *(row for one in found["selection"] for row in _rows(f"100 of 3,000, draw {one['draw']}", one)),
            *(row for one in found["saturation"] for row in _rows(f"10,000 an hour, {one['domains']} domains", one)),
        ],
        right=range(1, 10),
    )
    click.echo("")
    table(
        ("candidates", "median round s", "RSS MiB"),
        [(f"{one['candidates']:,}", f"{one['round_s']:.3f}", f"{one['rss_mib']:.0f}") for one in found["gate"]],
        right=range(3),
    )


def _rows(label: str, found: dict[str, Any]) -> list[tuple[Any, ...]]:
    rows = []
    for name in ("feed", "greedy"):
        one = found[name]
        rows.append(
            (
                f"{label}: {name}",
                one["fed"],
                f"{one['mean_score']:.3f}",
                f"{one['mean_score'] / found['greedy']['mean_score']:.0%}",
                f"{one['vendi']:.1f}",
                one["domains_fed"],
                one["nodes_fed"],
                one.get("most_in_60_minutes", ""),
                one.get("doubles", ""),
                f"{one['longest_round_s']:.2f}" if "longest_round_s" in one else "",
            )
        )
    return rows
