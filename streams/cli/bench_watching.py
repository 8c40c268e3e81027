"""`icn bench lag`, `icn bench viewers`."""

from __future__ import annotations

import click

from streams.cli.show import json_option, network, print_json, progress, table


@click.command()
@click.option("--groups", default=200, show_default=True, type=click.IntRange(1, 2_000))
@click.option("--partitions", default=50, show_default=True, type=click.IntRange(1, 1_000), help="Of each group.")
@json_option
def lag(groups: int, partitions: int, as_json: bool) -> None:
    """Measure what a look at many groups costs, beside a bare loop of the same AdminClient calls. Makes a topic and the groups, and removes
    them.

    \b
    Example:
      icn bench lag --groups 200 --partitions 50
    """
    from streams.bench.lag import bench_lag

    _, settings = network()
    found = bench_lag(settings, groups, partitions, progress)
    if as_json:
        print_json(found)
        return
    table(
        ("a look", "CPU s", "wall s", "RSS MiB"),
        [
            (name, f"{one['cpu_s']:.2f}", f"{one['wall_s']:.2f}", f"{one['rss_mib']:.0f}")
            for name, one in (
                ("bare AdminClient calls", found["bare"]),
                ("icn lag", found["ours"]),
                ("icn exporter: a look, and its metrics", found["exporter"]),
            )
        ],
        right=(1, 2, 3),
    )
    click.echo(
        f"{groups:,} groups of {partitions:,} partitions: {found['cpu_ratio']:.2f} times the CPU, "
        f"{found['wall_ratio']:.2f} times the time; icn lag starts in {found['start_ratio']:.1f} times what importing confluent_kafka takes"
    )


@click.command()
@click.option("--viewers", default=50, show_default=True, type=click.IntRange(1, 400))
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1, 600), help="Of each measurement.")
@click.option(
    "--every", default=2.0, show_default=True, type=click.FloatRange(0.5, 60), help="Seconds between two looks."
)
@json_option
def viewers(viewers: int, seconds: float, every: float, as_json: bool) -> None:
    """Measure what viewers of the page cost: CPU of icn dashboard on this network, with nobody looking and with many.

    \b
    Example:
      icn bench viewers --viewers 50
    """
    from streams.bench.viewers import bench_viewers

    network()
    found = bench_viewers(viewers, seconds, every, progress)
    if as_json:
        print_json(found)
        return
    table(
        ("icn dashboard", "of a core"),
        [("nobody looks", f"{found['idle']:.1%}"), (f"{viewers} viewers", f"{found['watched']:.1%}")],
        right=(1,),
    )
    click.echo(
        f"a look every {every:g} s: {viewers} viewers cost {found['watched'] - found['idle']:.1%} of a core; "
        f"{found['bytes_per_viewer_s'] / 1024:.1f} KiB a second each; {found['rss_mib']:.0f} MiB"
    )
