"""How good what we find is, on public texts with known answers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from streams.bench.gold import Kinds, Pairs, galaxy_kinds, galaxy_pairs
from streams.domain.near import COSINE_MIN, Vector, cosine, freeze, vector
from streams.domain.patterns import find
from streams.domain.sketch import Sketch, bands, sketch

Found = set[tuple[int, int]]


def bench_quality(say: Callable[[str], None]) -> dict[str, Any]:
    """near_duplicate_*: of descriptions in different galaxies with the same id; named_*: or the same name."""
    found: dict[str, Any] = {}
    for prefix, by_name in (("near_duplicate", False), ("named", True)):
        say(f"galaxies, same {'id or name' if by_name else 'id'} …")
        gold = galaxy_pairs(by_name)
        for name, value in near_duplicates(gold).items():
            found[f"{prefix}_{name}"] = value
    say("galaxies, which is it of …")
    return found | patterns(galaxy_kinds())


def patterns(gold: Kinds) -> dict[str, float]:
    """Of the patterns that are found in one pass, their number too, against the true kinds: normalized mutual information, adjusted Rand
    index. patterns_seeds_ari: of two seeds. patterns_cpu_s: of one pass."""
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    began = time.process_time()
    one = find(gold.texts, 1)
    took_s = time.process_time() - began
    other = find(gold.texts, 2)
    assert one is not None and other is not None
    labels = one.clusters.labels
    return {
        "patterns_texts": len(gold.texts),
        "patterns_kinds": len(set(gold.kinds)),
        "patterns_found": len(one.terms),
        "patterns_nmi": float(normalized_mutual_info_score(gold.kinds, labels)),
        "patterns_ari": float(adjusted_rand_score(gold.kinds, labels)),
        "patterns_seeds_ari": float(adjusted_rand_score(labels, other.clusters.labels)),
        "patterns_cpu_s": took_s,
    }


def near_duplicates(gold: Pairs) -> dict[str, float]:
    """precision, recall, f1 of our way; candidates: share of the gold that the bands let through; all_pairs_f1: of comparing each with
    each, which no stream can; sketches_per_cpu_s."""
    began = time.process_time()
    sketches = [sketch(text) for text in gold.texts]
    took_s = time.process_time() - began
    idf = freeze(1, [one.terms for one in sketches])
    vectors = [vector(one, idf) for one in sketches]
    candidates = share_a_band(sketches)
    ours = {pair for pair in candidates if cosine(vectors[pair[0]], vectors[pair[1]]) >= COSINE_MIN}
    return {
        "texts": len(gold.texts),
        "pairs": len(gold.same),
        **_scores(ours, gold),
        "candidates": len(candidates & gold.same) / len(gold.same),
        "all_pairs_f1": _scores(_all_pairs(vectors), gold)["f1"],
        "sketches_per_cpu_s": len(sketches) / took_s,
    }


def share_a_band(sketches: list[Sketch]) -> Found:
    """Candidates, (earlier, later)."""
    seen: dict[int, list[int]] = defaultdict(list)
    found: Found = set()
    for number, one in enumerate(sketches):
        for key in () if one.is_empty else bands(one.minima).tolist():
            found.update((earlier, number) for earlier in seen[key])
            seen[key].append(number)
    return found


def _scores(found: Found, gold: Pairs) -> dict[str, float]:
    right = len(found & gold.same)
    precision, recall = right / max(1, len(found)), right / len(gold.same)
    return {"precision": precision, "recall": recall, "f1": 2 * right / (len(found) + len(gold.same))}


def _all_pairs(vectors: list[Vector]) -> Found:
    from scipy.sparse import csr_matrix

    terms, columns = np.unique(np.concatenate([one.terms for one in vectors]), return_inverse=True)
    ends = np.cumsum([0, *(len(one.terms) for one in vectors)])
    rows = csr_matrix((np.concatenate([one.weights for one in vectors]), columns, ends), (len(vectors), len(terms)))
    alike = (rows @ rows.T).tocoo()
    kept = (alike.data >= COSINE_MIN) & (alike.row < alike.col)
    return set(zip(alike.row[kept].tolist(), alike.col[kept].tolist(), strict=True))
