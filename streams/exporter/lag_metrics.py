"""Consumer lag as Prometheus metrics: under the names and labels of kafka-lag-exporter and klag-exporter, so that their dashboards work,
and under ours for what they don't have. What is not known is absent, never 0, -1 or NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streams.domain.lag import ERR, HELD, NO_COMMIT, OK, REWIND, STALL, STOP, UNKNOWN, WARN
from streams.watch.cluster import Member, Place
from streams.watch.lag import ABANDONED, CLOSED, Lag, Picture

GROUP_STATUSES = (OK, WARN, ERR, NO_COMMIT, UNKNOWN)
BAD_PARTITIONS = (WARN, STOP, STALL, REWIND, HELD, ABANDONED, CLOSED)
BY_GROUP, BY_TOPIC = ["cluster_name", "group"], ["cluster_name", "group", "topic"]
BY_PARTITION = [*BY_TOPIC, "partition"]
MEMBER = ["member_host", "consumer_id", "client_id"]
NOBODY = Member("unknown", "unknown", "unknown")
# name, help, field of Lag
PARTITION_FIGURES = (
    ("kafka_consumergroup_group_offset", "Offset that the group has committed", "committed"),
    ("kafka_consumergroup_group_lag", "Records that the group has not committed", "lag"),
    ("kafka_consumergroup_group_lag_seconds", "Age of the oldest record that the group has not committed", "lag_seconds"),
    ("kafka_consumergroup_group_messages_lost", "Records that retention took before the group read them", "lost"),
    ("kafka_consumergroup_group_retention_margin", "Records until retention takes the next one that the group has not read", "margin"),
    ("icn_consumergroup_lag_growth_per_second", "Records a second by which the lag grows; below 0 it shrinks", "growth_per_second"),
)  # fmt: skip
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


def lag_metrics(picture: Picture, cluster: str, members: bool, lost_ever: int) -> Iterator[Metric]:
    """Of one look. members: with the labels of each partition's owner, as kafka-lag-exporter has them: a series ends when a member does.
    lost_ever: partitions found to have lost events, since the exporter began."""
    partitions = picture.partitions
    yield from _of_topics(picture, cluster)
    yield from _of_partitions(partitions, _labels(partitions, picture, cluster, members), members)
    yield from _of_groups(picture, partitions, cluster)
    lost = CounterMetricFamily(
        "kafka_lag_exporter_data_loss_partitions",
        "Partitions of groups that lost events to retention",
        labels=["cluster_name"],
    )
    lost.add_metric([cluster], lost_ever)
    yield lost


def _labels(partitions: Sequence[Lag], picture: Picture, cluster: str, members: bool) -> list[list[str]]:
    """Of each partition. Made once: every family of a partition has the same."""
    if not members:
        return [[cluster, one.group, one.topic, str(one.partition)] for one in partitions]
    owners: Mapping[str, Mapping[Place, Member]] = {name: group.owners for name, group in picture.look.groups.items()}
    return [
        [cluster, one.group, one.topic, str(one.partition), *owners[one.group].get((one.topic, one.partition), NOBODY)]
        for one in partitions
    ]


def _of_topics(picture: Picture, cluster: str) -> Iterator[Metric]:
    labels = ["cluster_name", "topic", "partition"]
    latest = GaugeMetricFamily(
        "kafka_partition_latest_offset",
        "End offset: the first that readers of committed records can't see",
        labels=labels,
    )
    earliest = GaugeMetricFamily("kafka_partition_earliest_offset", "First offset that retention left", labels=labels)
    held = GaugeMetricFamily(
        "icn_partition_held_records",
        "Records behind an open transaction: written, and no reader may see them",
        labels=labels,
    )
    look = picture.look
    for (topic, partition), end in look.ends.items():
        of = [cluster, topic, str(partition)]
        latest.add_metric(of, end)
        if (low := look.lows.get((topic, partition))) is not None:
            earliest.add_metric(of, low)
        if (behind := look.written.get((topic, partition), end) - end) > 0:  # most partitions never have any
            held.add_metric(of, behind)
    yield from (latest, earliest, held)


def _of_partitions(partitions: Sequence[Lag], labels: Sequence[list[str]], members: bool) -> Iterator[Metric]:
    names = BY_PARTITION + (MEMBER if members else [])
    for name, about, value in PARTITION_FIGURES:
        family = GaugeMetricFamily(name, about, labels=names)
        for one, of in zip(partitions, labels, strict=True):
            if one.committed is not None and (figure := getattr(one, value)) is not None:
                family.add_metric(of, figure)
        yield family
    percent = GaugeMetricFamily(
        "kafka_consumergroup_group_lag_retention_ratio",
        "Share of what is kept that waits, in percent as klag-exporter has it",
        labels=names,
    )
    for one, of in zip(partitions, labels, strict=True):
        if one.retention_ratio is not None:
            percent.add_metric(of, 100 * one.retention_ratio)
    yield percent
    method = GaugeMetricFamily(
        "icn_consumergroup_lag_seconds_method",
        "How the age is known: message, its own time; interpolation, when the end was seen there",
        labels=[*BY_PARTITION, "method"],
    )
    status = GaugeMetricFamily(
        "kafka_consumergroup_partition_status",
        "1 for each partition that is in trouble, by which",
        labels=[*BY_PARTITION, "status"],
    )
    hot = GaugeMetricFamily(
        "icn_consumergroup_hot_partition",
        "1 for each partition much further behind than the group's others",
        labels=BY_PARTITION,
    )
    for one, of in zip(partitions, labels, strict=True):
        if one.lag:
            if one.lag_seconds_by:
                method.add_metric([*of[:4], one.lag_seconds_by], 1)
            if one.is_hot:
                hot.add_metric(of[:4], 1)
        if one.status in BAD_PARTITIONS:
            status.add_metric([*of[:4], one.status], 1)
    yield from (method, status, hot)


def _of_groups(picture: Picture, partitions: Sequence[Lag], cluster: str) -> Iterator[Metric]:
    of_topic = Counter[tuple[str, str]]()
    most: dict[str, int] = {}
    for one in partitions:
        if one.lag is not None:
            of_topic[one.group, one.topic] += one.lag
            most[one.group] = max(most.get(one.group, 0), one.lag)
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
        for group in picture.groups:
            if (figure := getattr(group, value)) is not None:
                family.add_metric([cluster, group.group], figure)
        yield family
    state = GaugeMetricFamily(
        "kafka_consumergroup_group_state", "1 for the state that the group is in", labels=[*BY_GROUP, "state"]
    )
    status = GaugeMetricFamily(
        "kafka_consumergroup_group_status", "1 for the group's verdict, 0 for the others", labels=[*BY_GROUP, "status"]
    )
    for group in picture.groups:
        state.add_metric([cluster, group.group, group.state.capitalize()], 1)
        for name in GROUP_STATUSES:
            status.add_metric([cluster, group.group, name], int(group.status == name))
    yield from (state, status)
