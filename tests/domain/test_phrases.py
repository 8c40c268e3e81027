"""Counting by numbers gives what counting by hand gives; what is kept of a window hangs on nothing but its texts."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from streams.domain import phrases
from streams.domain.phrases import Numbered, count_phrases
from streams.domain.sample import Lowest
from streams.domain.shape import Said


def by_hand(texts: list[list[str]], known: list[str]) -> dict[str, list[int]]:
    """phrase -> how often each text says it; of known words, in two texts or more."""
    each = []
    for text in texts:
        runs = [text[at : at + length] for length in (1, 2, 3) for at in range(len(text) - length + 1)]
        each.append(Counter(" ".join(run) for run in runs if set(run) <= set(known)))
    every = {phrase for counts in each for phrase in counts}
    return {p: [counts[p] for counts in each] for p in every if sum(p in counts for counts in each) >= 2}


def counted(texts: list[list[str]], known: list[str]) -> dict[str, list[int]]:
    said = Numbered.of(texts)
    columns = np.array([known.index(word) if word in known else -1 for word in said.words], np.int64)[said.flat]
    counts, made_of = count_phrases(said, columns, len(known))
    names = [" ".join(known[at] for at in columns if at >= 0) for columns in made_of.tolist()]
    return {name: counts[:, [at]].toarray()[:, 0].tolist() for at, name in enumerate(names)}


def test_phrases_are_counted_as_by_hand() -> None:
    """400 draws of up to six texts, some empty, of six words of which one is unknown."""
    rng, compared = random.Random(1), 0
    for _ in range(400):
        texts = [rng.choices("abcdef", k=rng.randrange(9)) for _ in range(rng.randrange(1, 7))]
        known = sorted(rng.sample("abcde", rng.randrange(1, 6)))
        assert counted(texts, known) == by_hand(texts, known)
        compared += len(by_hand(texts, known))
    assert compared > 500
    print(f"\n{compared} phrases counted twice")


def test_of_too_many_phrases_the_most_frequent_are_kept_of_equals_the_shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phrases, "PHRASES_MAX", 3)
    assert list(counted([["b", "a", "a"], ["b", "a", "c"]], ["a", "b", "c"])) == ["a", "b", "b a"]


def test_the_words_of_a_text_come_back_in_order() -> None:
    said = Numbered.of([["x", "y", "x"], [], ["y"]])
    assert [said.said_in(text) for text in range(3)] == [["x", "y", "x"], [], ["y"]]
    assert said.texts_with().tolist() == [1, 2]


def text(hash_: int, length: int) -> Said:
    return Said(hash_.to_bytes(32, "big"), f"a{hash_}", 0, "x" * length, {}, False)


def test_what_is_kept_hangs_on_no_order_and_stays_within_both_bounds() -> None:
    """100 orders of 50 texts, of 1 to 100 characters: the lowest hashes of which no 21st and no 500th character is needed."""
    rng = random.Random(2)
    texts = [text(number, rng.randrange(1, 100)) for number in range(50)]
    kept, characters = [], 0
    for one in texts[:20]:
        characters += len(one.content)
        if characters > 500:
            break
        kept.append(one.artifact_id)
    for _ in range(100):
        rng.shuffle(texts)
        lowest = Lowest(20, 500)
        for one in texts:
            lowest.add(one)
            lowest.reported(one.hash, "n1")
            lowest.reported(one.hash, "n2")
        found = lowest.texts()
        assert ([one.artifact_id for one in found], lowest.of) == (kept, 50)
        assert all(one.nodes == {"n1": 1, "n2": 1} for one in found)


def test_one_text_that_is_larger_than_all_the_room_leaves_none() -> None:
    lowest = Lowest(20, 500)
    lowest.add(text(1, 501))
    lowest.add(text(0, 10))
    assert [one.artifact_id for one in lowest.texts()] == ["a0"]
