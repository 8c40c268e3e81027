"""How good what we find is, on public texts with known answers."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from streams.bench.gold import Pairs, galaxy_pairs
from streams.domain.near import COSINE_MIN, Vector, cosine, freeze, vector
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
    return found


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
