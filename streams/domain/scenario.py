"""An artifact as a scenario for a trainer: what there is to learn from it, and by what it is told from others. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

from streams.domain.sketch import words

INPUT_MAX = 2_000  # characters of the content that a trainer sees
CONTENT_MAX = 1 << 16  # characters that are looked at
NOVEL_WORDS = 100  # first words by which a scenario is known again
HIGH = 7.0  # threat level, opportunity value
UNDER = 0.2  # share of the last 100 fed below which a general objective is under-represented
GENERAL = ("pattern_recognition", "cross_domain_synthesis")
NO_DOMAIN = "unknown"
DOMAIN_MAX = 200
HOUR_MS = 3_600_000
_WHITE = re.compile(r"\s+")


def domain_of(metadata: Mapping[str, str]) -> str:
    """At most 200 characters: it is in every event."""
    return (metadata.get("domain") or NO_DOMAIN)[:DOMAIN_MAX]


def input_of(content_type: str, content: str) -> str:
    """The first 2,000 characters. Of text every white space is one character: more of it makes no other content."""
    if content_type == "text":
        content = _WHITE.sub(lambda found: "\n" if "\n" in found[0] else " ", content.strip()[:CONTENT_MAX])
    return content[:INPUT_MAX]


def novelty_of(content_type: str, domain: str, said: str) -> int:
    """64 bits: equal for scenarios that begin alike. said: what a trainer sees. Over its first 100 words; case and markup don't count. Of
    what has no word, over the text itself."""
    parts = (content_type, domain, " ".join(words(said)[:NOVEL_WORDS]) or said)
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = part.encode(errors="surrogatepass")
        state.update(len(data).to_bytes(8, "little") + data)
    return int.from_bytes(state.digest(), "little")


def objectives(threat_level: float, opportunity_value: float, before: Iterable[Sequence[str]]) -> list[str]:
    """before: those of the last 100 that were fed."""
    found = ["high_threat_response", "crisis_management"] if threat_level >= HIGH else []
    found += ["high_value_extraction", "strategic_planning"] if opportunity_value >= HIGH else []
    last = list(before)
    return found + [one for one in GENERAL if sum(one in had for had in last) < max(1, UNDER * len(last))]


def characteristics(content: str, lists: Mapping[str, Sequence[str]]) -> list[str]:
    """The lists of which it says a word, in their order."""
    said = set(words(content))
    return [name for name, terms in lists.items() if not said.isdisjoint(terms)]


def tags(content_type: str, domain: str, node_id: str, raw_ms: int) -> list[str]:
    return [content_type, f"domain:{domain}", f"node:{node_id}", f"hour_{raw_ms // HOUR_MS % 24:02}"]


def seal(key: bytes, slot_ms: int, dedup_hash: bytes) -> bytes:
    """16 bytes, with a key of the deployment: this was fed then."""
    return seal_of(key, slot_ms.to_bytes(8, "big", signed=True) + dedup_hash)


def seal_of(key: bytes, said: bytes) -> bytes:
    """16 bytes, with a key of the deployment: over a record."""
    return hashlib.blake2b(said, key=key, digest_size=16).digest()


def is_fed(key: bytes, slot_ms: int, dedup_hash: bytes, given: bytes | None) -> bool:
    return given is not None and hmac.compare_digest(seal(key, slot_ms, dedup_hash), given)
