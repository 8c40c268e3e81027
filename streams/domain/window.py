"""A window of texts -> its patterns as events: what each is, whether it was there before, and what became of the others. Pure; the same
texts, in whatever order, give the same events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from streams.domain.patterns import Patterns, find
from streams.domain.portrait import (
    NEWEST,
    characteristics,
    confidence,
    said_by,
    silhouettes,
    sources,
    trend,
)
from streams.domain.shape import SHORT, Before, Said, Shape
from streams.domain.succession import Succession, succeed

SAMPLE = 500  # characters
NAMED_MAX = 100  # members named by id; the nearest to the centroid
NAME_TERMS = 3


class Window(NamedTuple):
    """patterns: events without the fields that say where from; changes: born, died, merged, split; tried: number of patterns -> how well
    the least stable one is found again. found: for whoever wants an explanation; None: no patterns. texts: as they were numbered."""

    patterns: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    tried: dict[int, float]
    found: Patterns | None
    texts: list[Said]


def portray(
    texts: Sequence[Said], before: Sequence[Before], slot_ms: int, seed: int, lists: Mapping[str, Sequence[str]]
) -> Window:
    """slot_ms: when the window ends; texts: each content once; lists: of words, for the characteristics."""
    texts = sorted(texts, key=lambda text: (_order(text.content), text.hash))
    found = find([text.content for text in texts], seed)
    labels = found.clusters.labels if found else np.zeros(0, np.int64)
    members = [np.flatnonzero(labels == label) for label in range(len(found.terms) if found else 0)]
    shapes = [
        Shape(found.centroid(label), frozenset(texts[at].hash[:SHORT] for at in own))  # type: ignore[union-attr]
        for label, own in enumerate(members)
    ]
    told = succeed([one.shape for one in before], shapes)
    ids = [
        before[told.same[label]].pattern_id if label in told.same else _new_id(slot_ms, shape)
        for label, shape in enumerate(shapes)
    ]
    patterns = [] if found is None else _patterns(found, texts, members, shapes, told, before, ids, slot_ms, lists)
    names = [pattern["name"] for pattern in patterns]
    tried = {} if found is None else {k: round(worst, 9) for k, worst in found.clusters.tried.items()}
    return Window(patterns, _changes(told, before, ids, names), tried, found, texts)


def _patterns(
    found: Patterns,
    texts: Sequence[Said],
    members: Sequence[Any],
    shapes: Sequence[Shape],
    told: Succession,
    before: Sequence[Before],
    ids: Sequence[str],
    slot_ms: int,
    lists: Mapping[str, Sequence[str]],
) -> list[dict[str, Any]]:
    apart = silhouettes(found.points, found.clusters)
    times = np.sort(np.array([text.raw_ms for text in texts]))
    newest_ms = times[int(len(times) * (1 - NEWEST))]
    made = []
    for label, own in enumerate(members):
        nearest = own[np.argsort(-(found.points[own] @ found.clusters.centroids[label]), kind="stable")]
        terms = found.terms[label]
        stability, silhouette = float(found.clusters.stability[label]), float(apart[label])
        spoken = sources(said_by([texts[at].nodes for at in own]))
        newest = sum(bool(texts[at].raw_ms >= newest_ms) for at in own)
        kinds = characteristics((found.said.said_in(at) for at in own), lists)
        made.append(
            {
                "pattern_id": ids[label],
                "slot_ms": slot_ms,
                "name": " · ".join(term.words for term in terms[:NAME_TERMS]) or "(no words of its own)",
                "terms": [{"words": term.words, "weight": round(term.weight, 9)} for term in terms],
                "characteristics": [{"name": name, "share": round(share, 9)} for name, share in kinds.items()],
                "size": len(own),
                "share": round(len(own) / len(texts), 9),
                "trend": trend(label not in told.same, newest, len(own)),
                "newest": newest,
                "born_ms": before[told.same[label]].born_ms if label in told.same else slot_ms,
                "nodes": spoken.nodes,
                "source_entropy_bits": round(spoken.entropy_bits, 9),
                "largest_node_share": round(spoken.largest, 9),
                "confidence": round(confidence(silhouette, stability, len(own)), 9),
                "stability": round(stability, 9),
                "silhouette": round(silhouette, 9),
                "sample": texts[nearest[0]].content[:SAMPLE],
                "members": [texts[at].artifact_id for at in nearest[:NAMED_MAX]],
                "member_hashes": b"".join(sorted(shapes[label].members)),
                "centroid": [{"words": word, "weight": round(w, 9)} for word, w in shapes[label].words.items()],
                "simulated": any(texts[at].simulated for at in own),
            }
        )
    return made


def _order(content: str) -> bytes:
    """As good as drawn. Not the content_hash, which a deployment's key is in: the same texts give the same groups everywhere."""
    return hashlib.blake2b(content.encode(errors="surrogatepass"), digest_size=16).digest()


def _new_id(slot_ms: int, shape: Shape) -> str:
    digest = hashlib.blake2b(slot_ms.to_bytes(8, "big") + b"".join(sorted(shape.members)), digest_size=6)
    return f"pattern-{digest.hexdigest()}"


def _changes(
    told: Succession, before: Sequence[Before], ids: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    changes = []
    for change in told.changes:
        is_now = change.kind in ("born", "split")
        other = None
        if change.other is not None:
            other = before[change.other].pattern_id if change.kind == "split" else ids[change.other]
        changes.append(
            {
                "kind": change.kind,
                "pattern_id": ids[change.of] if is_now else before[change.of].pattern_id,
                "name": names[change.of] if is_now else before[change.of].name,
                "other": other,
            }
        )
    return changes
