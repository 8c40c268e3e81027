"""s3_sketch and s4_near as pure functions: what repeats what, in whatever batches it comes; and how little a flood costs."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from streams.agents import s2_dedup, s3_sketch, s4_near
from streams.bench.load import T0
from streams.codec import decoder, encoder
from streams.domain.near import BAND_MAX, CANDIDATES_MAX, IDF_FIRST, LINKS_MAX
from streams.runtime.stage import Decided
from streams.topology import load
from tests.agents.test_s2_s4 import Chain, admitted

DAY_MS = 86_400_000
HORIZON_MS = load().horizon_ms
LINK, SKETCH, IDF = decoder("link"), decoder("sketch"), decoder("idf")
TEXT = """The group sends letters with an attached archive to accountants of shipping companies and asks them to open an invoice.
The archive holds a shortcut which downloads a loader from a hijacked blog; the loader looks for a bank's plug-in before it goes on, and
reports the machine's name, its language and its screen to a server in the same country as the victim."""


class Network:
    """s2, s3_sketch and s4_near, one after another."""

    def __init__(self) -> None:
        self.dedup, self.sketch, self.near = (
            Chain(s2_dedup, "s2_dedup"),
            Chain(s3_sketch, "s3_sketch"),
            Chain(s4_near, "s4_near"),
        )
        self.number = 0

    def sketches(self, *contents: str, raw_ms: int = T0, node: str = "node-1", **fields: Any) -> Decided:
        """Of these texts, in this order."""
        records = []
        for content in contents:
            records.append(admitted(self.number, node, raw_ms, content=content, **fields))
            self.number += 1
        decided = self.dedup.decide("artifacts.admitted", *records).outputs["artifacts.decided"]
        return self.sketch.decide("artifacts.decided", *((m["key"], m["value"]) for m in decided))

    def say(self, *contents: str, **how: Any) -> list[dict[str, Any]]:
        """The links that come of it."""
        return links(self.near.decide("sketches", *records(self.sketches(*contents, **how))))


def records(decided: Decided, topic: str = "sketches") -> list[tuple[bytes, bytes]]:
    return [(message["key"], message["value"]) for message in decided.outputs.get(topic, ())]


def links(decided: Decided) -> list[dict[str, Any]]:
    return [LINK(value) for _, value in records(decided, "links")]


def reworded(text: str, words: int, seed: int = 1) -> str:
    """So many of its words are others."""
    rng, said = random.Random(seed), text.split()
    for at in rng.sample(range(len(said)), words):
        said[at] = f"w{rng.randrange(10**6)}"
    return " ".join(said)


def test_a_text_with_two_other_words_is_linked_and_not_dropped() -> None:
    """Similarity, method, version and both ends are told; the later one inherits when the earlier was seen."""
    network = Network()

    assert network.say(TEXT, node="a") == []
    (link,) = network.say(reworded(TEXT, 2), raw_ms=T0 + DAY_MS, node="b")

    assert (link["node_id"], link["near_node_id"]) == ("b", "a")
    assert (link["raw_ms"], link["first_seen_ms"]) == (T0 + DAY_MS, T0)
    assert 0.9 < link["similarity"] < 1 and link["method"] == "minhash-lsh+tfidf" and link["idf_version"] == 0
    assert link["family"] == link["near_dedup_hash"] != link["dedup_hash"]


def test_what_repeats_a_repetition_is_of_the_same_family_and_as_old() -> None:
    network = Network()
    network.say(TEXT)
    once, twice = reworded(TEXT, 4, 1), reworded(reworded(TEXT, 4, 1), 4, 2)

    (first,) = network.say(once, raw_ms=T0 + DAY_MS)
    second = network.say(twice, raw_ms=T0 + 2 * DAY_MS)

    assert {link["family"] for link in second} == {first["family"]}
    assert {link["first_seen_ms"] for link in second} == {T0}


def test_another_text_is_not_linked() -> None:
    network = Network()

    assert (
        network.say(TEXT, "Quite another thing is said here, of mountains, rivers and a slow train to the sea.") == []
    )


def test_the_same_text_from_another_source_is_not_sketched_again() -> None:
    """Nor a repetition, nor an upgrade: s2 knows them."""
    network = Network()

    first = network.sketches(TEXT, source="x")
    again = network.sketches(TEXT, source="y")
    better = network.sketches(TEXT, source="x", confidence=0.99)

    assert [made.counts for made in (first, again, better)] == [{"sketched": 1}, {"not_new": 1}, {"not_new": 1}]


def test_beyond_the_horizon_nothing_is_repeated() -> None:
    network = Network()
    network.say(TEXT)

    assert len(network.say(reworded(TEXT, 2, 1), raw_ms=T0 + HORIZON_MS)) == 1
    (link,) = network.say(reworded(TEXT, 2, 3), raw_ms=T0 + HORIZON_MS + 1)
    assert link["raw_ms"] - link["first_seen_ms"] > HORIZON_MS, "through the one in between, which is remembered"
    assert network.say(reworded(TEXT, 2, 4), raw_ms=T0 + 3 * HORIZON_MS) == []


def test_what_is_forgotten_takes_no_place_of_what_is_remembered() -> None:
    """A flood beyond the horizon shares every band with a text, more than one that it repeats: only the latter is looked at."""
    network = Network()
    network.say(*(f"{TEXT} {number}" for number in range(500)))
    network.say(reworded(TEXT, 8), raw_ms=T0 + 1)
    (link,) = network.say(TEXT, raw_ms=T0 + HORIZON_MS + 1)
    assert link["near_node_id"] == "node-1" and link["raw_ms"] == T0 + HORIZON_MS + 1


