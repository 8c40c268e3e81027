"""Does a text nearly repeat an earlier one? Candidates share a band of their sketches; the cosine of their TF-IDF vectors decides. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.sketch import Sketch

COSINE_MIN = 0.7
METHOD = "minhash-lsh+tfidf"
BAND_MAX = 16  # newest texts that a band remembers: a flood of one text costs no more than a few
CANDIDATES_MAX = 64  # compared with one text
LINKS_MAX = 16  # of one text
IDF_TEXTS = (
    4_096  # the newest that repeat nothing: what the weights of words are of; after so many more they are made anew
)
IDF_WORDS_MAX = 100_000  # with a weight of their own: what is frozen is an event, and must stay one
IDF_FIRST = 64  # of these the first time, then of twice as many, until there are enough

Floats = npt.NDArray[np.float64]


class Idf(NamedTuple):
    """Frozen weights of words. terms: ascending hashes; documents: in how many texts each was; total: of how many. version 0: none yet,
    all words weigh the same."""

    version: int
    terms: npt.NDArray[np.uint32]
    documents: npt.NDArray[np.uint32]
    total: int

    def weights(self, terms: npt.NDArray[np.uint32]) -> Floats:
        """ln((1 + total) / (1 + documents)) + 1, as scikit-learn's smoothed one; of a word never seen, documents = 0."""
        at = np.searchsorted(self.terms, terms)
        at[at == len(self.terms)] = 0
        known = self.terms[at] == terms if len(self.terms) else np.zeros(len(terms), bool)
        documents = np.where(known, self.documents[at] if len(self.terms) else 0, 0)
        return np.log((1 + self.total) / (1 + documents)) + 1


NO_IDF = Idf(0, np.zeros(0, np.uint32), np.zeros(0, np.uint32), 0)


def freeze(version: int, texts: list[npt.NDArray[np.uint32]]) -> Idf:
    """Of the different words of each text. A word of a single text is left out: it weighs nearly as much as one never seen, and most
    words are such."""
    terms, documents = np.unique(np.concatenate(texts), return_counts=True)
    said_again = np.flatnonzero(documents > 1)
    most = said_again[np.argsort(-documents[said_again].astype(np.int64), kind="stable")][:IDF_WORDS_MAX]
    kept = np.sort(most)
    return Idf(version, terms[kept], documents[kept].astype(np.uint32), len(texts))


class Vector(NamedTuple):
    """A text's words, weighted, of length 1. terms ascending."""

    terms: npt.NDArray[np.uint32]
    weights: Floats


class Text(NamedTuple):
    """What is remembered of a text. terms, counts: as in a sketch."""

    dedup_hash: bytes
    artifact_id: str
    node_id: str
    raw_ms: int  # broker's time of the artifact
    first_seen_ms: int  # the earliest of what it repeats, over any number of links; else raw_ms
    family: bytes  # dedup_hash of that one; else its own
    terms: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint16]


def is_time_to_freeze(texts: int) -> bool:
    """Whether the weights of words are made anew behind so many texts."""
    doubled = texts >= IDF_FIRST and texts & (texts - 1) == 0
    return texts % IDF_TEXTS == 0 if texts >= IDF_TEXTS else doubled


def most_shared(bands: Iterable[Iterable[int]]) -> list[int]:
    """Numbers of the texts that are in the most of these bands, of equals the older ones first; at most 64."""
    times = Counter(number for band in bands for number in band)
    return sorted(times, key=lambda number: (-times[number], number))[:CANDIDATES_MAX]


def linked(own: Vector, candidates: Mapping[int, Vector]) -> list[tuple[int, float]]:
    """(number, similarity) of those that it nearly repeats, the most similar first, of equals the older one; at most 16."""
    found = [(number, round(cosine(own, other), 9)) for number, other in candidates.items()]
    near = [(number, similarity) for number, similarity in found if similarity >= COSINE_MIN]
    return sorted(near, key=lambda pair: (-pair[1], pair[0]))[:LINKS_MAX]


def vector(of: Sketch | Text, idf: Idf) -> Vector:
    """TF-IDF: (1 + ln count) · idf."""
    weights = (1 + np.log(of.counts.astype(np.float64))) * idf.weights(of.terms)
    return Vector(of.terms, weights / max(float(np.sqrt(weights @ weights)), 1e-300))


def cosine(one: Vector, other: Vector) -> float:
    """[0..1]."""
    at = np.searchsorted(other.terms, one.terms)
    at[at == len(other.terms)] = 0
    shared = other.terms[at] == one.terms if len(other.terms) else np.zeros(len(one.terms), bool)
    return float(min(1.0, one.weights[shared] @ other.weights[at[shared]]))
