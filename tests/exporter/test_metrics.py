"""What Prometheus is given: names and labels that existing dashboards know, nothing made up where nothing is known."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable

import pytest
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from streams.exporter.burrow import Seen
from streams.exporter.exporter import Shown, registry_of
from streams.exporter.group_text import STATUSES, group_text
from streams.exporter.network_metrics import network_metrics
from streams.exporter.partition_text import PartitionText
from tests.exporter.looks import HOSTILE, NOW_MS, TABLES, figures, picture
from tests.support.tools import tool

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def text(families: Iterable[Metric]) -> str:
    return generate_latest(registry_of(list(families))).decode()


def lag_text(members: bool = False) -> str:
    """All that is said of lag."""
    return PartitionText("c", members).text(picture()) + group_text(picture(), "c")


def network_text(residual: int = 0) -> str:
    return text(network_metrics("c", figures(), residual, 3, TABLES))


def samples(text: str) -> Samples:
    """As a scraper reads them: (name, labels) -> value."""
    found: Samples = {}
    for family in parse(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


@pytest.fixture(scope="module")
def lag() -> Samples:
    return samples(lag_text())


def test_names_and_labels_are_those_of_kafka_lag_exporter() -> None:
    """From its Metrics.scala: with --members exactly its label sets, without them less the three of the member."""
    partition = {"cluster_name", "group", "topic", "partition"}
    member = {"member_host", "consumer_id", "client_id"}
    wanted = {
        "kafka_partition_latest_offset": {"cluster_name", "topic", "partition"},
        "kafka_partition_earliest_offset": {"cluster_name", "topic", "partition"},
        "kafka_consumergroup_group_offset": partition,
        "kafka_consumergroup_group_lag": partition,
        "kafka_consumergroup_group_lag_seconds": partition,
        "kafka_consumergroup_group_max_lag": {"cluster_name", "group"},
        "kafka_consumergroup_group_max_lag_seconds": {"cluster_name", "group"},
        "kafka_consumergroup_group_sum_lag": {"cluster_name", "group"},
        "kafka_consumergroup_group_topic_sum_lag": {"cluster_name", "group", "topic"},
    }
    for members in (False, True):
        found = samples(lag_text(members))
        for name, labels in wanted.items():
            expected = labels | member if members and labels == partition else labels
            seen = {frozenset(key for key, _ in of) for one, of in found if one == name}
            assert seen == {frozenset(expected)}, name
    assert (
        value(
            found, "kafka_consumergroup_group_lag", cluster_name="c", group="behind", topic="t", partition="0",
            member_host="/10.0.0.7", consumer_id="c-1", client_id="worker-1",
        )
        == 60
    )  # fmt: skip


def test_what_is_not_known_is_absent_never_0_or_minus_1(lag: Samples) -> None:
    """No commit, no age, no trend; sums and maxima skip it."""
    nothing = {"cluster_name": "c", "group": "behind", "topic": "t", "partition": "2"}
    for name in ("offset", "lag", "lag_seconds", "messages_lost", "retention_margin", "lag_retention_ratio"):
        assert value(lag, f"kafka_consumergroup_group_{name}", **nothing) is None
    assert not any(number < 0 or number != number for (name, _), number in lag.items() if "growth" not in name)
    assert value(lag, "kafka_consumergroup_group_sum_lag", cluster_name="c", group="new") is None
    assert value(lag, "kafka_consumergroup_group_sum_lag", cluster_name="c", group="fine") == 0
    assert value(lag, "icn_consumergroup_partitions_without_commit", cluster_name="c", group="new") == 1
    assert value(lag, "icn_consumergroup_closes_in_seconds", cluster_name="c", group="behind") is None
    assert value(lag, "kafka_consumergroup_group_state", cluster_name="c", group="closed", state="Empty") == 1


def test_sums_and_maxima_are_those_of_the_partitions(lag: Samples) -> None:
    group = {"cluster_name": "c", "group": "behind"}
    assert value(lag, "kafka_consumergroup_group_sum_lag", **group) == 60 + 1 + 50 + 0
    assert value(lag, "kafka_consumergroup_group_topic_sum_lag", **group, topic="t") == 111
    assert value(lag, "kafka_consumergroup_group_max_lag", **group) == 60
    assert value(lag, "kafka_consumergroup_group_max_lag_seconds", **group) == 900
    assert value(lag, "icn_consumergroup_retention_ratio", **group) == 1.0
    ratio = "kafka_consumergroup_group_lag_retention_ratio"
    assert value(lag, ratio, **group, topic="t", partition="3") == 100
    assert value(lag, ratio, **group, topic="t", partition="0") is None, "retention has taken nothing of it yet"
    assert value(lag, ratio, **group, topic="t", partition="4") == 0, "nothing waits"


def test_a_verdict_is_one_of_a_closed_set_and_each_trouble_has_its_own(lag: Samples) -> None:
    group = {"cluster_name": "c", "group": "behind"}
    of = {status: value(lag, "kafka_consumergroup_group_status", **group, status=status) for status in STATUSES}
    assert of == {"OK": 0, "WARN": 0, "ERR": 1, "NO_COMMIT": 0, "?": 0}
    troubles = {labels for name, labels in lag if name == "kafka_consumergroup_partition_status"}
    assert {(dict(of)["partition"], dict(of)["status"]) for of in troubles} == {("1", "STALL"), ("3", "WARN"), ("4", "HELD")}  # fmt: skip
    place = {"cluster_name": "c", "group": "behind", "topic": "t"}
    assert value(lag, "icn_consumergroup_lag_seconds_method", **place, partition="1", method="interpolation") == 1
    assert value(lag, "icn_partition_held_records", cluster_name="c", topic="t", partition="4") == 5


def test_a_hostile_name_is_a_label_and_nothing_else(lag: Samples) -> None:
    """Quotes, line ends and backslashes of a group, a topic, a node come back as they were."""
    assert value(lag, "kafka_consumergroup_group_offset", cluster_name="c", group=HOSTILE, topic=HOSTILE, partition="0") == 7  # fmt: skip
    told = samples(network_text())
    assert value(told, "icn_node_reputation_ratio", cluster_name="c", node=HOSTILE) == 0.4


def test_the_network_s_figures_are_what_the_topics_say() -> None:
    told = samples(network_text(-2))
    assert value(told, "icn_stage_records_total", cluster_name="c", stage="s1_intake") == 10
    assert value(told, "icn_stage_outcomes_total", cluster_name="c", stage="s1_intake", outcome="rejected") == 2
    assert (
        value(told, "icn_stage_outcomes_total", cluster_name="c", stage="s1_intake", outcome="rejected:quota") is None
    )
    assert value(told, "icn_dead_letters", cluster_name="c", topic="artifacts.raw", reason="schema") == 1
    assert (
        value(told, "icn_dead_letters_oldest_timestamp_seconds", cluster_name="c", topic="artifacts.raw")
        == NOW_MS / 1000 - 7200
    )
    assert value(told, "icn_audit_sealed_records", cluster_name="c", partition="0") == 40
    assert value(told, "icn_audit_log_end_offset", cluster_name="c", partition="0") == 44
    assert value(told, "icn_conservation_residual_records", cluster_name="c") == -2
    assert value(told, "icn_ticks_total", cluster_name="c", outcome="failed_or_missing") == 1
    assert value(told, "icn_reliability_ratio", cluster_name="c") == 2 / 3
    assert value(told, "icn_node_demoted", cluster_name="c", node=HOSTILE) == 1
    assert value(told, "icn_phoenix_refused_artifacts", cluster_name="c", reason="hour") == 12


def test_before_anything_is_there_nothing_is_made_up() -> None:
    from streams.watch.figures import Figures
    from streams.watch.looking import Tables

    told = samples(text(network_metrics("c", Figures(), None, 0, Tables({}, {}))))
    assert {name for name, _ in told} == {
        "icn_dead_letters_open", "icn_ticks_total", "icn_nodes_registered", "icn_targets", "icn_phoenix_fed_scenarios_total",
    }  # fmt: skip


def test_each_metric_says_of_which_cluster_it_is() -> None:
    """Two deployments at one Prometheus are told apart, in alerts too."""
    unnamed = {name for name, labels in samples(lag_text() + network_text()) if ("cluster_name", "c") not in labels}
    assert unnamed == set()


def test_promtool_finds_nothing_to_complain_about() -> None:
    """Units, types, help: of every metric that there is."""
    everything = lag_text(True) + network_text()
    checked = subprocess.run([tool("promtool"), "check", "metrics"], input=everything, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    assert len(re.findall("^# TYPE", everything, re.M)) > 45


def test_openmetrics_says_the_same() -> None:
    shown = Shown(Seen(picture(), {}), PartitionText("c", False), [*network_metrics("c", figures(), 0, 3, TABLES)])
    other = {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in parse_openmetrics(shown.text(True).decode() + "# EOF\n")
        for s in family.samples
    }
    assert other == samples(shown.text(False).decode()) == samples(lag_text() + network_text())
    assert len(other) > 100


def test_labels_kept_from_look_to_look_are_those_of_the_look() -> None:
    """A second look, of other groups: nothing of the first is left, and owners are those of now."""
    for members in (False, True):
        writer = PartitionText("c", members)
        first = writer.text(picture())
        other = picture()
        groups = {name: group._replace(owners={}) for name, group in other.look.groups.items() if name != "fine"}
        second = writer.text(other._replace(look=other.look._replace(groups=groups)))
        assert 'group="fine"' in first and 'group="fine"' not in second
        assert ("worker-1" in first, "worker-1" in second) == (members, False)
