"""Which log a partition's tree is of, and where its files are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import TopicCollection
from confluent_kafka.admin import AdminClient

from streams.errors import BrokerError
from streams.settings import Settings
from streams.topology import Topology


@dataclass(frozen=True)
class Place:
    """A topic on a cluster: a recreated one has another id, so it is another log."""

    cluster_id: str
    topic: str
    topic_id: str
    partitions: int

    def origin(self, partition: int) -> str:
        """The log's name in checkpoints, and of the key that signs them."""
        return f"icn/audit/{self.cluster_id}/{self.topic}/{self.topic_id}/{partition}"


def find_place(topology: Topology, settings: Settings) -> Place:
    """Of the audit log. Raises BrokerError."""
    name = topology.topic("metrics").name
    admin = AdminClient(settings.librdkafka())
    try:
        about = admin.describe_topics(TopicCollection([name]), request_timeout=10)[name].result(10)
        cluster_id = admin.describe_cluster(request_timeout=10).result(10).cluster_id
    except Exception as error:
        raise BrokerError(f"{name}: {error}", "icn topics apply makes what is missing; icn broker status") from error
    # as Kafka's own tools write it: a key's name in a signed note may hold no +
    topic_id = str(about.topic_id).replace("+", "-").replace("/", "_").rstrip("=")
    return Place(cluster_id, name, topic_id, len(about.partitions))


def log_folder(settings: Settings, place: Place, partition: int) -> Path:
    """Where the tiles and the newest checkpoint are."""
    return settings.state / "audit" / "log" / f"{place.topic}-{place.topic_id}-{partition}"
