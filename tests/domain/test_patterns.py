"""What many texts speak of: groups, their names, and why a text is in one, exactly."""

from __future__ import annotations

import random

import numpy as np
import pytest

from streams.domain.clusters import cluster
from streams.domain.patterns import TEXTS_MIN, Patterns, find

TOPICS = {
    "loaders": "loader dropper payload stage binary injects process memory shellcode beacon",
    "mails": "mail phishing attachment lure sender inbox spoofed macro document recipient",
    "leaks": "leak database records credentials dump forum seller breach passwords customers",
}
COMMON = "seen reported today again team said analysts new campaign week"


def texts(count: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """So many of each topic: 8 words of its own and 4 that all share; and of which topic each is."""
    found = [
        (" ".join(rng.sample(words.split(), 8) + rng.sample(COMMON.split(), 4)), topic)
        for topic, words in TOPICS.items()
        for _ in range(count)
    ]
    rng.shuffle(found)
    return [text for text, _ in found], [topic for _, topic in found]


@pytest.fixture(scope="module")
def three() -> tuple[Patterns, list[str], list[str]]:
    said, topics = texts(60, random.Random(1))
    found = find(said, 1)
    assert found is not None
    return found, said, topics


def test_three_topics_are_three_patterns_without_being_told_how_many(
    three: tuple[Patterns, list[str], list[str]],
) -> None:
    found, _, topics = three
    groups = {(label, topic) for label, topic in zip(found.clusters.labels.tolist(), topics, strict=True)}
    assert len(groups) == 3 and len(found.terms) == 3
    assert found.clusters.tried[3] == 1.0


def test_a_pattern_is_named_by_words_of_its_topic_and_not_by_what_all_say(
    three: tuple[Patterns, list[str], list[str]],
) -> None:
    found, _, topics = three
    for label, terms in enumerate(found.terms):
        (topic,) = {topics[at] for at in np.flatnonzero(found.clusters.labels == label)}
        own = set(TOPICS[topic].split())
        assert terms[0].weight == 1.0 and all(0 < one.weight <= 1 for one in terms)
        assert all(set(one.words.split()) & own for one in terms[:5])
        assert not any(set(one.words.split()) <= set(COMMON.split()) for one in terms)


def test_the_words_shares_sum_to_the_margin_for_every_text_and_pair(
    three: tuple[Patterns, list[str], list[str]],
) -> None:
    """To 1e-9, for 180 texts against each other pattern; and a text is nearest to its own."""
    found, said, _ = three
    compared = 0
    for text in range(len(said)):
        label = int(found.clusters.labels[text])
        for other in {0, 1, 2} - {label}:
            shares = found.explain(text, label, other)
            assert sum(share for _, share in shares) == pytest.approx(found.margin(text, label, other), abs=1e-9)
            assert found.margin(text, label, other) > 0
            assert {word for word, _ in shares} <= set(said[text].split())
            compared += 1
    assert compared == 360


def test_the_same_texts_and_seed_give_the_same_patterns() -> None:
    said, _ = texts(40, random.Random(2))
    one, other = find(said, 7), find(said, 7)
    assert one is not None and other is not None
    assert np.array_equal(one.clusters.labels, other.clusters.labels)
    assert np.array_equal(one.clusters.centroids, other.clusters.centroids)
    assert one.terms == other.terms


@pytest.mark.parametrize(
    ("said", "patterns"),
    [
        (["a loader drops a payload"] * (TEXTS_MIN - 1), None),
        (["?!"] * 20, None),
        ([f"w{number}a w{number}b" for number in range(20)], None),
        (["the same loader drops the same payload"] * 50, 1),
        (["loader"] * 30, 1),
        (["x" * 10_000] * 30, 1),
    ],
    ids=["fewer than ten", "no words", "no shared word", "all identical", "one word", "one repeated character"],
)
def test_what_has_no_groups_is_one_or_none(said: list[str], patterns: int | None) -> None:
    found = find(said, 1)
    assert (None if found is None else len(found.terms)) == patterns


def test_planted_groups_are_found_among_points() -> None:
    """Eight directions, 100 points about each."""
    rng = np.random.default_rng(1)
    centers = np.linalg.qr(rng.normal(size=(32, 8)))[0].T
    points = np.repeat(centers, 100, axis=0) + 0.05 * rng.normal(size=(800, 32))
    found = cluster(points / np.linalg.norm(points, axis=1, keepdims=True), 1)
    assert len({tuple(found.labels[at : at + 100]) for at in range(0, 800, 100)}) == 8
    assert len(found.centroids) == 8 and found.tried[8] == 1.0 and found.tried[9] < 0.75
