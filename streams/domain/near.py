"""Does a text nearly repeat an earlier one? Candidates share a band of their sketches; the cosine of their TF-IDF vectors decides. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from streams.domain.sketch import Sketch

COSINE_MIN = 0.7

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
    """Of the different words of each text."""
    terms, documents = np.unique(np.concatenate(texts), return_counts=True)
    return Idf(version, terms, documents.astype(np.uint32), len(texts))


class Vector(NamedTuple):
    """A text's words, weighted, of length 1. terms ascending."""

    terms: npt.NDArray[np.uint32]
    weights: Floats


def vector(of: Sketch, idf: Idf) -> Vector:
    """TF-IDF: (1 + ln count) · idf."""
    weights = (1 + np.log(of.counts)) * idf.weights(of.terms)
    return Vector(of.terms, weights / max(float(np.sqrt(weights @ weights)), 1e-300))


def cosine(one: Vector, other: Vector) -> float:
    """[0..1]."""
    at = np.searchsorted(other.terms, one.terms)
    at[at == len(other.terms)] = 0
    shared = other.terms[at] == one.terms if len(other.terms) else np.zeros(len(one.terms), bool)
    return float(min(1.0, one.weights[shared] @ other.weights[at[shared]]))
