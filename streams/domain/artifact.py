"""What an artifact is: its limits, its normal form, its hashes. Pure."""

from __future__ import annotations

import hashlib
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

from streams.domain.tlp import ORDER, marking

CONTENT_TYPE_MAX = 64  # characters
ID_MAX = 128  # characters of an artifact id, a node id, an assignment
SOURCE_MAX = 4096  # characters
MARKS_MAX = 256  # combining marks in a row; UAX #15 calls text with more than 30 unsafe for streams
RANGES = {"confidence": (0.0, 1.0), "threat_level": (0.0, 10.0), "opportunity_value": (0.0, 10.0)}
NO_SOURCE = bytes(8)


@dataclass(frozen=True)
class Limits:
    """Sizes in UTF-8 bytes; metadata_max in entries."""

    content_max: int
    metadata_max: int
    metadata_bytes_max: int


class Flaw(NamedTuple):
    """Why an artifact can't enter: a word for counting, a sentence for the node's author."""

    reason: str
    detail: str


def find_flaw(artifact: Mapping[str, Any], limits: Limits) -> Flaw | None:
    """The first thing wrong with a decoded artifact, or None. Nothing is clamped, nothing silently fixed."""
    for name, (low, high) in RANGES.items():
        value = artifact[name]
        if not low <= value <= high:  # also NaN
            reason = "not_a_number" if math.isnan(value) else "out_of_range"
            return Flaw(reason, f"{name} is {value!r}; send a number in [{low:g}, {high:g}]")
    content = artifact["content"]
    if not content:
        return Flaw("empty", "content is empty; send at least 1 byte")
    if len(content) * 4 > limits.content_max and (size := len(content.encode())) > limits.content_max:
        return Flaw("oversize", f"content is {size} bytes; at most {limits.content_max}: split it, or send a reference")
    if run := _too_many_marks(content):
        return Flaw(
            "too_many_marks",
            f"{len(run[0])} combining marks on one character, at {run.start()}; at most {MARKS_MAX}: that is no text",
        )
    for name, longest in (("artifact_id", ID_MAX), ("node_id", ID_MAX), ("content_type", CONTENT_TYPE_MAX)):
        if not 0 < len(artifact[name]) <= longest:
            return Flaw("out_of_range", f"{name} has {len(artifact[name])} characters; 1 to {longest}")
    for name, longest in (("source", SOURCE_MAX), ("assignment", ID_MAX)):
        if artifact[name] is not None and len(artifact[name]) > longest:
            return Flaw("out_of_range", f"{name} has {len(artifact[name])} characters; at most {longest}")
    metadata = artifact["metadata"]
    if len(metadata) > limits.metadata_max:
        return Flaw("metadata_too_large", f"metadata has {len(metadata)} entries; at most {limits.metadata_max}")
    if (
        metadata
        and (size := sum(len(k.encode()) + len(v.encode()) for k, v in metadata.items())) > limits.metadata_bytes_max
    ):
        return Flaw("metadata_too_large", f"metadata has {size} bytes; at most {limits.metadata_bytes_max}")
    if "tlp" in metadata and marking(metadata) is None:
        return Flaw("out_of_range", f"metadata's tlp is {metadata['tlp'][:40]!r}; one of {', '.join(ORDER)}, or none")
    return None


def _too_many_marks(content: str) -> re.Match[str] | None:
    """A run of combining marks too long to be sorted: normalization does that by insertion, quadratic, with the GIL held."""
    if len(content) <= MARKS_MAX or content.isascii():
        return None
    marks, run = _marks()
    # so long a run has a mark at a multiple of MARKS_MAX: most texts are not searched
    return None if marks.isdisjoint(content[::MARKS_MAX]) else run.search(content)


@cache
def _marks() -> tuple[frozenset[str], re.Pattern[str]]:
    """All combining marks, also what only becomes one when it is decomposed (half-width voicing marks); and a run that is too long."""
    marks = [
        chr(code)
        for code in range(0x80, 0x20000)
        if (unicodedata.combining(chr(code)) or unicodedata.decomposition(chr(code)))
        and all(map(unicodedata.combining, unicodedata.normalize("NFKD", chr(code))))
    ]
    return frozenset(marks), re.compile(f"[{''.join(marks)}]{{{MARKS_MAX + 1},}}")


def normal_form(content_type: str, content: str) -> str:
    """NFKC; of text also case-folded, white space collapsed. What is equal here is the same content."""
    form = unicodedata.normalize("NFKC", content)
    return " ".join(form.casefold().split()) if content_type == "text" else form


class Hashes(NamedTuple):
    """content: 32 bytes, equal for all sightings of one content. dedup: 40 bytes, equal for source and metadata too. source: 8 bytes."""

    content: bytes
    dedup: bytes
    source: bytes


def hash_artifact(key: bytes, artifact: Mapping[str, Any]) -> Hashes:
    """The deployment's keyed hashes of an artifact. The whole content is hashed, never a prefix.

    content = BLAKE2b-256(lp(content_type) lp(normal form)); dedup = BLAKE2b-256(lp(content_type) lp(normal form) lp(source)),
    then the first 8 bytes of SHA-256(lp(source_type) lp(domain) lp(collection_method)); lp: 8-byte little-endian length, then the bytes.
    """
    content_type = artifact["content_type"]
    body = normal_form(content_type, artifact["content"]).encode()
    kind = content_type.encode()
    state = hashlib.blake2b(
        b"".join((len(kind).to_bytes(8, "little"), kind, len(body).to_bytes(8, "little"), body)),
        key=key,
        digest_size=32,
    )
    content = state.digest()
    source = artifact["source"]
    text = b"" if source is None else source.encode()
    state.update(len(text).to_bytes(8, "little") + text)
    metadata = artifact["metadata"]
    get = metadata.get
    about = metadata_digest(get("source_type", ""), get("domain", "unknown"), get("collection_method", ""))
    return Hashes(content, state.digest() + about, NO_SOURCE if source is None else _source_digest(key, source))


@lru_cache(65536)
def metadata_digest(source_type: str, domain: str, collection_method: str) -> bytes:
    """First 8 bytes of SHA-256 over the three known keys, length-prefixed. Cached: nodes repeat them."""
    parts = (part.encode() for part in (source_type, domain, collection_method))
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "little") + part for part in parts)).digest()[:8]


@lru_cache(65536)
def _source_digest(key: bytes, source: str) -> bytes:
    return hashlib.blake2b(source.encode(), key=key, digest_size=8).digest()


def version_id(canonical_id: str, version: int) -> str:
    """The id of a version: the first has the artifact's own, later ones `<id>_v2`, `_v3`, …"""
    return canonical_id if version == 1 else f"{canonical_id}_v{version}"
