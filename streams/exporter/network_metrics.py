"""The network itself as Prometheus metrics: stages, dead letters, seals, conservation, ticks, nodes, patterns, the feed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streams.watch.figures import Figures
from streams.watch.looking import Tables

OUTCOME_HELP = "What a stage made of its records, by outcome"


def network_metrics(
    cluster: str, figures: Figures, residual: int | None, in_flight: int, tables: Tables
) -> Iterator[Metric]:
    """Of all that is on the topics as of now. cluster: value of the label cluster_name. residual None: not counted yet."""
    for family in _families(figures, residual, in_flight, tables):
        yield of_cluster(cluster, family)


def of_cluster(cluster: str, family: Metric) -> Metric:
    """The same with the label that tells it from another cluster's."""
    family.samples = [one._replace(labels={"cluster_name": cluster, **one.labels}) for one in family.samples]
    return family


def _families(figures: Figures, residual: int | None, in_flight: int, tables: Tables) -> Iterator[Metric]:
    yield from _of_stages(figures)
    yield from _of_letters(figures)
    yield from _of_audit(figures, tables)
    yield from _of_ticks(figures)
    yield from _of_nodes(figures)
    yield from _of_feed(figures)
    if residual is not None:
        yield _one(
            "icn_conservation_residual_records",
            "Artifacts unexplained since the exporter began: 0, or something was lost or made up",
            residual,
        )
        yield _one(
            "icn_in_flight_records",
            "Artifacts that were read since the exporter began and are not decided yet",
            in_flight,
        )
    yield _each(
        "icn_table_changelog_records",
        "Offsets kept of a stage's changelog: what a worker restores that begins with nothing",
        "stage",
        tables.changelogs.items(),
    )


def _one(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)


def _each(name: str, about: str, label: str, values: Iterable[tuple[str, float | None]]) -> Metric:
    family = GaugeMetricFamily(name, about, labels=[label])
    for of, value in values:
        if value is not None:
            family.add_metric([of], value)
    return family


