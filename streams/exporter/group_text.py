"""Consumer lag of groups, under the names and labels of kafka-lag-exporter and klag-exporter, so that their dashboards work, and under
ours for what they don't have. What is not known is absent, never 0, -1 or NaN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from streams.domain.lag import ERR, NO_COMMIT, OK, UNKNOWN, WARN
from streams.exporter.text import gauge, labels_of
from streams.watch.lag import Picture

STATUSES = (OK, WARN, ERR, NO_COMMIT, UNKNOWN)
# name, help, field of GroupLag
FIGURES = (
    ("kafka_consumergroup_group_sum_lag", "Records that the group has not committed", "lag"),
    ("kafka_consumergroup_group_max_lag_seconds", "Age of the oldest record that the group has not committed", "lag_seconds"),
    ("icn_consumergroup_growth_per_second", "Records a second by which the group's lag grows; below 0 it shrinks", "growth_per_second"),
    ("icn_consumergroup_closes_in_seconds", "Until nothing is left, at the rate of now; absent: it does not shrink", "closes_in_s"),
    ("icn_consumergroup_members", "Members of the group", "members"),
    ("icn_consumergroup_partitions", "Partitions that the group has committed, or is assigned", "partitions"),
    ("icn_consumergroup_partitions_without_commit", "Partitions of which the group has committed nothing", "without_commit"),
    ("icn_consumergroup_retention_ratio", "Share of what is kept that waits, of the partition where it is most [0..1]", "retention_ratio"),
)  # fmt: skip


def group_text(picture: Picture, cluster: str) -> str:
    """Of one look."""
    return "".join(_families(picture, cluster))


def _families(picture: Picture, cluster: str) -> Iterator[str]:
    of_topic, most = _sums(picture)
    labels = {name: labels_of({"cluster_name": cluster, "group": name}) for name in picture.look.groups}
    yield gauge(
        "kafka_consumergroup_group_topic_sum_lag",
        "Records of a topic that the group has not committed",
        ((f"{labels[name]},{labels_of({'topic': topic})}", lag) for (name, topic), lag in of_topic.items()),
    )
    yield gauge(
        "kafka_consumergroup_group_max_lag",
        "Records that the partition furthest behind has not committed",
        ((labels[name], lag) for name, lag in most.items()),
    )
    for name, about, field in FIGURES:
        yield gauge(name, about, ((labels[one.group], getattr(one, field)) for one in picture.groups))
    yield gauge(
        "kafka_consumergroup_group_state",
        "1 for the state that the group is in",
        ((f'{labels[one.group]},state="{one.state.capitalize()}"', 1) for one in picture.groups),
    )
    yield gauge(
        "kafka_consumergroup_group_status",
        "1 for the group's verdict, 0 for the others",
        ((f'{labels[one.group]},status="{s}"', int(one.status == s)) for one in picture.groups for s in STATUSES),
    )


def _sums(picture: Picture) -> tuple[Counter[tuple[str, str]], dict[str, int]]:
    """Lag by (group, topic), and of the partition furthest behind by group. What has no figure is skipped."""
    of_topic, most = Counter[tuple[str, str]](), dict[str, int]()
    ends = picture.look.ends
    for name, group in picture.look.groups.items():
        behind = picture.behind[name]
        for place in group.committed:
            one = behind.get(place)
            lag = one.lag if one is not None else 0 if place in ends else None
            if lag is not None:
                of_topic[name, place[0]] += lag
                most[name] = max(most.get(name, 0), lag)
    return of_topic, most
