"""`icn demo`: the main job on real input, from nothing to a verified stream, and everything stopped again."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import click

from streams.cli.demo_feed import show_feed
from streams.cli.show import confirm, network, say, table


@click.command()
@click.option("--keep", is_flag=True, help="Keep the demo's data (under the state folder) for a look afterwards.")
@click.option("--yes", is_flag=True, help="Replace what an earlier --keep has kept, without asking.")
def demo(keep: bool, yes: bool) -> None:
    """Run the network on the MISP galaxies: six nodes, one of them too greedy, one that repeats another.

    Starts a real Apache Kafka and all stages, shows rates, decisions, the top priorities with their factors, the conservation equation,
    what a trainer is fed and says of it, a verified replay and the lag; stops everything.

    \b
    Example:
      icn demo
    """
    _, settings = network(broker=False)
    folder = settings.state / "demo"
    _may_replace(folder, yes)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["ICN_STATE"] = str(folder)
    os.environ.pop("ICN_BROKERS", None)
    try:
        code = _run(folder)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if keep:
        say(f"the demo's data is in {folder}; icn --state {folder} up goes on with it")
    sys.exit(code)


def _may_replace(folder: Path, yes: bool) -> None:
    """Ask before the data of an earlier demo is deleted. Raises IcnError where nobody can be asked, or it is in use."""
    from streams.broker.local import LocalBroker
    from streams.errors import IcnError

    if not folder.exists():
        return
    if LocalBroker(folder).pid() is not None:
        raise IcnError(f"the network of an earlier demo is running in {folder}", f"icn --state {folder} broker stop")
    if yes:
        return
    if not sys.stdin.isatty():
        raise IcnError(f"{folder} has the data of an earlier demo", "icn demo --yes deletes it, or move it away")
    confirm(f"delete {folder}, the data of an earlier demo?")


def _run(folder: Path) -> int:
    from streams.cli.galaxies import load_galaxies
    from streams.local.network import broker_and_topics, worker_process
    from streams.topology import load

    topology = load()
    reports = load_galaxies()
    with broker_and_topics(topology, say) as (settings, _):
        os.environ["ICN_BROKERS"] = settings.brokers
        with worker_process(folder / "worker.log") as worker:
            say("starting the stages …")
            _register(topology, settings, list(reports), worker, folder)
            _send(topology, reports)
            _boast(topology, settings, reports)
            _show_top(topology, settings)
            _wait_for_lag_0(settings, worker)
            _show_repeats(topology, settings)
            _show_patterns(topology, settings)
            show_feed(topology, settings)
            _wait_for_lag_0(settings, worker)
            code = _audit(topology, settings)
            _show_lag(settings)
            say("\nstopping the stages …")
    say("done; nothing is left running")
    return code


def _register(topology, settings, nodes, worker, folder) -> None:  # type: ignore[no-untyped-def]
    from streams.broker.registrations import in_force, register
    from streams.errors import IcnError

    for node_id in nodes:
        made = register(topology, settings, node_id, principal=node_id.split("-")[0])
    for _ in range(30):
        if in_force(topology, settings, made["partition"], made["offset"], 2):
            return
        if worker.poll() is not None:
            break
    raise IcnError("the stages did not start", f"see {folder / 'worker.log'} (icn demo --keep keeps it)")


def _send(topology, reports) -> None:  # type: ignore[no-untyped-def]
    """All nodes at the same time; the echo after the one it repeats."""
    from concurrent.futures import ThreadPoolExecutor

    from streams.cli.galaxies import ECHO
    from streams.sdk import Node
    from streams.units import human_ms

    def send(node_id: str) -> tuple[str, Counter[str], list[str], int | None]:
        with Node(node_id) as node:
            decisions = [future.result(120) for future in node.submit_many(reports[node_id])]
        retry = max((d.retry_after_ms for d in decisions if d.retry_after_ms is not None), default=None)
        return (
            node_id,
            Counter(d.outcome for d in decisions),
            sorted({s for d in decisions for s in d.suggestions}),
            retry,
        )

    total = sum(map(len, reports.values()))
    say(f"sending {total} artifacts of {len(reports)} nodes; each waits for its decisions …")
    started = time.monotonic()
    with ThreadPoolExecutor(len(reports)) as pool:
        told = [*pool.map(send, [node for node in reports if node != ECHO]), send(ECHO)]
    seconds = time.monotonic() - started
    kinds = ("unique", "upgraded", "duplicate", "rejected")
    click.echo()
    table(
        ("node", "sent", *kinds, "what intake says"),
        [
            (
                node,
                len(reports[node]),
                *(outcomes[k] for k in kinds),
                "; ".join([f"quota_exceeded, retry after {human_ms(retry)}", *suggestions]) if retry else "normal",
            )
            for node, outcomes, suggestions, retry in told
        ],
        right=range(1, 6),
        title="What became of each node's artifacts",
    )
    click.echo(
        f"\n{total} artifacts decided in {seconds:.1f} s: {total / seconds:.0f} a second from submit to receipt, six nodes, one machine"
    )


BOASTER, ANALYST = "boaster", "analyst"
BOASTS, REFUTED_AT_MOST = 12, 10


def _boast(topology, settings, reports) -> None:  # type: ignore[no-untyped-def]
    """A node claims that everything is certain and most urgent; an analyst looks into it."""
    from streams.broker.registrations import in_force, register, register_judge
    from streams.cli.galaxies import boasts
    from streams.sdk import Judge, Node
    from streams.watch.reputation import reputations

    register(topology, settings, BOASTER, principal="mallory")
    made = register_judge(topology, settings, ANALYST, principal="blue-team")
    for stage in ("s1_intake", "s3_reputation"):
        in_force(topology, settings, made["partition"], made["offset"], 20, stage)
    with Node(BOASTER) as node:
        ids = [future.result(60).artifact_id for future in node.submit_many(boasts(reports, BOASTS))]
    click.echo(click.style("\nA node that claims too much", bold=True))
    click.echo(
        f"{BOASTER} reports {BOASTS} known things as certain (0.95) and most urgent: {_ranks(topology, settings)}"
    )
    refuted = 0
    with Judge(ANALYST) as judge:
        for artifact_id in ids[:REFUTED_AT_MOST]:
            judge.refute(artifact_id, reason="known, and not urgent")
            refuted += 1
            now = reputations(topology, settings)[BOASTER]
            if now["demoted"]:
                break
    limit = 1 / topology.protocol["reputation"]["inflation"]["level"]
    click.echo(
        f"{ANALYST} refutes {refuted} of them: E = {now['e_value']:.1f} against {limit:.1f}, {now['cause']}; its score is "
        f"{now['score']:.1f} (grade {now['grade']}), and all it ever reported sinks: {_ranks(topology, settings)}"
    )
    click.echo(f"Why: icn reputation show {BOASTER} (icn demo --keep keeps the data for that)")


def _ranks(topology, settings) -> str:  # type: ignore[no-untyped-def]
    from streams.watch.ranking import TOP_MAX
    from streams.watch.ranking import top as rank

    found = [
        e["rank"] for e in rank(topology, settings, TOP_MAX, time.time_ns() // 1_000_000) if e["node_id"] == BOASTER
    ]
    return (
        f"{len(found)} in the top {TOP_MAX}, the best at rank {min(found)}" if found else f"none in the top {TOP_MAX}"
    )


def _show_top(topology, settings) -> None:  # type: ignore[no-untyped-def]
    from streams.cli.top import show
    from streams.watch.ranking import top

    click.echo(
        click.style("\nTop priorities: score = (threat + opportunity + confidence) × reputation × decay", bold=True)
    )
    show(topology, settings, top(topology, settings, 10, time.time_ns() // 1_000_000))


def _show_repeats(topology, settings) -> None:  # type: ignore[no-untyped-def]
    from streams.watch.family import all_families

    families = all_families(topology, settings)
    texts = sum(one.texts for one in families)
    largest = max((one.texts for one in families), default=0)
    click.echo(
        f"\n{texts:,} texts nearly repeat each other, in {len(families):,} families, the largest of {largest}: "
        "kept, linked, and no fresher (icn artifact families)"
    )


def _show_patterns(topology, settings) -> None:  # type: ignore[no-untyped-def]
    from streams.agents.windows import window_now
    from streams.cli.patterns import show_list

    click.echo(click.style("\nWhat they speak of, as of now (icn patterns list --now)", bold=True))
    say("finding the patterns …")
    show_list(*window_now(topology, settings, time.time_ns() // 1_000_000)[:2], now=True)


def _wait_for_lag_0(settings, worker) -> None:  # type: ignore[no-untyped-def]
    from streams.watch.monitor import read_lag

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and worker.poll() is None:
        rows = read_lag(settings)
        if rows and all(row.lag == 0 for row in rows):
            return
        time.sleep(0.5)


def _audit(topology, settings) -> int:  # type: ignore[no-untyped-def]
    from streams.cli.replay import verify_all

    click.echo(click.style("\nAudit: every decision recomputed from the topics (icn replay --verify)", bold=True))
    os.environ["ICN_QUIET"] = "1"
    try:
        return verify_all()
    finally:
        del os.environ["ICN_QUIET"]


def _show_lag(settings) -> None:  # type: ignore[no-untyped-def]
    from streams.watch.monitor import read_lag

    rows = read_lag(settings)
    groups = sorted({row.group for row in rows})
    click.echo()
    table(
        ("consumer group", "partitions", "events behind", "state"),
        [
            (
                g,
                sum(r.group == g for r in rows),
                sum(r.lag or 0 for r in rows if r.group == g),
                next(r.state for r in rows if r.group == g).lower(),
            )
            for g in groups
        ],
        right=(1, 2),
        title="Lag (icn lag)",
    )
