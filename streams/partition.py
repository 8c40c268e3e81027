"""Which partition a key lands in: murmur2, as Java's, aiokafka's and (asked for it) librdkafka's producers do."""

from __future__ import annotations

from aiokafka.partitioner import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's default partitioner for keyed records."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
