"""Making an artifact: defaults, checks before anything is sent, ids in the order of time. Pure but for the clock and randomness."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

from streams.domain.artifact import Limits, find_flaw
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


def make_artifact(node_id: str, fields: Mapping[str, Any], limits: Limits, simulated: bool = False) -> dict[str, Any]:
    """A complete artifact from what the author gave. Raises ArtifactError for what the network would reject.

    simulated: the deployment is, so the artifact is, whatever the author says.
    """
    unknown = [name for name in fields if name not in FIELDS]
    if unknown:
        raise ArtifactError(f'unknown field "{unknown[0]}"', f"known: {', '.join(FIELDS)}; your own go into metadata")
    content = fields.get("content")
    if not isinstance(content, str):
        raise ArtifactError(
            f"content is {type(content).__name__}; it must be a string", "decode bytes first, or send them as base64"
        )
    artifact: dict[str, Any] = {
        "artifact_id": str(fields.get("artifact_id") or uuid7()),
        "node_id": node_id,
        "collected_at": _collected_at(fields.get("collected_at")),
        "content_type": fields.get("content_type") or "text",
        "content": content,
        "source": fields.get("source"),
        "metadata": fields.get("metadata") or {},
        "assignment": fields.get("assignment"),
        "confidence": _number(fields, "confidence", 0.5),
        "threat_level": _number(fields, "threat_level", 0.0),
        "opportunity_value": _number(fields, "opportunity_value", 0.0),
        "simulated": simulated or bool(fields.get("simulated", False)),
    }
    for name in ("content_type", "source", "assignment"):
        if artifact[name] is not None and not isinstance(artifact[name], str):
            raise ArtifactError(f"{name} is {type(artifact[name]).__name__}; it must be a string")
    metadata = artifact["metadata"]
    if not isinstance(metadata, Mapping) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in metadata.items()
    ):
        raise ArtifactError("metadata must map strings to strings", 'for example {"domain": "malware"}')
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise ArtifactError(
            f"content holds a lone surrogate at character {error.start}",
            "it is not valid text: decode it with errors='replace', or fix it",
        ) from error
    if flaw := find_flaw(artifact, limits):
        raise ArtifactError(flaw.detail, f"the network would reject it as {flaw.reason}")
    return artifact


def _number(fields: Mapping[str, Any], name: str, default: float) -> float:
    value = fields.get(name, default)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ArtifactError(f"{name} is {value!r}; it must be a number")
    return float(value)


def _collected_at(value: Any) -> int:
    """Milliseconds since 1970, UTC: a number is that, text is ISO 8601, None is now."""
    if value is None:
        return time.time_ns() // 1_000_000
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    from datetime import UTC, datetime

    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ArtifactError(f"collected_at is {value!r}; write milliseconds since 1970 or ISO 8601") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
