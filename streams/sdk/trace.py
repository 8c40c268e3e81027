"""Headers of what the SDK sends: CloudEvents 1.0 (Kafka binding, binary mode) and W3C trace context."""

from __future__ import annotations

import os


def headers_of(kind: str, source: str, event_id: str) -> list[tuple[str, bytes]]:
    """A new trace starts with each event. kind: icn.artifact, icn.verdict, …"""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_id", event_id.encode()),
        ("content-type", b"application/avro"),
        ("correlationid", event_id.encode()),
        ("traceparent", f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01".encode()),
    ]
