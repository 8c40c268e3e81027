"""`icn bench`: how fast, beside others."""

from __future__ import annotations

import click

from streams.cli.bench_phoenix import phoenix
from streams.cli.bench_watching import lag, viewers
from streams.cli.show import json_option, network, print_json, progress, say, table


@click.group()
def bench() -> None:
    """Measure, side by side with other engines."""


@bench.command()
@click.option("--records", default=2_000_000, show_default=True, help="Input of the fast engines.")
@click.option(
    "--faust-records",
    default=60_000,
    show_default=True,
    help="Input of stock Faust, which would take ten minutes for all.",
)
@click.option("--chain-records", default=300_000, show_default=True, help="Input of the whole chain.")
@click.option("--rounds", default=3, show_default=True, help="Each engine in turn, so often; medians are compared.")
@click.option(
    "--rivals", metavar="PYTHON", help="Python that has quixstreams and faust-streaming; without, only ICN is measured."
)
@json_option
def stream(
    records: int, faust_records: int, chain_records: int, rounds: int, rivals: str | None, as_json: bool
) -> None:
    """Run the dedup stage beside stock Faust and Quix Streams, the whole chain, and a restore. Some 15 minutes; needs a quiet machine.

    \b
    Example:
      scripts/bench --records 500000          makes the rivals' environment, then calls icn bench stream
    """
    from pathlib import Path

    from streams.bench.stream import bench_stream

    _, settings = network(broker=False)
    made = bench_stream(
        settings.state / "bench",
        records,
        faust_records,
        chain_records,
        rounds,
        str(Path(rivals).absolute()) if rivals else None,
        say,
    )
    if as_json:
        print_json(made)
        return
    table(
        ("engine", "records", "per second (median)", "min … max", "CPU-s per million", "RSS MiB"),
        [
            (
                name,
                f"{e['records']:,}",
                f"{e['per_second_median']:,.0f}",
                f"{e['per_second_min']:,.0f} … {e['per_second_max']:,.0f}",
                f"{e['cpu_seconds_per_million']:.1f}",
                f"{e['rss_mib_max']:.0f}",
            )
            for name, e in made["engines"].items()
        ],
        right=(1, 2, 3, 4, 5),
    )
    for name, label in (("stage_vs_stock_faust", "stock Faust"), ("stage_vs_quix", "Quix Streams")):
        if made[name]:
            click.echo(f"s2 is {made[name]:.1f}× {label}")
    click.echo(
        f"chain, two workers: {made['chain_records_per_s']:,.0f}/s; s1 alone on one partition: {made['s1_ceiling_per_s']:,.0f}/s; "
        f"restore: {made['restore_records_per_s']:,.0f} rows/s"
    )
    click.echo(f"reputation: {made['reputation_share']:.1%} CPU on top of the rest of the chain")
    profile = made["chain"]["profile_cpu_us"]
    parts = next(iter(profile.values()))
    table(
        ("CPU µs of a record", *profile),
        [(part, *(f"{profile[stage][part]:.1f}" for stage in profile)) for part in parts],
        right=range(1, len(profile) + 1),
    )
    click.echo("memory of s2: " + ", ".join(f"{rss:.0f} MiB at {keys:,} keys" for keys, rss in made["memory"]))
    click.echo(made["machine"])


@bench.command()
@click.option(
    "--records", default=1_000_000, show_default=True, type=click.IntRange(1000), help="In the bundle that is verified."
)
@json_option
def audit(records: int, as_json: bool) -> None:
    """Measure the audit log: a call, verifying a bundle with and without decoding, sealing. No broker.

    \b
    Example:
      icn bench audit --records 10000000
    """
    from streams.bench.audit import bench_audit

    found = bench_audit(records, say)
    if as_json:
        print_json(found)
        return
    click.echo(
        f"a call costs its caller {found['call_us_median']:.1f} µs CPU (median; 99 %: {found['call_us_p99']:.1f})"
    )
    table(
        (f"{records:,} records", "records per CPU second", "median", "RSS MiB", "before"),
        [
            (
                label,
                f"{found[f'{name}_per_cpu_s']:,.0f}",
                f"{found[f'{name}_per_cpu_s_median']:,.0f}",
                f"{found[f'{name}_rss_mib']:.0f}",
                f"{found[f'{name}_rss_before_mib']:.0f}",
            )
            for name, label in (("integrity", "verify --fast"), ("full", "verify"), ("seal", "seal"))
        ],
        right=(1, 2, 3, 4),
    )
    click.echo(
        f"the three hashes of a record in a bare loop: {found['hashes_per_cpu_s']:,.0f} a CPU second; "
        f"verify --fast reaches {found['integrity_of_hashes']:.0%} of that"
    )