def _counter(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, about, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _of_stages(figures: Figures) -> Iterator[Metric]:
    stages = figures.stages
    yield _counter(
        "icn_stage_records", "Records that a stage decided", "stage", {k: s.records for k, s in stages.items()}
    )
    yield _counter(
        "icn_stage_batches", "Batches that a stage committed", "stage", {k: s.batches for k, s in stages.items()}
    )
    yield _counter(
        "icn_stage_redelivered_records",
        "Records that a stage skipped, since it had decided them before",
        "stage",
        {k: s.redelivered for k, s in stages.items()},
    )
    outcomes = CounterMetricFamily("icn_stage_outcomes", OUTCOME_HELP, labels=["stage", "outcome"])
    for name, stage in stages.items():
        for outcome, number in stage.counts.items():
            if ":" not in outcome:  # the reasons of an outcome are no outcomes
                outcomes.add_metric([name, outcome], number)
    yield outcomes
    yield _each(
        "icn_stage_last_batch_timestamp_seconds",
        "When a stage committed its newest batch",
        "stage",
        ((k, None if s.newest_ms is None else s.newest_ms / 1000) for k, s in stages.items()),
    )


def _of_letters(figures: Figures) -> Iterator[Metric]:
    depth, oldest = Counter[str](), dict[str, int]()
    reasons = Counter[tuple[str, str]]()
    for (alias, _, _), letter in figures.letters.items():
        topic = alias.removesuffix(".dlq")
        depth[topic] += 1
        reasons[topic, letter.reason] += 1
        oldest[topic] = min(oldest.get(topic, letter.time_ms), letter.time_ms)
    yield _one("icn_dead_letters_open", "Dead letters that nobody has dealt with, of all topics", depth.total())
    family = GaugeMetricFamily(
        "icn_dead_letters", "Dead letters that nobody has dealt with", labels=["topic", "reason"]
    )
    for (topic, reason), number in reasons.items():
        family.add_metric([topic, reason], number)
    yield family
    yield _each(
        "icn_dead_letters_oldest_timestamp_seconds",
        "When the oldest of them was written",
        "topic",
        ((k, v / 1000) for k, v in oldest.items()),
    )


def _of_audit(figures: Figures, tables: Tables) -> Iterator[Metric]:
    sealed = {str(p): s for p, s in figures.sealed.items()}
    yield _each(
        "icn_audit_sealed_records",
        "Audit records that the newest checkpoint covers",
        "partition",
        ((p, s.size) for p, s in sealed.items()),
    )
    yield _each(
        "icn_audit_last_seal_timestamp_seconds",
        "When the newest checkpoint was published",
        "partition",
        ((p, s.time_ms / 1000) for p, s in sealed.items()),
    )
    yield _each(
        "icn_audit_log_end_offset",
        "End offset of the audit log",
        "partition",
        ((str(p), end) for p, end in tables.audit_ends.items()),
    )


def _of_ticks(figures: Figures) -> Iterator[Metric]:
    ticks, sums = figures.ticks, figures.ticks.sums
    failed = sums["expected"] - sums["kept"] - sums["idle"]
    yield _counter(
        "icn_ticks",
        "Ticks that are over, by whether they brought something",
        "outcome",
        {"kept": sums["kept"], "idle": sums["idle"], "failed_or_missing": failed},
    )
    if ticks.newest_ms is not None:
        yield _one(
            "icn_last_tick_timestamp_seconds", "Begin of the newest tick that was planned", ticks.newest_ms / 1000
        )
    if ticks.reliability is not None and ticks.reliability_at_least is not None:
        yield _one(
            "icn_reliability_ratio",
            "Share of ticks kept, of those that had something to do [0..1]; icn audit report judges",
            ticks.reliability,
        )
        yield _one(
            "icn_reliability_at_least_ratio",
            "Lower end of its 95 % interval, as if ticks failed independently",
            ticks.reliability_at_least,
        )


def _of_nodes(figures: Figures) -> Iterator[Metric]:
    yield _one("icn_nodes_registered", "Registered nodes", len(figures.node_names))
    states = {state.replace(" ", "_"): number for state, number in figures.node_states.items()}
    yield _each("icn_nodes", "Registered nodes, by their state in the newest plan", "state", states.items())
    yield _one("icn_targets", "Targets to collect from", len(figures.targets))
    revisions = figures.reputations
    yield _each(
        "icn_node_reputation_ratio",
        "What a node's word weighs now [0..1]",
        "node",
        ((k, r["effective"]) for k, r in revisions.items()),
    )
    yield _each(
        "icn_node_demoted",
        "1 for each node whose claims were found inflated",
        "node",
        ((k, 1) for k, r in revisions.items() if r["demoted"]),
    )


def _of_feed(figures: Figures) -> Iterator[Metric]:
    fed = CounterMetricFamily("icn_phoenix_fed_scenarios", "Scenarios fed to trainers")
    fed.add_metric([], figures.fed)
    yield fed
    if (round_ := figures.round) is not None:
        yield _one("icn_phoenix_last_round_timestamp_seconds", "Slot of the newest round", round_["slot_ms"] / 1000)
        yield _one("icn_phoenix_waiting_artifacts", "Artifacts that wait to be fed", round_["waiting"])
        yield _each(
            "icn_phoenix_refused_artifacts",
            "Artifacts that the gate holds back now, by reason",
            "reason",
            dict(round_["refused"]).items(),
        )
        yield _one(
            "icn_phoenix_starving_domains",
            "Domains of which something waits and nothing was fed for an hour",
            round_["domains_starving"],
        )
    if (window := figures.window) is not None:
        yield _one("icn_patterns", "Patterns in the newest window", window["patterns"])
        yield _one("icn_patterns_last_window_timestamp_seconds", "End of the newest window", window["slot_ms"] / 1000)
