"""Texts as points: what they say, weighted, in the directions in which they differ most. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.domain.phrases import Numbered, Numbers, counted
from streams.domain.sketch import words

DIRECTIONS = 100
WORDS_MAX = 30_000  # the most frequent ones
IN_TEXTS_MIN, IN_TEXTS_MIN_SHARE = 2, 0.0005
COMMON_SHARE = 0.5

Floats = npt.NDArray[np.float64]


def meant(content: str) -> list[str]:
    """Single letters and bare numbers name nothing."""
    return [word for word in words(content, whole=True) if len(word) > 1 and not word.isdigit()]


@dataclass(frozen=True)
class Weights:
    """words: of the columns, in alphabetical order; idf: ln((1 + texts) / (1 + texts that have it)) + 1; common: words of more than half of
    the texts. They say nothing where a text says anything else, or what everybody says would hide what each speaks of; of a flood they are
    all there is."""

    words: list[str]
    idf: Floats
    common: Floats  # 1 or 0

    @classmethod
    def of(cls, said: Numbered) -> Weights | None:
        """None: no two texts share a word."""
        texts, times = said.texts_with(), np.bincount(said.flat, minlength=len(said.words))
        enough = np.flatnonzero(texts >= max(IN_TEXTS_MIN, int(len(said.ends) * IN_TEXTS_MIN_SHARE))).tolist()
        most = sorted(enough, key=lambda at: (-times[at], said.words[at]))[:WORDS_MAX]
        if not most:
            return None
        kept = sorted(most, key=said.words.__getitem__)
        idf = np.log((1 + len(said.ends)) / (1 + texts[kept])) + 1
        common = (texts[kept] > COMMON_SHARE * len(said.ends)).astype(float)
        return cls([said.words[at] for at in kept], idf, common)

    def columns(self, said: Numbered) -> Numbers:
        """Of each word that was said its column, in order; -1: it has none."""
        column = {word: at for at, word in enumerate(self.words)}
        return np.array([column.get(word, -1) for word in said.words], np.int64)[said.flat]

    def weigh(self, said: Numbered) -> Any:
        """(n, words), sparse: (1 + ln count) · idf, of length 1; empty where a text has none of the words."""
        from scipy.sparse import diags
        from sklearn.preprocessing import normalize

        rows = counted(said.text_of(), self.columns(said), (len(said.ends), len(self.words))).astype(float)
        rows.data = 1 + np.log(rows.data)
        telling = rows @ diags(self.idf * (1 - self.common))
        says_no_more = np.asarray(telling.sum(axis=1)).ravel() == 0
        rows = (telling + diags(says_no_more.astype(float)) @ rows @ diags(self.idf * self.common)).tocsr()
        rows.eliminate_zeros()
        return normalize(rows)


def directions_of(rows: Any, seed: int) -> Floats:
    """(directions, words): of weighted texts, (n, words), sparse, n >= 1, the at most 100 in which they differ most (truncated SVD)."""
    from sklearn.decomposition import TruncatedSVD

    if rows.shape[1] <= DIRECTIONS:  # few enough as they are
        return np.eye(rows.shape[1])
    if rows.shape[0] <= DIRECTIONS:  # all in which they differ at all
        return np.asarray(np.linalg.svd(rows.toarray(), full_matrices=False)[2])
    return np.asarray(TruncatedSVD(DIRECTIONS, random_state=seed).fit(rows).components_)