@bench.command()
@click.option(
    "--texts",
    multiple=True,
    type=click.IntRange(10),
    default=(10_000, 50_000),
    show_default=True,
    help="Also the cost of a window of so many (repeat).",
)
@json_option
def quality(texts: tuple[int, ...], as_json: bool) -> None:
    """Measure what is found against public texts with known answers, the MISP galaxies: near-duplicates, patterns. No broker.

    \b
    Example:
      icn bench quality
    """
    from streams.bench.quality import bench_quality

    found = bench_quality(texts, say)
    if as_json:
        print_json(found)
        return
    columns = ("texts", "pairs", "precision", "recall", "f1", "hindsight_f1", "candidates", "all_pairs_f1")
    table(
        (
            "near-duplicates of the same",
            "texts",
            "pairs",
            "precision",
            "recall",
            "F1",
            "in hindsight",
            "let through",
            "F1 of all pairs",
        ),
        [
            (
                label,
                *(f"{found[f'{prefix}_{name}']:{',' if name in ('texts', 'pairs') else '.3f'}}" for name in columns),
            )
            for prefix, label in (("near_duplicate", "id"), ("named", "id or name"))
        ],
        right=range(1, 9),
    )
    click.echo(
        f"{found['near_duplicate_sketches_per_cpu_s']:,.0f} texts a CPU second are sketched, "
        f"{found['near_duplicate_links_per_cpu_s']:,.0f} compared\n"
    )
    table(
        ("patterns of", "texts", "kinds", "found", "NMI", "ARI", "ARI of two seeds", "CPU s"),
        [
            (
                "galaxies",
                f"{found['patterns_texts']:,}",
                found["patterns_kinds"],
                found["patterns_found"],
                f"{found['patterns_nmi']:.3f}",
                f"{found['patterns_ari']:.3f}",
                f"{found['patterns_seeds_ari']:.3f}",
                f"{found['patterns_cpu_s']:.1f}",
            )
        ],
        right=range(1, 8),
    )
    click.echo("")
    table(
        ("window of texts", "patterns", "seconds", "CPU s", "RSS MiB"),
        [
            (
                f"{w['texts']:,} {w['kind']}",
                w["patterns"],
                f"{w['seconds']:.1f}",
                f"{w['cpu_s']:.1f}",
                f"{w['rss_mib']:.0f}",
            )
            for w in found["windows"]
        ],
        right=range(5),
    )


@bench.command()
@click.option("--runs", default=400, show_default=True, type=click.IntRange(1), help="Simulated runs of each kind.")
@click.option("--seed", default=1, show_default=True)
@json_option
def coverage(runs: int, seed: int, as_json: bool) -> None:
    """Measure how often the 95 % intervals of `icn audit report` hold the truth, in simulated runs with clustered outages.

    \b
    Example:
      icn bench coverage --runs 100
    """
    from streams.bench.coverage import SCENARIOS, cover

    rows = []
    for number, scenario in enumerate(SCENARIOS, 1):
        progress(f"simulating {number} of {len(SCENARIOS)}: {scenario.name}")
        rows.append(cover(scenario, runs, seed))
    if as_json:
        print_json(rows)
        return
    names = ("job_success", "availability", "gap_rate", "drift_score", "backpressure_rate", "reliability")
    table(
        ("runs of", "truth", *names, "width", "Wilson on ticks"),
        [
            (
                row["scenario"],
                f"{row['truth']:.3f}",
                *(f"{100 * row[name]:.1f} %" for name in names),
                f"{row['width']:.3f}",
                f"{100 * row['wilson_on_ticks']:.1f} %",
            )
            for row in rows
        ],
        right=range(1, 10),
    )


bench.add_command(lag)
bench.add_command(viewers)
bench.add_command(phoenix)