@pytest.mark.parametrize("seed", range(3))
def test_where_batches_are_cut_changes_no_byte(seed: int) -> None:
    """400 texts of 200 families, over the first three versions of the IDF: at once, one by one, and cut at random."""
    rng = random.Random(seed)
    origins = [" ".join(f"t{rng.randrange(3000)}" for _ in range(60)) for _ in range(200)]
    texts = [reworded(rng.choice(origins), rng.randrange(12), number) for number in range(400)]
    sketches = records(Network().sketches(*texts))

    def run(*cuts: int) -> tuple[list[tuple[bytes, bytes]], list[tuple[bytes, bytes]], dict[tuple[str, bytes], bytes]]:
        near = Chain(s4_near, "s4_near")
        made = [
            near.decide("sketches", *sketches[a:b]) for a, b in zip((0, *cuts), (*cuts, len(sketches)), strict=True)
        ]
        outputs = [[record for one in made for record in records(one, topic)] for topic in ("links", "idf")]
        return outputs[0], outputs[1], near.rows.data

    whole = run()
    assert run(*range(1, len(sketches))) == whole == run(*sorted(rng.sample(range(1, len(sketches)), 9)))
    assert [IDF(value)["version"] for _, value in whole[1]] == [64, 128, 256]
    assert len(whole[0]) > 100


def test_the_weights_of_words_are_frozen_as_an_event_that_the_links_name() -> None:
    network = Network()
    texts = [f"{TEXT.split()[n % 40]} " + " ".join(f"w{n}x{k}" for k in range(20)) for n in range(IDF_FIRST)]

    frozen = network.near.decide("sketches", *records(network.sketches(*texts)))
    (idf,) = [IDF(value) for _, value in records(frozen, "idf")]
    (link, *_) = network.say(reworded(texts[0], 1))

    assert (idf["version"], idf["texts"], link["idf_version"]) == (IDF_FIRST, IDF_FIRST, IDF_FIRST)
    assert set(np.frombuffer(idf["documents"], "<u4")) <= set(range(2, IDF_FIRST + 1))


def test_ten_thousand_near_identical_texts_of_one_node_cost_no_more_than_a_few() -> None:
    """What is remembered of a band, compared and linked is bounded; all are of one family."""
    network = Network()
    contents = [f"{TEXT} {number}" for number in range(10_000)]
    found = network.near.decide("sketches", *records(network.sketches(*contents)))
    told = links(found)

    assert found.counts["linked"] == 9_999 and found.counts["new"] == 1
    assert len({link["family"] for link in told}) == 1
    assert len(told) <= 9_999 * LINKS_MAX and LINKS_MAX <= CANDIDATES_MAX
    bands = [value for (table, _), value in network.near.rows.data.items() if table == "bands"]
    assert max(map(len, bands)) == 8 + 16 * BAND_MAX


@pytest.mark.parametrize(
    ("content", "links_of_a_second"),
    [
        ("word", 1),
        ("a" * 2000, 1),
        ("?!… --- §§", 0),
        ("🙂🙃🙂", 0),
        ("Слово к слову 言葉は言葉 λόγος word", 1),
        ("def f(x):\n    return {'a': x[0] ** 2, 'b': lambda y: y + 1}\n", 1),
        ("aGVsbG8gd29ybGQgaGVsbG8gd29ybGQgaGVsbG8gd29ybGQ=" * 20, 1),
        ("<html><body><p class='x'>Some words</p> in <b>markup</b></body></html>", 1),
        (TEXT * 3000, 1),
    ],
    ids=["one-word", "one-character", "no-word", "emoji", "mixed-scripts", "code", "base64", "html", "1-MiB"],
)
def test_strange_texts_are_sketched_and_repeat_only_their_like(content: str, links_of_a_second: int) -> None:
    """Each beside another text, and again with a sign more at its end. What has no word is like no other."""
    network = Network()
    content = content[: (1 << 20) - 2]

    assert network.say("Quite another thing is said here, of mountains and rivers.", content) == []
    assert len(network.say(content + " !")) == links_of_a_second


def test_padding_with_the_same_words_makes_no_family_of_different_texts() -> None:
    """The same 500 words around each of 100 texts: once the weights are made, what all say weighs little."""
    rng = random.Random(5)
    padding = " ".join(f"pad{number}" for number in range(500))
    texts = [padding + " " + " ".join(f"t{rng.randrange(10**6)}" for _ in range(500)) for _ in range(2 * IDF_FIRST)]
    network = Network()
    network.say(*texts[:IDF_FIRST])

    told = network.say(*texts[IDF_FIRST:])

    assert told == []
    assert len(network.say(reworded(texts[-1], 20))) == 1, "while what repeats one of them is found"


def test_what_is_no_sketch_is_a_dead_letter_and_the_next_one_is_processed() -> None:
    network = Network()
    (key, good), (_, other) = records(network.sketches(TEXT, reworded(TEXT, 1)))
    bad = encoder("sketch")(SKETCH(good) | {"counts": b"\1"})

    decided = network.near.decide("sketches", (key, b"\0\0"), (key, bad), (key, good), (key, other))

    assert decided.counts["dead_lettered"] == 2 and len(links(decided)) == 1
    assert [dict(m["headers"])["icn_dlq_reason"] for m in decided.outputs["sketches.dlq"]] == [b"not_a_sketch"] * 2
