"""Headers of a raw artifact: CloudEvents 1.0 (Kafka binding, binary mode) and W3C trace context."""

from __future__ import annotations

import os


def headers_of(deployment: str, node_id: str, artifact_id: str) -> list[tuple[str, bytes]]:
    """A new trace starts with each artifact."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", b"icn.artifact"),
        ("ce_source", f"/{deployment}/nodes/{node_id}".encode()),
        ("ce_id", artifact_id.encode()),
        ("content-type", b"application/avro"),
        ("correlationid", artifact_id.encode()),
        ("traceparent", f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01".encode()),
    ]
