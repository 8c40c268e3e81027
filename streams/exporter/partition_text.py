"""Metrics of single partitions, of which a large cluster has tens of thousands: written straight as text, which is the same in Prometheus'
format and in OpenMetrics. prometheus_client takes ten times as long for them as the look itself."""

from __future__ import annotations

from collections.abc import Iterator

from streams.domain.lag import HELD, REWIND, STALL, STOP, WARN
from streams.exporter.text import gauge, head, labels_of
from streams.watch.cluster import Member, Place
from streams.watch.lag import ABANDONED, CLOSED, Lag, Picture

BAD = (WARN, STOP, STALL, REWIND, HELD, ABANDONED, CLOSED)
NOBODY = Member("unknown", "unknown", "unknown")
# name, help, field of Lag; of a partition at its end the last five are 0
FIGURES = (
    ("kafka_consumergroup_group_offset", "Offset that the group has committed", "committed"),
    ("kafka_consumergroup_group_retention_margin", "Records until retention takes the next one that the group has not read", "margin"),
    ("kafka_consumergroup_group_lag", "Records that the group has not committed", "lag"),
    ("kafka_consumergroup_group_lag_seconds", "Age of the oldest record that the group has not committed", "lag_seconds"),
    ("kafka_consumergroup_group_messages_lost", "Records that retention took before the group read them", "lost"),
    ("kafka_consumergroup_group_lag_retention_ratio", "Share of what is kept that waits, in percent, as klag-exporter", "retention_ratio"),
    ("icn_consumergroup_lag_growth_per_second", "Records a second by which the lag grows; below 0 it shrinks", "growth_per_second"),
)  # fmt: skip
OFFSET, MARGIN, *NOTHING = [name for name, _, _ in FIGURES]
PERCENT = {"retention_ratio": 100}


class _Written:
    """What of a partition is the same at each look."""

    __slots__ = ("labels", "nothing")

    def __init__(self, labels: str) -> None:
        self.labels = labels
        self.nothing = [f"{name}{{{labels}}} 0\n" for name in NOTHING]  # most partitions are at their end


class PartitionText:
    """cluster: value of cluster_name. members: with the labels of each partition's owner. Labels are kept from look to look."""

    def __init__(self, cluster: str, members: bool) -> None:
        self.cluster, self.members = cluster, members
        self._written: dict[str, dict[Place, _Written]] = {}

    def text(self, picture: Picture) -> str:
        """Of one look."""
        told = [(self._plain(one), one) for behind in picture.behind.values() for one in behind.values()]
        return "".join(
            [
                *self._of_topics(picture),
                *self._of_groups(picture),
                gauge(
                    "icn_consumergroup_lag_seconds_method",
                    "How the age is known: message, its own time; interpolation, when the end was seen there",
                    ((f'{at},method="{one.lag_seconds_by}"', 1) for at, one in told if one.lag and one.lag_seconds_by),
                ),
                gauge(
                    "kafka_consumergroup_partition_status",
                    "1 for each partition that is in trouble, by which",
                    ((f'{at},status="{one.status}"', 1) for at, one in told if one.status in BAD),
                ),
                gauge(
                    "icn_consumergroup_hot_partition",
                    "1 for each partition much further behind than the group's others",
                    ((at, 1) for at, one in told if one.is_hot),
                ),
            ]
        )

    def _of_groups(self, picture: Picture) -> Iterator[str]:
        """Each figure of all that has a commit."""
        lines: list[list[str]] = [[] for _ in FIGURES]
        offsets, margins, *nothings = lines
        look, before, self._written = picture.look, self._written, {}
        ends, lows = look.ends, look.lows
        for name, group in look.groups.items():
            known, behind, owners = before.get(name, {}), picture.behind[name], group.owners
            self._written[name] = mine = {}
            for place in group.committed:
                written = None if self.members else known.get(place)
                if written is None:
                    written = _Written(self._labels(name, place, owners.get(place, NOBODY)))
                mine[place] = written
                if (one := behind.get(place)) is not None:
                    self._behind(one, written.labels, lines)
                elif (end := ends.get(place)) is not None:  # else the topic is gone
                    offsets.append(f"{OFFSET}{{{written.labels}}} {end}\n")
                    margins.append(f"{MARGIN}{{{written.labels}}} {end - lows.get(place, 0)}\n")
                    for to, line in zip(nothings, written.nothing, strict=True):
                        to.append(line)
        for (name, about, _), some in zip(FIGURES, lines, strict=True):
            yield head(name, about) + "".join(some)

    def _behind(self, one: Lag, labels: str, lines: list[list[str]]) -> None:
        if one.committed is None:
            return
        for (name, _, field), to in zip(FIGURES, lines, strict=True):
            if (value := getattr(one, field)) is not None:
                to.append(f"{name}{{{labels}}} {value * PERCENT.get(field, 1)}\n")

    def _labels(self, group: str, place: Place, owner: Member) -> str:
        labels = {"cluster_name": self.cluster, "group": group, "topic": place[0], "partition": str(place[1])}
        if self.members:
            labels |= {"member_host": owner.host, "consumer_id": owner.id, "client_id": owner.client_id}
        return labels_of(labels)

    def _plain(self, one: Lag) -> str:
        """Without the owner's."""
        labels = {"cluster_name": self.cluster, "group": one.group, "topic": one.topic, "partition": str(one.partition)}
        return labels_of(labels)

    def _of_topics(self, picture: Picture) -> Iterator[str]:
        look = picture.look
        of = {
            place: labels_of({"cluster_name": self.cluster, "topic": place[0], "partition": str(place[1])})
            for place in look.ends
        }
        yield gauge(
            "kafka_partition_latest_offset",
            "End offset: the first that readers of committed records can't see",
            ((labels, look.ends[place]) for place, labels in of.items()),
        )
        yield gauge(
            "kafka_partition_earliest_offset",
            "First offset that retention left",
            ((labels, look.lows.get(place)) for place, labels in of.items()),
        )
        held = {place: look.written.get(place, end) - end for place, end in look.ends.items()}
        yield gauge(
            "icn_partition_held_records",
            "Records behind an open transaction: written, and no reader may see them",
            ((labels, held[place]) for place, labels in of.items() if held[place] > 0),
        )
