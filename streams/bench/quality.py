"""How good what we find is, on public texts with known answers."""

from __future__ import annotations

import multiprocessing
import random
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from streams.agents import s4_near
from streams.bench.gold import Kinds, Pairs, galaxy_kinds, galaxy_pairs
from streams.codec import decoder, encoder
from streams.domain.near import COSINE_MIN, Vector, cosine, freeze, vector
from streams.domain.patterns import find
from streams.domain.sample import CHARACTERS_MAX
from streams.domain.shape import CONTENT_MAX
from streams.domain.sketch import Sketch, bands, sketch
from streams.runtime.stage import Batch, Context, Record
from streams.runtime.store import Store, new_batch
from streams.topology import load

BATCH = 500  # texts
Found = set[tuple[int, int]]


def bench_quality(sizes: Sequence[int], say: Callable[[str], None]) -> dict[str, Any]:
    """near_duplicate_*: of descriptions in different galaxies with the same id; named_*: or the same name. windows: what one pass costs of
    so many texts."""
    found: dict[str, Any] = {}
    for prefix, by_name in (("near_duplicate", False), ("named", True)):
        say(f"galaxies, same {'id or name' if by_name else 'id'} …")
        gold = galaxy_pairs(by_name)
        for name, value in near_duplicates(gold).items():
            found[f"{prefix}_{name}"] = value
    say("galaxies, which is it of …")
    found |= patterns(galaxy_kinds())
    found["windows"] = [window_cost(size, "mixed", say) for size in sizes]
    found["windows"].append(window_cost(CHARACTERS_MAX // CONTENT_MAX, "hostile", say))
    return found


def window_cost(texts: int, kind: str, say: Callable[[str], None]) -> dict[str, Any]:
    """texts, kind, cpu_s, seconds, patterns, rss_mib: of a window in a process of its own, one thread. mixed: each text is a half of a
    description and a half of another one of the same kind; hostile: all the room there is, of as many different words as it has."""
    say(f"a window of {texts:,} texts, {kind} …")
    receive, send = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("spawn").Process(target=_window_cost, args=(texts, kind, send))
    process.start()
    send.close()
    found: dict[str, Any] = receive.recv()
    process.join()
    return found


def _mixed(texts: int) -> list[str]:
    gold, rng = galaxy_kinds(), random.Random(1)
    of_kind = defaultdict(list)
    for text, kind in zip(gold.texts, gold.kinds, strict=True):
        of_kind[kind].append(text.split())
    made = []
    for _ in range(texts):
        one, other = rng.choices(of_kind[rng.choice(gold.kinds)], k=2)
        made.append(" ".join(one[: len(one) // 2] + other[len(other) // 2 :]))
    return made


def _hostile(texts: int) -> list[str]:
    """Each said twice, so that its words are not dropped as nobody else's."""
    rng, signs = random.Random(1), "abcdefghijklmnopqrstuvwxyz0123456789"
    once = [" ".join("".join(rng.choices(signs, k=4)) for _ in range(CONTENT_MAX // 5)) for _ in range(texts // 2)]
    return [f"{said[:-3]} {again}" for said in once for again in "xy"]


def _window_cost(texts: int, kind: str, send: Any) -> None:
    said = _mixed(texts) if kind == "mixed" else _hostile(texts)
    began, began_cpu = time.monotonic(), time.process_time()
    with threadpool_limits(1):
        made = find(said, 1)
    assert made is not None
    told = {
        "texts": texts,
        "kind": kind,
        "cpu_s": time.process_time() - began_cpu,
        "seconds": time.monotonic() - began,
        "patterns": len(made.terms),
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    send.send(told)


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
    """precision, recall, f1: of the links that the stage makes of the texts, one after another. hindsight_f1: with the weights of words
    that all texts together give; candidates: share of the gold that the bands let through; all_pairs_f1: of comparing each with each,
    which no stream can. sketches_per_cpu_s, links_per_cpu_s: texts through either stage, on a real store."""
    began = time.process_time()
    sketches = [sketch(text) for text in gold.texts]
    sketched_s = time.process_time() - began
    began = time.process_time()
    streamed = _streamed(sketches)
    linked_s = time.process_time() - began
    idf = freeze(1, [one.terms for one in sketches])
    vectors = [vector(one, idf) for one in sketches]
    candidates = share_a_band(sketches)
    hindsight = {pair for pair in candidates if cosine(vectors[pair[0]], vectors[pair[1]]) >= COSINE_MIN}
    return {
        "texts": len(gold.texts),
        "pairs": len(gold.same),
        **_scores(streamed, gold),
        "hindsight_f1": _scores(hindsight, gold)["f1"],
        "candidates": len(candidates & gold.same) / len(gold.same),
        "all_pairs_f1": _scores(_all_pairs(vectors), gold)["f1"],
        "sketches_per_cpu_s": len(sketches) / sketched_s,
        "links_per_cpu_s": len(sketches) / linked_s,
    }


def _streamed(sketches: list[Sketch]) -> Found:
    """(earlier, later) as s4_near links them, in batches, its rows in RocksDB."""
    topology = load()
    stage = s4_near.stage(Context(topology, topology.agent("s4_near"), bytes(8), bytes(32)))
    encode, decode, found = encoder("sketch"), decoder("link"), set()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "rows")
        for start in range(0, len(sketches), BATCH):
            values = [
                encode(_event(number, sketches[number])) for number in range(start, min(start + BATCH, len(sketches)))
            ]
            records = [Record(start + at, 0, b"", value) for at, value in enumerate(values)]
            decided = stage.decide(store, Batch("sketches", 0, records))
            links = [decode(message["value"]) for message in decided.outputs.get("links", ())]
            found |= {(int(link["near_duplicate_of"]), int(link["artifact_id"])) for link in links}
            rows = new_batch()
            for table, changed in decided.rows.items():
                for key, row in changed.items():
                    rows.put(table.prefix + key, table.pack(row))
            store.write(rows, store.marker, "", 0)
        store.close()
    return found


def _event(number: int, of: Sketch) -> dict[str, Any]:
    return {
        "dedup_hash": number.to_bytes(40, "big"),
        "artifact_id": str(number),
        "node_id": "",
        "raw_ms": 0,
        "minima": of.minima.astype("<u4").tobytes(),
        "terms": of.terms.astype("<u4").tobytes(),
        "counts": of.counts.astype("<u2").tobytes(),
        "simulated": True,
        "input_topic": "",
        "input_partition": 0,
        "input_offset": number,
        "rule": bytes(8),
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
