"""What is kept of a text to find its near-duplicates: shingles' minima and weighted words, whatever the text is."""

from __future__ import annotations

import base64
import hashlib
import math
import random

import numpy as np
import pytest

from streams.domain.near import NO_IDF, cosine, freeze, vector
from streams.domain.sketch import BANDS, PERMUTATIONS, ROWS, bands, similarity, sketch, words

WORDS = [hashlib.sha256(b"%d" % number).hexdigest()[:7] for number in range(5_000)]
GOLDEN = "9e94a873bd5a5545dcc7dead651e7f39d8e1e3547cc18a72d32efbb146c7f531"


def text(rng: random.Random, length: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(length)]


def shingles(said: list[str]) -> set[tuple[str, ...]]:
    return {tuple(said[at : at + 5]) for at in range(len(said) - 4)}


def pair(rng: random.Random, changed: int) -> tuple[str, str, float]:
    """Two texts of 100 words, so many of them replaced, and the true Jaccard similarity of their shingles."""
    one = text(rng, 100)
    other = list(one)
    for at in rng.sample(range(100), changed):
        other[at] = rng.choice(WORDS)
    a, b = shingles(one), shingles(other)
    return " ".join(one), " ".join(other), len(a & b) / len(a | b)


@pytest.mark.parametrize(
    "as_it_came",
    [
        "The Loader drops A new payload",
        "  the loader\n drops a   new payload ",
        "<p>The <b>loader</b> drops a new payload</p>",
        "The loader drops (https://example.org/x?y=1) a new payload",
        "Ｔｈｅ loader, drops: a new payload!",
    ],
)
def test_case_space_markup_addresses_and_signs_are_not_what_is_said(as_it_came: str) -> None:
    expected = sketch("the loader drops a new payload")
    assert np.array_equal(sketch(as_it_came).minima, expected.minima)
    assert np.array_equal(sketch(as_it_came).terms, expected.terms)


def test_the_share_of_equal_minima_estimates_the_jaccard_similarity() -> None:
    """200 pairs: the mean error is 0 within 3 standard errors, and no single one is off by more than 5."""
    rng = random.Random(1)
    pairs = [pair(rng, rng.randrange(25)) for _ in range(200)]
    errors = [similarity(sketch(a).minima, sketch(b).minima) - true for a, b, true in pairs]
    one = math.sqrt(0.25 / PERMUTATIONS)
    assert abs(np.mean(errors)) < 3 * one / math.sqrt(len(pairs))
    assert max(map(abs, errors)) < 5 * one


@pytest.mark.parametrize(("low", "high"), [(0.15, 0.35), (0.35, 0.5), (0.5, 0.7)])
def test_pairs_share_a_band_as_often_as_the_curve_says(low: float, high: float) -> None:
    """1 - (1 - J³)⁴², within 4 standard errors."""
    rng, expected, seen = random.Random(2), list[float](), list[bool]()
    while len(seen) < 200:
        a, b, true = pair(rng, rng.randrange(4, 22))
        if low <= true < high:
            expected.append(1 - (1 - true**ROWS) ** BANDS)
            seen.append(bool(set(bands(sketch(a).minima).tolist()) & set(bands(sketch(b).minima).tolist())))
    error = math.sqrt(sum(p * (1 - p) for p in expected)) / len(seen)
    assert np.mean(seen) == pytest.approx(np.mean(expected), abs=4 * error + 0.01)


def test_a_sketch_is_the_same_on_every_machine_and_in_every_release() -> None:
    """Links that were made stay explainable: these bytes change with a new method's name only."""
    made = sketch("APT30 used a loader that spreads over removable drives, 例えば USB メモリ.")
    data = b"".join(part.astype(part.dtype.newbyteorder("<")).tobytes() for part in made)
    assert hashlib.sha256(data + bands(made.minima).astype("<u8").tobytes()).hexdigest() == GOLDEN


STRANGE = {
    "one word": "loader",
    "one letter": "a",
    "one repeated character": "a" * 100_000,
    "no word at all": "?!… ///",
    "a mebibyte": " ".join(WORDS[number % 4_999] for number in range(131_072)),
    "mixed scripts": "Группа APT30 使用了一个加载程序 и ويستخدم محملا",
    "code": "for (int i = 0; i < n; ++i) { a[i] <<= 1; }",
    "base64": base64.b64encode(bytes(range(256)) * 40).decode(),
    "HTML": "<html><body>" + "<p class='x'>seen in the wild</p>" * 50 + "</body></html>",
    "lone surrogate": "loader \ud800 x",
}


@pytest.mark.parametrize("name", STRANGE)
def test_every_text_has_a_sketch_and_is_like_itself(name: str) -> None:
    """Without a word it is empty, and like nothing; else its cosine with itself is 1."""
    made = sketch(STRANGE[name])
    assert made.is_empty == (name == "no word at all")
    assert made.minima.shape == (PERMUTATIONS,) and bands(made.minima).shape == (BANDS,)
    assert list(made.terms) == sorted(set(made.terms.tolist())) and (made.counts >= 1).all()
    assert cosine(vector(made, NO_IDF), vector(made, NO_IDF)) == pytest.approx(0.0 if made.is_empty else 1.0)


def test_scripts_without_spaces_are_compared_by_neighbours() -> None:
    """One character in twenty changed is a near-duplicate, not another word."""
    one, other = "攻撃者は新しい読み込みプログラムを配布している", "攻撃者は新しい読み込みプログラムを販売している"
    assert words(one)[:3] == ["攻撃", "撃者", "者は"]
    assert cosine(vector(sketch(one), NO_IDF), vector(sketch(other), NO_IDF)) > 0.7


def test_a_word_weighs_by_how_few_texts_have_it() -> None:
    """ln((1 + n) / (1 + documents)) + 1; a word that one text had, or none, the most."""
    texts = [sketch(f"common w{number // 2} x{number}") for number in range(10)]
    idf = freeze(1, [one.terms for one in texts])
    weights = [idf.weights(sketch(word).terms)[0] for word in ("common", "w3", "x3", "unheard")]
    assert weights == pytest.approx([1.0, math.log(11 / 3) + 1, math.log(11) + 1, math.log(11) + 1])


def test_the_same_500_words_in_every_text_make_no_near_duplicates() -> None:
    """Padding is what everybody says, so it weighs least: of 100 texts of 60 words of their own, no two are linked."""
    rng = random.Random(3)
    padding = " ".join(text(rng, 500))
    made = [sketch(f"{padding} {' '.join(f'own{number}x{at}' for at in range(60))}") for number in range(100)]
    vectors = [vector(one, freeze(1, [one.terms for one in made])) for one in made[:30]]
    assert max(cosine(a, b) for at, a in enumerate(vectors) for b in vectors[:at]) < 0.7
