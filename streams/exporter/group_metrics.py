"""Consumer lag of groups as Prometheus metrics: under the names and labels of kafka-lag-exporter and klag-exporter, so that their
dashboards work, and under ours for what they don't have. What is not known is absent, never 0, -1 or NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streams.domain.lag import ERR, NO_COMMIT, OK, UNKNOWN, WARN
from streams.watch.lag import Picture

GROUP_STATUSES = (OK, WARN, ERR, NO_COMMIT, UNKNOWN)
BY_GROUP, BY_TOPIC = ["cluster_name", "group"], ["cluster_name", "group", "topic"]
# name, help, field of GroupLag
GROUP_FIGURES = (
    ("kafka_consumergroup_group_sum_lag", "Records that the group has not committed", "lag"),
    ("kafka_consumergroup_group_max_lag_seconds", "Age of the oldest record that the group has not committed", "lag_seconds"),
    ("icn_consumergroup_growth_per_second", "Records a second by which the group's lag grows; below 0 it shrinks", "growth_per_second"),
    ("icn_consumergroup_closes_in_seconds", "Until nothing is left, at the rate of now; absent: it does not shrink", "closes_in_s"),
    ("icn_consumergroup_members", "Members of the group", "members"),
    ("icn_consumergroup_partitions", "Partitions that the group has committed, or is assigned", "partitions"),
    ("icn_consumergroup_partitions_without_commit", "Partitions of which the group has committed nothing", "without_commit"),
    ("icn_consumergroup_retention_ratio", "Share of what is kept that waits, of the partition where it is most [0..1]", "retention_ratio"),
)  # fmt: skip


def group_metrics(picture: Picture, cluster: str, lost_ever: int) -> Iterator[Metric]:
    """Of one look; single partitions are in partition_text. lost_ever: partitions found to have lost events, since the exporter began."""
    yield from _of_groups(picture, cluster)
    lost = CounterMetricFamily(
        "kafka_lag_exporter_data_loss_partitions",
        "Partitions of groups that lost events to retention",
        labels=["cluster_name"],
    )
    lost.add_metric([cluster], lost_ever)
    yield lost


def _of_groups(picture: Picture, cluster: str) -> Iterator[Metric]:
    of_topic, most = Counter[tuple[str, str]](), dict[str, int]()
    for name, group in picture.look.groups.items():
        behind, ends = picture.behind[name], picture.look.ends
        for place in group.committed:
            one = behind.get(place)
            lag = one.lag if one is not None else 0 if place in ends else None
            if lag is not None:
                of_topic[name, place[0]] += lag
                most[name] = max(most.get(name, 0), lag)
    topics = GaugeMetricFamily(
        "kafka_consumergroup_group_topic_sum_lag",
        "Records of a topic that the group has not committed",
        labels=BY_TOPIC,
    )
    for (name, topic), lag in of_topic.items():
        topics.add_metric([cluster, name, topic], lag)
    yield topics
    largest = GaugeMetricFamily(
        "kafka_consumergroup_group_max_lag",
        "Records that the partition furthest behind has not committed",
        labels=BY_GROUP,
    )
    for name, lag in most.items():
        largest.add_metric([cluster, name], lag)
    yield largest
    for name, about, value in GROUP_FIGURES:
        family = GaugeMetricFamily(name, about, labels=BY_GROUP)
        for told in picture.groups:
            if (figure := getattr(told, value)) is not None:
                family.add_metric([cluster, told.group], figure)
        yield family
    state = GaugeMetricFamily(
        "kafka_consumergroup_group_state", "1 for the state that the group is in", labels=[*BY_GROUP, "state"]
    )
    status = GaugeMetricFamily(
        "kafka_consumergroup_group_status", "1 for the group's verdict, 0 for the others", labels=[*BY_GROUP, "status"]
    )
    for told in picture.groups:
        state.add_metric([cluster, told.group, told.state.capitalize()], 1)
        for verdict in GROUP_STATUSES:
            status.add_metric([cluster, told.group, verdict], int(told.status == verdict))
    yield from (state, status)
