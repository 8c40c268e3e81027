"""What many texts speak of: groups of texts by their words, each with its terms, and the reason why a text is in one. Pure.

Words weighted by TF-IDF, the 100 directions in which texts differ most (truncated SVD), points of length 1, groups of them (clusters.py).
Everything is linear up to there, so a word's share in "this group and not that one" is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from streams.domain.clusters import Clusters, Floats, cluster
from streams.domain.meaning import Weights, directions_of, meant
from streams.domain.phrases import Numbered, Numbers, count_phrases

NO_PATTERN = -1  # of a text that shares no word with another one
TEXTS_MIN = 10
TOP = 10  # terms of a pattern
CENTROID_WORDS = 100
SAID_MORE = 4.0  # times as often as elsewhere, or it is no term of a pattern


class Term(NamedTuple):
    """weight: in [0..1], of the strongest 1."""

    words: str
    weight: float


@dataclass(frozen=True)
class Patterns:
    """terms: of each pattern, strongest first. said: the words of the texts. points: (n, directions), of length 1."""

    clusters: Clusters
    terms: list[list[Term]]
    said: Numbered
    points: Floats
    _weights: Weights
    _texts: Any  # (n, words), sparse: weighted, of length 1
    _directions: Floats  # (directions, words)

    def centroid(self, pattern: int) -> dict[str, float]:
        """The mean of its texts' words, the 100 heaviest of them, of length 1: what it is known by in another window."""
        mean = np.asarray(self._texts[self.clusters.labels == pattern].mean(axis=0))[0]
        heaviest = np.argsort(-mean, kind="stable")[:CENTROID_WORDS]
        weights = mean[heaviest] / (np.linalg.norm(mean[heaviest]) or 1.0)
        return {self._weights.words[at]: float(w) for at, w in zip(heaviest, weights, strict=True) if w > 0}

    def next_to(self, text: int, why: int) -> int | None:
        """The pattern other than that one that a text is nearest to; None: there is none."""
        near = self.points[text] @ self.clusters.centroids.T
        near[why] = -np.inf
        return int(np.argmax(near)) if len(near) > 1 else None

    def cosines(self, contents: Sequence[str]) -> Floats:
        """(n, k): of any texts, to all centroids. For explainers that ask a black box."""
        rows = self._weights.weigh(Numbered.of(map(meant, contents)))
        points = rows @ self._directions.T
        return (points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)) @ self.clusters.centroids.T

    def explain(self, text: int, why: int, not_: int) -> list[tuple[str, float]]:
        """Of each word of a text its share in being nearer to one pattern than to another, largest first. They sum to `margin`."""
        row = self._texts[text]
        apart = (self.clusters.centroids[why] - self.clusters.centroids[not_]) @ self._directions
        length = float(np.linalg.norm(self._directions @ row.toarray()[0])) or 1.0
        shares = row.data * apart[row.indices] / length
        order = np.argsort(-shares, kind="stable")
        return [(self._weights.words[row.indices[at]], float(shares[at])) for at in order]

    def margin(self, text: int, why: int, not_: int) -> float:
        """Difference of the cosines to both centroids."""
        point = self._directions @ self._texts[text].toarray()[0]
        point = point / (np.linalg.norm(point) or 1.0)
        return float(point @ (self.clusters.centroids[why] - self.clusters.centroids[not_]))


def find(texts: Sequence[str], seed: int) -> Patterns | None:
    """None: fewer than ten texts, or no two that share a word."""
    from sklearn.preprocessing import normalize

    if len(texts) < TEXTS_MIN:
        return None
    said = Numbered.of(map(meant, texts))
    weighted = Weights.of(said)
    if weighted is None:
        return None
    rows = weighted.weigh(said)
    speaks = np.flatnonzero(rows.getnnz(axis=1))  # of anything that another one speaks of, too
    if len(speaks) < TEXTS_MIN:
        return None
    directions = directions_of(rows[speaks], seed)
    points = normalize(rows @ directions.T)
    clusters = cluster(points[speaks], seed)
    labels = np.full(len(texts), NO_PATTERN)
    labels[speaks] = clusters.labels
    clusters = clusters._replace(labels=labels)
    return Patterns(clusters, _terms(said, weighted, clusters), said, points, weighted, rows, directions)


def _terms(said: Numbered, weights: Weights, clusters: Clusters) -> list[list[Term]]:
    """Class-based TF-IDF (Grootendorst 2022) of phrases of one to three words, with the ratio of frequencies as its IDF: share in the
    pattern · ln(share in the pattern / share elsewhere) where that ratio is at least 4, so that what everybody says names nothing;
    elsewhere each phrase is once more than it is, so that a pattern of nearly all texts has a name too. A phrase within a stronger one,
    or around it, is not said again."""
    counts, phrases = count_phrases(said, weights.columns(said), len(weights.words))
    total = np.asarray(counts.sum(axis=0))[0]
    is_common = np.append(weights.common > 0, False)  # at -1: no word
    rare = ~is_common[phrases].any(axis=1)
    found = []
    for label in range(len(clusters.centroids)):
        mine = np.asarray(counts[clusters.labels == label].sum(axis=0))[0]
        share = mine / max(1, mine.sum())
        elsewhere = total - mine + 1
        ratio = share / (elsewhere / elsewhere.sum())
        strengths = np.where(ratio >= SAID_MORE, share * np.log(np.maximum(ratio, 1.0)), 0.0)
        telling = strengths * rare  # words that most texts say name nothing, but for a pattern that has no others
        found.append(_strongest(weights.words, phrases, telling if telling.any() else strengths))
    return found


def _strongest(words: list[str], phrases: Numbers, strengths: Floats) -> list[Term]:
    kept: list[Term] = []
    for at in np.argsort(-strengths, kind="stable")[: 20 * TOP]:
        if strengths[at] <= 0 or len(kept) == TOP:
            break
        phrase = " ".join(words[column] for column in phrases[at] if column >= 0)
        padded = f" {phrase} "
        if not any(padded in f" {one.words} " or f" {one.words} " in padded for one in kept):
            kept.append(Term(phrase, float(strengths[at])))
    return [Term(one.words, one.weight / kept[0].weight) for one in kept]
