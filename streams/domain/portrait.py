"""What is said of a pattern beside its terms: who speaks of it, since when, how surely it is one. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest

from streams.domain.clusters import Clusters, Floats

NEWEST = 0.25  # of the window's texts, by time: what "now" is
SIGNIFICANT = 0.01  # two-sided
SHARE_MIN = 0.3  # of a pattern's texts that say a word of a list
SIZE_MIN = 3  # smaller ones are none to be sure of


class Sources(NamedTuple):
    """entropy_bits: Shannon's, of who reported the texts: 0 is a campaign of one node, log2(nodes) the most. largest: share of the node
    that reported most [0..1]."""

    nodes: int
    entropy_bits: float
    largest: float


def sources(reports: Mapping[str, int]) -> Sources:
    """reports: node -> how many it made of the pattern's texts [1..]."""
    shares = np.array(sorted(reports.values()), float) / sum(reports.values())
    return Sources(len(shares), float(-(shares * np.log2(shares)).sum()) + 0.0, float(shares.max()))


def trend(is_new: bool, newest: int, size: int) -> str:
    """emerging: was not there before. growing, fading: it has significantly more, or less, of the newest quarter of all texts than a
    quarter of its own (exact binomial test, 1 %). steady: neither."""
    if is_new:
        return "emerging"
    if size and binomtest(newest, size, NEWEST).pvalue < SIGNIFICANT:
        return "growing" if newest > NEWEST * size else "fading"
    return "steady"


def characteristics(said: Iterable[Sequence[str]], lists: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """said: the words of each text; lists: name -> words. Share of the texts that say a word of a list, where it is at least 0.3."""
    wanted = {name: frozenset(words) for name, words in lists.items()}
    texts, saying = 0, Counter[str]()
    for words in said:
        texts += 1
        saying.update(name for name, of_list in wanted.items() if not of_list.isdisjoint(words))
    return {name: saying[name] / texts for name in wanted if texts and saying[name] >= SHARE_MIN * texts}


def silhouettes(points: Floats, clusters: Clusters) -> Floats:
    """(k,): of each pattern the mean of its texts' simplified silhouettes (Hruschka et al. 2004): (b - a) / max(a, b) of the distances,
    1 - cosine, to the nearest other centroid and to its own [-1..1]; 0 where there is no other."""
    count = len(clusters.centroids)
    if count < 2:
        return np.zeros(count)
    of_one = clusters.labels >= 0
    points, labels = points[of_one], clusters.labels[of_one]
    apart = 1 - points @ clusters.centroids.T
    rows = np.arange(len(points))
    own = apart[rows, labels].copy()
    apart[rows, labels] = np.inf
    other = apart.min(axis=1)
    each = (other - own) / np.maximum(np.maximum(own, other), 1e-12)
    return np.bincount(labels, each, count) / np.maximum(1, np.bincount(labels, minlength=count))


def confidence(silhouette: float, stability: float, size: int) -> float:
    """[0..1]: stability · (1 + silhouette) / 2 · (1 - 1/size); 0 below three texts. Each is what another one can't make up for: that it is
    found again, that it stands apart, that it is of many."""
    if size < SIZE_MIN:
        return 0.0
    return stability * (1 + silhouette) / 2 * (1 - 1 / size)


def said_by(texts: Sequence[Mapping[str, int]]) -> Counter[str]:
    """node -> reports, of several texts together."""
    total: Counter[str] = Counter()
    for one in texts:
        total.update(one)
    return total
