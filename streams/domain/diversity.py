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
REPEATED = 0.3  # a text that is fed once more is new by 0.3 / 1.3
FEW_WORDS = 10
KINDS = ("content_type", "domain", "node_id")
REMEMBERED = (
    1 << 13
)  # texts whose words are at hand: those of a day's feed, of a pool and of a sample come again every minute


def points(texts: Sequence[str], *others: Sequence[str]) -> list[Floats]:
    """Of each group (n, d), rows of length 1; 0 of a text that shares no word with two of the first group. Words weigh as among those, and
    the directions are those in which they differ most."""
    from sklearn.preprocessing import normalize

    groups = [Numbered.of([_said(text).split() for text in group]) for group in (texts, *others)]
    weights = Weights.of(groups[0])
    if weights is None:
        return [np.zeros((len(group.ends), 1)) for group in groups]
    directions = directions_of(weights.weigh(groups[0]), SEED).T
    empty = np.zeros((0, directions.shape[1]))
    return [normalize(weights.weigh(group) @ directions) if len(group.ends) else empty for group in groups]


def telling(texts: Sequence[str]) -> Floats:
    """(n,): of how many different words each is, n / (n + 10) [0..1): a name alone is unlike everything, and teaches nothing."""
    counts = np.array([len(set(_said(text).split())) for text in texts], float)
    return counts / (counts + FEW_WORDS)


def nearest(of: Floats, others: Floats) -> Floats:
    """Of each of the first, the cosine to the most similar one of the others; 0 where there is none."""
    return np.max(of @ others.T, axis=1, initial=0.0)


class Newness:
    """How much of each text the others, all together, have not said: what a ridge regression on them leaves of it, 1 - k'(K + 0.3 I)^-1 k,
    which is also the variance that a Gaussian process has left there (Rasmussen and Williams 2006, 2.26).

    The cosine to the most similar one can't tell any more who is new once a day's feed has something similar to everything.
    """

    def __init__(self, of: Floats, said: Floats, tells: Floats) -> None:
        """(n, d) and (m, d), rows of length 1 or 0; (n,) as `telling` has it."""
        self.of, self.tells = of, tells
        self._inverse = np.linalg.inv(REPEATED * np.eye(of.shape[1]) + said.T @ said)
        self.left = 1 - np.sum(of * of, axis=1) + REPEATED * np.sum((of @ self._inverse) * of, axis=1)

    def said(self, at: int) -> None:
        """One of them, from now on."""
        one = self._inverse @ self.of[at]
        one /= np.sqrt(1 + one @ self.of[at])
        self._inverse -= np.outer(one, one)
        self.left -= REPEATED * (self.of @ one) ** 2

    def distance(self) -> Floats:
        """(n,): the root of what there is to learn from each (0..1]."""
        return np.sqrt(np.maximum(self.left * self.tells, 1e-9))


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
def _said(text: str) -> str:
    """As one text: as many small ones it would take ten times the memory."""
    return " ".join(meant(text))
