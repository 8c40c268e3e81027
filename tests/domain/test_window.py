"""Windows of texts: a pattern's id lives on, what is born, merges, splits and dies is told, and who speaks of it is counted."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from streams.domain.clusters import Clusters
from streams.domain.portrait import characteristics, confidence, silhouettes, sources, trend
from streams.domain.shape import SHORT, Before, Said, Shape
from streams.domain.succession import Change, succeed
from streams.domain.window import Window, portray

SLOT_MS = 600_000
LISTS = {"security": ["exploit", "malware"], "data": ["table"]}
COMMON = ["seen", "reported", "today", "again", "team", "said", "analysts", "new", "week"]


def vocabulary(topic: str, rng: random.Random, count: int = 24) -> list[str]:
    return [f"{topic}{rng.randrange(10**6)}" for _ in range(count)]


def said(words: list[str], number: int, rng: random.Random, raw_ms: int = 0, node: str = "n1") -> Said:
    """A text of eight words of a topic and three that all use."""
    content = " ".join([*rng.sample(words, 8), *rng.sample(COMMON, 3)])
    hash_ = hashlib.blake2b(f"{number} {content}".encode(), digest_size=32).digest()
    return Said(hash_, f"a-{number}", raw_ms, content, {node: 1}, False)


def before_of(window: Window) -> list[Before]:
    found = []
    for one in window.patterns:
        hashes = one["member_hashes"]
        members = frozenset(hashes[at : at + SHORT] for at in range(0, len(hashes), SHORT))
        words = {word["words"]: word["weight"] for word in one["centroid"]}
        found.append(Before(one["pattern_id"], one["name"], one["born_ms"], Shape(words, members)))
    return found


def topic_of(pattern: dict[str, Any]) -> str:
    return pattern["terms"][0]["words"].split()[0].rstrip("0123456789")


def changes(window: Window) -> list[tuple[str, str | None]]:
    return [(change["kind"], change["other"]) for change in window.changes]


def test_a_topic_that_drifts_keeps_its_id_over_20_windows() -> None:
    """Each window a twelfth of one topic's words is replaced; after 20 windows hardly one is left. Beside it three that stay."""
    rng = random.Random(1)
    topics = {name: vocabulary(name, rng) for name in ("drift", "mail", "leak", "loader")}
    texts: list[Said] = []
    before: list[Before] = []
    ids, first_words = set(), set(topics["drift"])
    for window in range(20):
        topics["drift"] = topics["drift"][2:] + vocabulary("drift", rng, 2)
        for name, words in topics.items():
            texts += [said(words, len(texts) + n, rng) for n in range(15 if name == "drift" else 12)]
        texts = texts[-4 * 51 :]  # the last four windows
        made = portray(texts, before, window * SLOT_MS, 1, LISTS)
        (drifting,) = [one for one in made.patterns if topic_of(one) == "drift"]
        ids.add(drifting["pattern_id"])
        assert {topic_of(one) for one in made.patterns} == set(topics) and len(made.patterns) == 4
        assert window == 0 or made.changes == []
        before = before_of(made)
    assert len(ids) == 1 and not set(topics["drift"]) & first_words


@pytest.fixture
def apart() -> tuple[Window, list[Said], dict[str, list[str]], random.Random]:
    """Three topics, 30 texts of each."""
    rng = random.Random(2)
    topics = {name: vocabulary(name, rng) for name in ("mail", "leak", "loader")}
    texts = [said(words, 100 * at + n, rng) for at, words in enumerate(topics.values()) for n in range(30)]
    return portray(texts, [], 0, 1, LISTS), texts, topics, rng


def test_what_was_not_there_is_born_and_what_is_gone_has_died(apart: Any) -> None:
    window, texts, _, rng = apart
    leaks = next(one for one in window.patterns if topic_of(one) == "leak")["pattern_id"]
    assert changes(window) == [("born", None)] * 3 and {one["trend"] for one in window.patterns} == {"emerging"}
    others = [text for text in texts if "leak" not in text.content]
    fresh = vocabulary("worm", rng)

    now = portray([*others, *(said(fresh, 900 + n, rng) for n in range(30))], before_of(window), SLOT_MS, 1, LISTS)

    assert [(c["kind"], c["pattern_id"] == leaks) for c in now.changes] == [("born", False), ("died", True)]
    assert {topic_of(one): one["born_ms"] for one in now.patterns} == {"mail": 0, "loader": 0, "worm": SLOT_MS}


def test_two_patterns_that_grow_into_one_are_told_as_a_merge_and_back_as_a_split(apart: Any) -> None:
    """120 texts come that say four words of each; then they are gone."""
    window, texts, topics, rng = apart
    bridge = [said(rng.sample(topics["mail"], 4) + rng.sample(topics["leak"], 4), 1000 + n, rng) for n in range(120)]

    merged = portray([*texts, *bridge], before_of(window), SLOT_MS, 1, LISTS)
    split = portray(texts, before_of(merged), 2 * SLOT_MS, 1, LISTS)

    survivor = next(one for one in merged.patterns if topic_of(one) != "loader")
    assert len(merged.patterns) == 2 and changes(merged) == [("merged", survivor["pattern_id"])]
    assert len(split.patterns) == 3 and changes(split) == [("split", survivor["pattern_id"])]


