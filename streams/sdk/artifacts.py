"""Making an artifact: defaults, checks before anything is sent, ids in the order of time. Pure but for the clock and randomness."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from streams.domain.artifact import RANGES, Limits, find_flaw
from streams.errors import ArtifactError

FIELDS = (
    "content",
    "content_type",
    "source",
    "metadata",
    "confidence",
    "threat_level",
    "opportunity_value",
    "collected_at",
    "artifact_id",
    "simulated",
    "assignment",
)
SHOWN_MAX = 60  # characters of a value in a message
COLLECTED_AT = "write milliseconds since 1970, or ISO 8601: 2026-11-23T12:00:00Z"


def uuid7() -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random."""
    ms = time.time_ns() // 1_000_000
    bits = (
        ms << 80
        | 0x7 << 76
        | int.from_bytes(os.urandom(2), "big") % 0x1000 << 64
        | 0b10 << 62
        | int.from_bytes(os.urandom(8), "big") >> 2
    )
    return str(uuid.UUID(int=bits))


def uuid7_ms(artifact_id: str) -> int | None:
    """Milliseconds since 1970 in a UUIDv7, or in `<UUIDv7>_v<n>`; None for other ids."""
    try:
        number = uuid.UUID(artifact_id.split("_v")[0])
    except ValueError:
        return None
    return number.int >> 80 if number.version == 7 else None


def make_artifact(node_id: str, fields: Mapping[str, Any], limits: Limits, simulated: bool = False) -> dict[str, Any]:
    """A complete artifact from what the author gave. Raises ArtifactError for what the network would reject.

    simulated: the deployment is, so the artifact is, whatever the author says.
    """
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise ArtifactError(
            f"unknown field {_shown(unknown[0])}", f"known: {', '.join(FIELDS)}; your own go into metadata"
        )
    content = fields.get("content")
    if content is None:
        raise ArtifactError("content is missing")
    if not isinstance(content, str):
        raise ArtifactError(
            f"content is {type(content).__name__}; it must be a string", "decode bytes first, or send them as base64"
        )
    artifact: dict[str, Any] = {
        "artifact_id": _id(fields.get("artifact_id")),
        "node_id": node_id,
        "collected_at": _collected_at(fields.get("collected_at")),
        "content_type": _given(fields, "content_type", "text"),
        "content": content,
        "source": fields.get("source"),
        "metadata": _given(fields, "metadata", {}),
        "assignment": fields.get("assignment"),
        "confidence": _number(fields, "confidence", 0.5),
        "threat_level": _number(fields, "threat_level", 0.0),
        "opportunity_value": _number(fields, "opportunity_value", 0.0),
        "simulated": _flag(fields, "simulated") or simulated,
    }
    for name in ("artifact_id", "content_type", "source", "assignment"):
        if artifact[name] is not None and not isinstance(artifact[name], str):
            raise ArtifactError(f"{name} is {_shown(artifact[name])}; it must be a string")
        _check_text(name, artifact[name] or "")
    metadata = artifact["metadata"]
    if not isinstance(metadata, Mapping):
        raise ArtifactError(
            f"metadata is {_shown(metadata)}; it must map strings to strings", 'for example {"domain": "malware"}'
        )
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise ArtifactError(
                f"metadata has {_shown(key)}: {_shown(value)}; it must map strings to strings",
                'for example {"domain": "malware"}',
            )
        _check_text("a key of metadata", key)
        _check_text(f"metadata.{key}", value)
    _check_text("content", content)
    if flaw := find_flaw(artifact, limits):
        raise ArtifactError(flaw.detail, f"the network would reject it as {flaw.reason}")
    return artifact


def _given(fields: Mapping[str, Any], name: str, default: Any) -> Any:
    """Only None is not given: an empty string or list is the author's, and is judged."""
    value = fields.get(name)
    return default if value is None else value


def _id(value: Any) -> Any:
    if value is None:
        return uuid7()
    return str(value) if isinstance(value, uuid.UUID) else value


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = _given(fields, name, False)
    if not isinstance(value, bool):  # "false" is a string, and true
        raise ArtifactError(f"{name} is {_shown(value)}; it must be true or false")
    return value


def _check_text(name: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ArtifactError(
            f"{name} holds a lone surrogate at character {error.start}",
            "it is not valid text: decode it with errors='replace', or fix it",
        ) from error


def _shown(value: Any) -> str:
    """A value in a message: short, and without failing where Python can't print it (a number of 5000 digits)."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return type(value).__name__
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArtifactError(f"{name} is {_shown(value)}; it must be a number")
    try:
        return float(value)
    except OverflowError as error:
        low, high = RANGES[name]
        raise ArtifactError(f"{name} is {_shown(value)}; send a number in [{low:g}, {high:g}]") from error


def _collected_at(value: Any) -> int:
    """Milliseconds since 1970, UTC: a number is that, text is ISO 8601, None is now."""
    if value is None:
        return time.time_ns() // 1_000_000
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 63:
            raise ArtifactError(f"collected_at is {_shown(value)}; it must fit into 64 bits", COLLECTED_AT)
        return value
    from datetime import UTC, datetime

    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    except (ValueError, OverflowError, RecursionError) as error:
        raise ArtifactError(f"collected_at is {_shown(value)}", COLLECTED_AT) from error
