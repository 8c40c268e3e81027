"""An output as replay sees it: what tells it from all others, which input it came from, and a digest of its bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from streams.codec import decode_any

Headers = Iterable[tuple[str, bytes]]


@dataclass(frozen=True)
class Origin:
    """The input an output came from. stage None: the topic has one writer."""

    stage: str | None
    source: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.source}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class Output:
    """identity: (topic's alias, the event id where it has one, else the origin)."""

    identity: tuple[str, str]
    origin: Origin
    digest: bytes


def read_output(alias: str, key: bytes | None, value: bytes | None, headers: Headers | None) -> Output:
    """Raises Undecodable, LookupError, TypeError or ValueError for what is no record of this topic."""
    headers = list(headers or ())
    origin = _origin(alias, value, headers)
    return Output((alias, _event_id(alias, key, value, headers, origin)), origin, digest(key, value, headers))


def _event_id(alias: str, key: bytes | None, value: bytes | None, headers: Headers, origin: Origin) -> str:
    if alias == "receipts":
        return dict(headers)["ce_id"].decode()
    if alias in ("reputation.log", "reputation"):  # one tick revises many nodes
        return f"{origin} {(key or b'').decode()} {decode_any(value or b'')[1]['revision']}"
    if alias == "links":  # one text may repeat several
        link = decode_any(value or b"")[1]
        earlier = (
            link["near_dedup_hash"],
            link["near_node_id"],
            link["near_duplicate_of"],
        )  # a content may be there twice
        return f"{origin} {earlier}"
    return str(origin)


def _origin(alias: str, value: bytes | None, headers: Headers) -> Origin:
    if alias.endswith(".dlq"):
        about = dict(headers)
        return Origin(
            about["icn_dlq_stage"].decode(),
            alias.removesuffix(".dlq"),
            int(about["icn_dlq_partition"]),
            int(about["icn_dlq_offset"]),
        )
    event = decode_any(value or b"")[1]
    if alias == "artifacts.admitted":
        return Origin(None, "artifacts.raw", event["facts"]["raw_partition"], event["facts"]["raw_offset"])
    if alias == "artifacts.decided":
        return Origin(None, "artifacts.admitted", event["input_partition"], event["input_offset"])
    if alias == "receipts":
        return Origin(event["stage"], event["topic"], event["partition"], event["outcomes"][0]["offset"])
    return Origin(None, event["input_topic"], event["input_partition"], event["input_offset"])


def digest(key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Of all that a record says."""
    found = hashlib.blake2b(digest_size=16)
    for part in (key, value, *(item for name, content in headers for item in (name.encode(), content))):
        found.update(b"-" if part is None else len(part).to_bytes(8, "little") + part)
    return found.digest()
