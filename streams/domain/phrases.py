"""Words as numbers: counting tens of millions of them, and phrases of them, in bounded memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

PHRASE_MAX = 3  # words
PHRASES_MAX = 150_000  # the most frequent ones
IN_TEXTS_MIN = 2

Numbers = npt.NDArray[np.int64]


class Numbered(NamedTuple):
    """words: each different one once; flat: the numbers in `words` of all that the texts say, one text behind the other; ends: (n,), where
    in `flat` each text ends."""

    words: list[str]
    flat: npt.NDArray[np.int32]
    ends: Numbers

    @classmethod
    def of(cls, texts: Iterable[list[str]]) -> Numbered:
        number: dict[str, int] = {}
        parts = [
            np.array([number.setdefault(word, len(number)) for word in text], np.int32) for text in texts
        ]  # an array a text: lists of as many would take twice the memory
        flat = np.concatenate([np.zeros(0, np.int32), *parts])
        return cls(list(number), flat, np.cumsum([len(part) for part in parts], dtype=np.int64))

    def said_in(self, text: int) -> list[str]:
        """The words of one text, in order."""
        start = self.ends[text - 1] if text else 0
        return [self.words[number] for number in self.flat[start : self.ends[text]].tolist()]

    def text_of(self) -> Numbers:
        """Of each word in `flat` the text that says it."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))

    def texts_with(self) -> Numbers:
        """Of each different word in how many texts it is."""
        counts = counted(self.text_of(), self.flat, (len(self.ends), len(self.words)))
        return np.bincount(counts.indices, minlength=len(self.words))


def counted(rows: Numbers, columns: Any, shape: tuple[int, int]) -> Any:
    """(rows, columns), sparse: how often each pair is there. A column below 0 is none."""
    from scipy.sparse import csr_matrix

    there = columns >= 0
    return csr_matrix((np.ones(int(there.sum()), np.int64), (rows[there], columns[there])), shape)


def count_phrases(said: Numbered, columns: Numbers, width: int) -> tuple[Any, Numbers]:
    """((texts, phrases), sparse: how often each is said; (phrases, 3): its columns, -1 behind a shorter one). columns: of each word of
    `said.flat`, below `width`; -1: no phrase goes over it. Those in at least two texts; of more than 150,000 the most frequent, shorter and
    alphabetically earlier ones first."""
    texts, base = said.text_of(), width + 1
    every, times = zip(*(_repeated(codes) for codes in _phrases(texts, columns, base)), strict=True)
    phrases, often = np.concatenate(every), np.concatenate(times)  # ascending: longer ones have larger codes
    phrases = np.sort(phrases[np.argsort(-often, kind="stable")[:PHRASES_MAX]])
    counts = sum(
        counted(texts[: len(codes)], _found(phrases, codes), (len(said.ends), len(phrases)))
        for codes in _phrases(texts, columns, base)
    )
    in_texts = np.bincount(counts.indices, minlength=len(phrases)) >= IN_TEXTS_MIN
    return counts[:, in_texts], _taken_apart(phrases[in_texts], base)


def _phrases(texts: Numbers, columns: Numbers, base: int) -> Iterator[Numbers]:
    """Of each length, at each word the code of the phrase that begins there; 0: none. A number whose digits are the columns, from 1."""
    codes = columns + 1
    yield codes
    for length in range(2, PHRASE_MAX + 1):
        before, last = codes[:-1], columns[length - 1 :] + 1
        is_one = (before > 0) & (last > 0) & (texts[length - 1 :] == texts[: len(last)])
        codes = np.where(is_one, before * base + last, 0)
        yield codes


def _repeated(codes: Numbers) -> tuple[Numbers, Numbers]:
    """(codes that are there twice or more, ascending; how often)."""
    every, times = np.unique(codes, return_counts=True)
    kept = (every > 0) & (times >= IN_TEXTS_MIN)
    return every[kept], times[kept]


def _found(phrases: Numbers, codes: Numbers) -> Numbers:
    """Where in `phrases`, ascending, each is; -1: nowhere."""
    if not len(phrases):
        return np.full(len(codes), -1)
    at = np.minimum(np.searchsorted(phrases, codes), len(phrases) - 1)
    return np.where(phrases[at] == codes, at, -1)


def _taken_apart(codes: Numbers, base: int) -> Numbers:
    """(n, 3): the columns that each is made of, first to last."""
    parts = np.full((len(codes), PHRASE_MAX), -1, np.int64)
    length = 1 + sum((codes >= base**power).astype(np.int64) for power in range(1, PHRASE_MAX))
    for at in range(PHRASE_MAX):
        power = length - 1 - at
        inside = power >= 0
        parts[inside, at] = codes[inside] // base ** power[inside] % base - 1
    return parts
