"""How unlike one another are they, and which next? Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from streams.domain.meaning import Floats, Weights, directions_of, meant
from streams.domain.phrases import Numbered
from streams.domain.priority import published

SEED = 1  # of the directions
KINDS = ("content_type", "domain", "node_id")
REMEMBERED = 1 << 12  # texts whose words are at hand: those of a day's feed and of a pool come again every minute


def points(texts: Sequence[str], others: Sequence[str] = ()) -> tuple[Floats, Floats]:
    """(n, d) and (m, d), rows of length 1; 0 of a text that shares no word with another one. The directions are those in which the first
    ones differ most; words weigh as among all."""
    from sklearn.preprocessing import normalize

    if not texts:
        return np.zeros((0, 1)), np.zeros((len(others), 1))
    said = Numbered.of(map(list, map(_words, (*texts, *others))))
    weights = Weights.of(said)
    if weights is None:
        return np.zeros((len(texts), 1)), np.zeros((len(others), 1))
    rows = weights.weigh(said)
    found = normalize(rows @ directions_of(rows[: len(texts)], SEED).T)
    return found[: len(texts)], found[len(texts) :]


def nearest(of: Floats, others: Floats) -> Floats:
    """Of each of the first, the cosine to the most similar one of the others; 0 where there is none."""
    return np.max(of @ others.T, axis=1, initial=0.0)


def vendi(of: Floats) -> float:
    """Vendi score (Friedman and Dieng 2023) of (n, d), rows of length 1: the effective number of different ones [1..n]; 0: none. exp of the
    entropy of the eigenvalues of their cosines / n."""
    if not len(of):
        return 0.0
    small = of @ of.T if len(of) <= of.shape[1] else of.T @ of  # the same eigenvalues, but for zeros
    return _effective(np.linalg.eigvalsh(small / len(of)).tolist())


def vendi_of_kinds(kinds: Iterable[str]) -> float:
    """The same where two are alike or have nothing in common: exp of the Shannon entropy [1..kinds]."""
    names = list(kinds)
    return _effective(count / len(names) for count in np.unique(names, return_counts=True)[1]) if names else 0.0


def effective_numbers(fed: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of scenarios: how many different content types, domains, nodes and contents there are in effect (Vendi scores)."""
    found = {kind: vendi_of_kinds(one[kind] for one in fed) for kind in KINDS}
    return found | {"content": vendi(points([one["input"] for one in fed])[0])}


def _effective(shares: Iterable[float]) -> float:
    held = np.array([share for share in shares if share > 1e-12])
    return published(float(np.exp(-np.sum(held * np.log(held)))))


@lru_cache(REMEMBERED)
def _words(text: str) -> tuple[str, ...]:
    return tuple(meant(text))