def test_the_order_of_the_texts_changes_no_byte(apart: Any) -> None:
    window, texts, _, rng = apart
    assert window.patterns == portray(rng.sample(texts, len(texts)), [], 0, 1, LISTS).patterns


def test_another_deployments_hashes_change_nothing_but_the_ids(apart: Any) -> None:
    """The same texts under another key: the same groups, named and judged alike."""
    _, texts, _, _ = apart
    told = []
    for key in (b"one", b"other"):
        hashed = [t._replace(hash=hashlib.blake2b(t.hash, key=key, digest_size=32).digest()) for t in texts]
        patterns = portray(hashed, [], 1000, 1, LISTS).patterns
        told.append([{k: v for k, v in one.items() if k not in ("pattern_id", "member_hashes")} for one in patterns])
    assert told[0] == told[1] and told[0]


def test_a_campaign_of_one_node_has_no_entropy(apart: Any) -> None:
    _, texts, _, _ = apart
    spread = [t._replace(nodes={f"n{n % 8}": 1}) if "mail" in t.content else t for n, t in enumerate(texts)]

    found = {topic_of(one): one for one in portray(spread, [], 0, 1, LISTS).patterns}

    assert (found["leak"]["nodes"], found["leak"]["source_entropy_bits"]) == (1, 0.0)
    assert found["mail"]["nodes"] == 8 and 2.9 < found["mail"]["source_entropy_bits"] <= 3


@pytest.mark.parametrize("texts", [[], ["one"] * 5, ["?!"] * 20])
def test_a_window_without_patterns_ends_those_that_there_were(apart: Any, texts: list[str]) -> None:
    window = apart[0]
    few = [Said(bytes([n]) * 32, str(n), 0, text, {"n": 1}, False) for n, text in enumerate(texts)]

    now = portray(few, before_of(window), SLOT_MS, 1, LISTS)

    assert now.patterns == [] and changes(now) == [("died", None)] * 3


# -- what a pattern is said to be --------------------------------------------


def shape(words: Iterable[str], members: Iterable[int]) -> Shape:
    weights = dict.fromkeys(words, 1.0)
    return Shape({word: 1 / len(weights) ** 0.5 for word in weights}, frozenset(bytes([n]) for n in members))


def test_shapes_are_matched_as_a_whole_and_not_first_come() -> None:
    """The first of now is a little nearer to the first of before, which the second needs."""
    before = [shape("abcd", range(4)), shape("abce", range(4, 8))]
    now = [shape("abc", range(4, 8)), shape("abcd", range(4))]
    assert succeed(before, now).same == {0: 1, 1: 0}


def test_a_few_old_texts_among_many_new_ones_are_no_split() -> None:
    old = shape(["mail"], range(20))
    told = succeed([old], [shape(["mail"], range(10)), shape(["leak"], [*range(10, 15), *range(100, 120)])])
    assert [(change.kind, change.of) for change in told.changes] == [("born", 1)]


def test_a_pattern_whose_members_went_nowhere_has_died() -> None:
    told = succeed([shape("ab", [1, 2]), shape("cd", [3, 4])], [shape("ab", [1, 2, 5])])
    assert (told.same, told.changes) == ({0: 0}, [Change("died", 1)])


def test_sources_are_counted_by_reports() -> None:
    assert sources({"a": 3, "b": 1}) == (2, pytest.approx(0.811278, abs=1e-6), 0.75)


@pytest.mark.parametrize(
    ("newest", "size", "told"), [(25, 100, "steady"), (40, 100, "growing"), (10, 100, "fading"), (2, 4, "steady")]
)
def test_growth_is_what_chance_does_not_explain(newest: int, size: int, told: str) -> None:
    assert (trend(False, newest, size), trend(True, newest, size)) == (told, "emerging")


def test_a_characteristic_is_a_list_of_which_enough_texts_say_a_word() -> None:
    texts = [frozenset({"malware", "x"}), frozenset({"table"}), frozenset({"exploit"}), frozenset({"y"})]
    assert characteristics(texts, LISTS) == {"security": 0.5}


def test_confidence_is_zero_below_three_texts_and_grows_with_each_of_its_parts() -> None:
    assert confidence(1.0, 1.0, 2) == 0.0
    assert confidence(0.5, 0.8, 10) == pytest.approx(0.8 * 0.75 * 0.9)


def test_silhouettes_tell_the_group_that_stands_apart_from_those_that_touch() -> None:
    points = np.array([[1, 0, 0]] * 3 + [[0, 1, 0.1]] * 3 + [[0, 1, -0.1]] * 3, float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = np.repeat([0, 1, 2], 3)
    centroids = points[[0, 3, 6]] + np.array([[0, 0.02, 0], [0, 0, -0.05], [0, 0, 0.05]])
    found = silhouettes(
        points, Clusters(labels, centroids / np.linalg.norm(centroids, axis=1, keepdims=True), np.ones(3), {})
    )
    assert found[0] > 0.9 > found[1] > 0
