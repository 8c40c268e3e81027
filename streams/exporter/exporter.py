"""Each look as the bytes and documents that are served until the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector, CollectorRegistry

from streams.exporter.burrow import Seen
from streams.exporter.group_text import group_text
from streams.exporter.network_metrics import network_metrics, of_cluster
from streams.exporter.partition_text import PartitionText
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.looking import Looking, Sight

END = b"# EOF\n"


class Shown:
    """One look, for whoever asks. Its text is written when somebody does, and once: most looks are never asked for."""

    def __init__(self, seen: Seen, partitions: PartitionText, families: list[Metric]) -> None:
        self.seen, self._partitions, self._families = seen, partitions, families
        self._lag: bytes | None = None
        self._rest: dict[bool, bytes] = {}

    def text(self, openmetrics: bool) -> bytes:
        """Without the end mark of OpenMetrics."""
        if self._lag is None:
            picture, cluster = self.seen.picture, self._partitions.cluster
            self._lag = (self._partitions.text(picture) + group_text(picture, cluster)).encode()
        if openmetrics not in self._rest:
            write = generate_openmetrics if openmetrics else generate_latest
            self._rest[openmetrics] = write(registry_of(self._families)).removesuffix(END)
        return self._lag + self._rest[openmetrics]


class _Given(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families


def registry_of(families: list[Metric]) -> Any:
    """Of these, as prometheus_client writes them."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return registry


class Exporter:
    """cluster: value of the label cluster_name, and Burrow's name of it. members: with labels of each partition's owner. wanted: which
    groups are looked at; None: all."""

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        cluster: str,
        every_s: float = 10.0,
        allowed: int = 0,
        members: bool = False,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.cluster, self.partitions = cluster, PartitionText(cluster, members)
        self.brokers, self.every_s = settings.require_brokers(), every_s
        self.looking = Looking(topology, settings, self._shown, every_s, allowed, wanted=wanted)

    def _shown(self, sight: Sight) -> Shown:
        following = sight.following
        conservation = following.conservation
        in_flight = conservation.in_flight if conservation else 0
        families = [
            *self._losses(sight.lost_ever),
            *network_metrics(self.cluster, following.figures, following.residual, in_flight, sight.tables),
        ]
        rings = {
            name: {place: (ring[0], ring[-1], len(ring)) for place, ring in mine.items()}
            for name, mine in self.looking.monitor.readings.items()
        }
        return Shown(Seen(sight.picture, rings, sight.tables.topics), self.partitions, families)

    def _losses(self, lost_ever: int) -> Iterator[Metric]:
        name, about = "kafka_lag_exporter_data_loss_partitions", "Partitions found to have lost records to retention"
        yield of_cluster(self.cluster, CounterMetricFamily(name, about, value=lost_ever))

    def metrics(self, openmetrics: bool = False) -> bytes:
        """Of the last look, if it is not old; and how the exporter itself does, always."""
        shown: Shown | None = self.looking.shown
        write = generate_openmetrics if openmetrics else generate_latest
        return (b"" if shown is None else shown.text(openmetrics)) + write(registry_of(list(self._own())))

    def _own(self) -> Iterator[Metric]:
        looking = self.looking
        looked_s = looking.looked_ms and looking.looked_ms / 1000
        for name, about, value in (
            ("kafka_lag_exporter_up", "1: the last look was good; 0: it failed, or is old", int(looking.is_fresh)),
            ("kafka_lag_exporter_last_update_timestamp_seconds", "When the last good look was", looked_s),
            ("kafka_lag_exporter_scrape_duration_seconds", "How long it took", looking.took_s),
        ):  # fmt: skip
            if value is not None:
                yield of_cluster(self.cluster, GaugeMetricFamily(name, about, value=value))

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether what is served is fresh, and what is known of it."""
        looking = self.looking
        return looking.is_fresh, {
            "status": "ok" if looking.is_fresh else "stale" if looking.shown is not None else "nothing to show",
            "age_s": None if looking.age_s is None else round(looking.age_s, 1),
            "every_s": self.every_s,
            "error": looking.trouble,
        }
