"""Metrics of single partitions, of which a large cluster has tens of thousands: written straight as text, which is the same in Prometheus'
format and in OpenMetrics. prometheus_client takes ten times as long for them as the look itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from streams.domain.lag import HELD, REWIND, STALL, STOP, WARN
from streams.watch.cluster import Member, Place
from streams.watch.lag import ABANDONED, CLOSED, Lag, Picture

BAD = (WARN, STOP, STALL, REWIND, HELD, ABANDONED, CLOSED)
NOBODY = Member("unknown", "unknown", "unknown")
ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Row(NamedTuple):
    """Of one group's partition. labels: as text, without braces. None: not known."""

    labels: str
    offset: int
    lag: int | None
    lag_seconds: float | None
    lost: int
    margin: int | None
    percent: float | None
    growth: float | None


# name, help, field of Row
FIGURES = (
    ("kafka_consumergroup_group_offset", "Offset that the group has committed", "offset"),
    ("kafka_consumergroup_group_lag", "Records that the group has not committed", "lag"),
    ("kafka_consumergroup_group_lag_seconds", "Age of the oldest record that the group has not committed", "lag_seconds"),
    ("kafka_consumergroup_group_messages_lost", "Records that retention took before the group read them", "lost"),
    ("kafka_consumergroup_group_retention_margin", "Records until retention takes the next one that the group has not read", "margin"),
    ("kafka_consumergroup_group_lag_retention_ratio", "Share of what is kept that waits, in percent as klag-exporter has it", "percent"),
    ("icn_consumergroup_lag_growth_per_second", "Records a second by which the lag grows; below 0 it shrinks", "growth"),
)  # fmt: skip
Lines = Iterable[tuple[str, float | None]]


class PartitionText:
    """cluster: value of cluster_name. members: with the labels of each partition's owner. Labels are kept from look to look."""

    def __init__(self, cluster: str, members: bool) -> None:
        self.cluster, self.members = cluster, members
        self._labels: dict[str, dict[Place, str]] = {}

    def text(self, picture: Picture) -> str:
        """Of one look."""
        rows, telling = self._rows(picture)
        parts = [*self._of_topics(picture)]
        for at, (name, about, _) in enumerate(FIGURES, 1):
            parts.append(_family(name, about, ((row[0], row[at]) for row in rows)))  # type: ignore[misc]
        of = [(self._plain(one), one) for one in telling]
        parts.append(
            _family(
                "icn_consumergroup_lag_seconds_method",
                "How the age is known: message, its own time; interpolation, when the end was seen there",
                (
                    (f'{labels},method="{one.lag_seconds_by}"', 1)
                    for labels, one in of
                    if one.lag and one.lag_seconds_by
                ),
            )
        )
        parts.append(
            _family(
                "kafka_consumergroup_partition_status",
                "1 for each partition that is in trouble, by which",
                ((f'{labels},status="{one.status}"', 1) for labels, one in of if one.status in BAD),
            )
        )
        parts.append(
            _family(
                "icn_consumergroup_hot_partition",
                "1 for each partition much further behind than the group's others",
                ((labels, 1) for labels, one in of if one.is_hot),
            )
        )
        return "".join(parts)

    def _rows(self, picture: Picture) -> tuple[list[Row], list[Lag]]:
        """Of all that has a commit; and those that are not simply at their end."""
        rows, telling = [], []
        look, before, self._labels = picture.look, self._labels, {}
        ends, lows = look.ends, look.lows
        for name, group in look.groups.items():
            known, behind = before.get(name, {}), picture.behind[name]
            self._labels[name] = mine = {}
            owners = group.owners
            for place in group.committed:
                if self.members or (labels := known.get(place)) is None:
                    labels = self._written(name, place, owners.get(place, NOBODY))
                mine[place] = labels
                if (one := behind.get(place)) is not None:
                    telling.append(one)
                    if one.committed is not None:
                        percent = None if one.retention_ratio is None else 100 * one.retention_ratio
                        rows.append(
                            Row(
                                labels,
                                one.committed,
                                one.lag,
                                one.lag_seconds,
                                one.lost,
                                one.margin,
                                percent,
                                one.growth_per_second,
                            )
                        )
                elif (end := ends.get(place)) is not None:  # else the topic is gone
                    rows.append(Row(labels, end, 0, 0, 0, end - lows.get(place, 0), 0, 0))
        return rows, telling

    def _written(self, group: str, place: Place, owner: Member) -> str:
        labels = {"cluster_name": self.cluster, "group": group, "topic": place[0], "partition": str(place[1])}
        if self.members:
            labels |= {"member_host": owner.host, "consumer_id": owner.id, "client_id": owner.client_id}
        return _labels(labels)

    def _plain(self, one: Lag) -> str:
        """Without the owner's."""
        labels = {"cluster_name": self.cluster, "group": one.group, "topic": one.topic, "partition": str(one.partition)}
        return _labels(labels)

    def _of_topics(self, picture: Picture) -> Iterator[str]:
        look = picture.look
        of = {
            place: _labels({"cluster_name": self.cluster, "topic": place[0], "partition": str(place[1])})
            for place in look.ends
        }
        yield _family(
            "kafka_partition_latest_offset",
            "End offset: the first that readers of committed records can't see",
            ((labels, look.ends[place]) for place, labels in of.items()),
        )
        yield _family(
            "kafka_partition_earliest_offset",
            "First offset that retention left",
            ((labels, look.lows.get(place)) for place, labels in of.items()),
        )
        held = {place: look.written.get(place, end) - end for place, end in look.ends.items()}
        yield _family(
            "icn_partition_held_records",
            "Records behind an open transaction: written, and no reader may see them",
            ((labels, held[place]) for place, labels in of.items() if held[place] > 0),
        )


def _labels(labels: dict[str, str]) -> str:
    return ",".join([f'{name}="{value.translate(ESCAPES)}"' for name, value in labels.items()])


def _family(name: str, about: str, lines: Lines) -> str:
    body = [f"{name}{{{labels}}} {value}\n" for labels, value in lines if value is not None]
    return f"# HELP {name} {about}\n# TYPE {name} gauge\n{''.join(body)}"
