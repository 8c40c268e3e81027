"""Groups of points on the unit sphere, and how many there are. Pure; the same points and seed give the same groups.

Too many small groups first (MiniBatchKMeans), then the two whose union costs least are made one again and again (Ward), then each point
goes to the nearest centroid until nothing moves. How many: the finest cut of which every group is found again with other seeds, by the
measure of Hennig 2007: a mean Jaccard similarity of at least 0.8, between his "stable" (0.75: chance cuts one small window in forty
once too often) and "highly stable" (0.85, at which half of the real windows of 80 texts were one). What the least sure group keeps from
being cut off, and is surer than any, near copies within a larger group, is one of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

FINEST = 500  # groups at the most
RUNS = 8  # with other seeds
SAMPLE = 1_000  # points that runs are compared on
STABLE = 0.8  # Jaccard similarity of a group and the most similar one of another run, on average of the runs
COPIES_ALIKE = 0.9  # mean cosine of near copies to their middle
COPIES_STABLE = 0.9  # as STABLE
COPIES_MIN = 3  # of the sample's points
ROUNDS = 30  # until nothing moves, or so many


class Clusters(NamedTuple):
    """labels: (n,), 0 the largest group; centroids: (k, d), of length 1; stability: (k,), how well each group is found again [0..1];
    tried: k -> the least of these."""

    labels: Labels
    centroids: Floats
    stability: Floats
    tried: dict[int, float]


def cluster(points: Floats, seed: int) -> Clusters:
    """points: (n, d), n >= 1, rows of length 1. Equal points are one that weighs more: else a flood of one text would leave no room for
    groups among the others."""
    distinct, which, weights = _distinct(points)
    runs = [dict(_cuts(distinct, weights, seed + run)) for run in range(1 + RUNS)]
    # every so manieth point: the order of points says nothing, or a caller would have to shuffle them
    sample = slice(None, None, max(1, -(-len(distinct) // SAMPLE)))
    settled = {
        k: [_settled(distinct[sample], weights[sample], run[k][sample])[0] for run in runs]
        for k in sorted(set.intersection(*map(set, runs)))
        if k > 1
    }
    found = {k: _found_again(one, others) for k, (one, *others) in settled.items()}
    tried = {k: float(each.min()) for k, each in found.items()}
    k = max((k for k, worst in tried.items() if worst >= STABLE), default=1)
    labels, centroids = _settled(distinct, weights, runs[0].get(k, np.zeros(len(distinct), np.int64)))
    stability = _found_again(labels[sample], settled[k][1:], len(centroids)) if k > 1 else np.ones(1)
    finer = {number: (settled[number][0], each) for number, each in found.items() if number > k}
    for middle, sure in near_copies(distinct[sample], labels[sample], finer):
        centroids, stability = np.vstack([centroids, middle]), np.append(stability, sure)
    if len(centroids) > labels.max() + 1:
        labels = np.argmax(distinct @ centroids.T, axis=1)
    sizes = np.bincount(labels, weights, len(centroids))
    order = np.argsort(-sizes, kind="stable")
    labels, kept = np.argsort(order)[labels], order[: np.count_nonzero(sizes)]
    return Clusters(labels[which], centroids[kept], stability[kept], tried)


def near_copies(
    points: Floats, labels: Labels, finer: Mapping[int, tuple[Labels, Floats]]
) -> Iterator[tuple[Floats, float]]:
    """(middle, stability) of groups that are less than half of the group they lie in. finer: cuts, (labels, stability of each group), the
    coarsest first."""
    taken = np.zeros(len(points), bool)
    for cut, stability in finer.values():
        for group in np.flatnonzero(stability >= COPIES_STABLE):
            mine = cut == group
            middle = points[mine].mean(axis=0)
            alike = float(np.linalg.norm(middle))  # of points of length 1
            if mine.sum() < COPIES_MIN or alike < COPIES_ALIKE or (mine & taken).any():
                continue
            around = np.argmax(np.bincount(labels[mine]))
            if 2 * mine.sum() < np.count_nonzero(labels == around):
                taken |= mine
                yield middle / alike, float(stability[group])


def _distinct(points: Floats) -> tuple[Floats, Labels, Floats]:
    """The different points in the order in which they come, of each point which one it is, and how many each is."""
    rows = np.ascontiguousarray(points.round(9) + 0.0).view(np.dtype((np.void, points.itemsize * points.shape[1])))
    _, first, which, counts = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)
    return points[first[order]], np.argsort(order)[which.ravel()], counts[order].astype(float)


def _found_again(one: Labels, others: Sequence[Labels], groups: int = 0) -> Floats:
    """Of each group of the first, the mean of the Jaccard similarity to the most similar one of each other run [0..1]; 0 of one that has
    no points there."""
    found = np.zeros(max(groups, int(one.max()) + 1))
    for other in others:
        both = np.zeros((len(found), other.max() + 1))
        np.add.at(both, (one, other), 1)
        alike = both / (both.sum(axis=1, keepdims=True) + both.sum(axis=0, keepdims=True) - both)
        found += alike.max(axis=1) / len(others)
    return found


def _cuts(points: Floats, weights: Floats, seed: int) -> Iterator[tuple[int, Labels]]:
    """(k, labels), from the most groups to two."""
    from sklearn.cluster import MiniBatchKMeans

    most = min(FINEST, int(np.ceil(np.sqrt(len(points) / 2))))
    if most < 2:
        return
    made = MiniBatchKMeans(most, random_state=seed, n_init=3, batch_size=1024).fit(points)
    labels = np.unique(made.labels_, return_inverse=True)[1]
    yield int(labels.max()) + 1, labels
    yield from _ward(points, weights, labels)


def _ward(points: Floats, weights: Floats, labels: Labels) -> Iterator[tuple[int, Labels]]:
    """Ward 1963: each time the two groups whose union adds least to the squared distances from the centroids."""
    sizes = np.bincount(labels, weights)
    means = _sums(points, weights, labels, len(sizes)) / sizes[:, None]
    group = np.arange(len(sizes))  # of each first group: the one it is in now
    while len(sizes) > 2:
        squares = (means**2).sum(axis=1)
        apart = squares[:, None] + squares - 2 * means @ means.T
        cost = apart * (sizes[:, None] * sizes) / (sizes[:, None] + sizes)
        np.fill_diagonal(cost, np.inf)
        into, gone = sorted(int(at) for at in np.unravel_index(np.argmin(cost), cost.shape))
        together = sizes[into] + sizes[gone]
        means[into] = (means[into] * sizes[into] + means[gone] * sizes[gone]) / together
        sizes[into] = together
        means, sizes = np.delete(means, gone, axis=0), np.delete(sizes, gone)
        group[group == gone] = into
        group[group > gone] -= 1
        yield len(sizes), group[labels]


def _settled(points: Floats, weights: Floats, labels: Labels) -> tuple[Labels, Floats]:
    """Spherical k-means from there (Dhillon and Modha 2001); a group that loses all its points is none any more."""
    labels = np.unique(labels, return_inverse=True)[1]
    centroids = _directions(points, weights, labels)
    for _ in range(ROUNDS):
        nearest = np.argmax(points @ centroids.T, axis=1)
        if np.array_equal(nearest, labels):
            break
        labels = np.unique(nearest, return_inverse=True)[1]
        centroids = _directions(points, weights, labels)
    return labels, centroids


def _directions(points: Floats, weights: Floats, labels: Labels) -> Floats:
    sums = _sums(points, weights, labels, int(labels.max()) + 1)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def _sums(points: Floats, weights: Floats, labels: Labels, count: int) -> Floats:
    from scipy.sparse import csr_matrix

    numbers = np.arange(len(points))
    return np.asarray(csr_matrix((weights, (labels, numbers)), (count, len(points))) @ points)
