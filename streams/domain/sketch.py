"""What is kept of a text to find others that say nearly the same: its words with their counts, and 128 minima of its shingles. Pure.

Shingles are 5 words, 5 characters in texts below 30 words: in a short one a changed word would leave no 5 words alone. Minima: MinHash
(Broder 1997) with multiply-shift hashing (Dietzfelbinger et al. 1997); the share of equal ones estimates the shingles' Jaccard similarity.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 128
SHINGLE = 5  # words, or characters
SHORT_WORDS = 30  # below that, characters
BANDS, ROWS = 42, 3  # a pair of Jaccard J shares a band with probability 1 - (1 - J³)⁴²: .68 at .3, .996 at .5
WORD_MAX = 32  # characters; longer ones are no words (base64, hashes): taken apart
READ_MAX = 32_768  # characters of a text, twice as many of its normal form: a sign may stand for eighteen, and a MiB of them for a minute
TERMS_MAX = 8_192  # different words; of more those with the lowest hashes, which are the same ones in a similar text
AT_ONCE = 1 << 13  # shingles hashed at a time: 1 MiB of text must not take a gigabyte

Hashes = npt.NDArray[np.uint64]
Minima = npt.NDArray[np.uint32]

# scripts that put no space between words: any two neighbours are taken for one
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003ffff"
)
_WORDS = re.compile(rf"[{_UNSPACED}]+|[^\W{_UNSPACED}]+")
_NOT_SAID = re.compile(r"https?://[^\s)>\]\"']+|</?[a-z][^<>]{0,300}>")  # addresses, and tags of HTML
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


class Sketch(NamedTuple):
    """terms: hashes of different words, ascending; counts: of each [1..]; minima: (128,)."""

    terms: npt.NDArray[np.uint32]
    counts: npt.NDArray[np.uint32]
    minima: Minima

    @property
    def is_empty(self) -> bool:
        """A text without a word is like no other."""
        return not len(self.terms)


def words(content: str, whole: bool = False) -> list[str]:
    """Of a text as it came, in order; case, markup and addresses don't count. whole: what is no word is left out, not taken apart."""
    said = " ".join(content.split())[:READ_MAX]  # or white space would hide a text behind what is read
    normal = unicodedata.normalize("NFKC", said)[: 2 * READ_MAX].casefold()
    text = _NOT_SAID.sub(" ", normal)
    found: list[str] = []
    for word in _WORDS.findall(text):
        if _IS_UNSPACED.match(word):
            found += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        elif len(word) > WORD_MAX:
            found += () if whole else [word[at : at + SHINGLE] for at in range(0, len(word), SHINGLE)]
        else:
            found.append(word)
    return found


def sketch(content: str) -> Sketch:
    """Of an artifact's content, as it came."""
    said = words(content)
    hashes = np.fromiter(map(_hash, said), np.uint64, len(said))
    terms, counts = np.unique((hashes >> np.uint64(32)).astype(np.uint32), return_counts=True)
    if len(said) < SHORT_WORDS:
        plain = np.frombuffer(" ".join(said).encode("utf-32-le"), np.uint32).astype(np.uint64)
        shingles = _shingles(_mixed(plain))
    else:
        shingles = _shingles(hashes)
    return Sketch(terms[:TERMS_MAX], counts[:TERMS_MAX].astype(np.uint32), _minima(np.unique(shingles)))


def similarity(one: Minima, other: Minima) -> float:
    """Estimated Jaccard similarity of the shingles [0..1]; its standard error is at most 0.045."""
    return float(np.mean(one == other))


def bands(minima: Minima) -> Hashes:
    """(42,): a key a band; texts with one in common are candidates."""
    rows = minima[: BANDS * ROWS].reshape(BANDS, ROWS).astype(np.uint64)
    with np.errstate(over="ignore"):
        return _mixed(
            (rows * _FACTORS[:ROWS]).sum(axis=1, dtype=np.uint64) + np.arange(BANDS, dtype=np.uint64) * _FACTORS[ROWS]
        )


@lru_cache(1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def _shingles(parts: Hashes) -> Hashes:
    """Of each five in a row one hash; all of them, where there are fewer."""
    length = max(1, len(parts) - SHINGLE + 1)
    size = min(SHINGLE, len(parts))
    found = np.zeros(length if size else 0, np.uint64)
    with np.errstate(over="ignore"):
        for at in range(size):
            found += parts[at : at + length] * _FACTORS[at]
    return _mixed(found)


def _minima(shingles: Hashes) -> Minima:
    least = np.full(PERMUTATIONS, np.iinfo(np.uint32).max, np.uint32)
    with np.errstate(over="ignore"):
        for start in range(0, len(shingles), AT_ONCE):
            hashed = (shingles[start : start + AT_ONCE, None] * _A + _B) >> np.uint64(32)
            np.minimum(least, hashed.min(axis=0).astype(np.uint32), out=least)
    return least


def _mixed(values: Hashes) -> Hashes:
    """The finalizer of SplitMix64: neighbours become strangers."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _constants(name: bytes, count: int) -> Hashes:
    """The same everywhere, for ever: 64 bits each, odd."""
    drawn = (hashlib.blake2b(b"%b %d" % (name, n), digest_size=8).digest() for n in range(count))
    return np.array([int.from_bytes(data, "little") | 1 for data in drawn], np.uint64)


_A, _B = _constants(b"multiply", PERMUTATIONS), _constants(b"shift", PERMUTATIONS)
_FACTORS = _constants(b"position", SHINGLE)
