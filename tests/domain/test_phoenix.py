"""The feed's gate and choice, a minute at a time, without a broker."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from streams.agents.feeding import rules_in
from streams.domain.choice import Choice
from streams.domain.diversity import points, vendi, vendi_of_kinds
from streams.domain.gate import Fed, Rules
from streams.domain.phoenix import Chosen, Feed
from streams.domain.priority import Weights, score
from streams.domain.scenario import input_of, is_fed, novelty_of, objectives, seal
from streams.domain.tlp import strictest
from streams.domain.waiting import Known
from streams.topology import load

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
T0_MS = 20_000 * 24 * HOUR_MS
RULES = rules_in(load())
WEIGHTS = Weights(0.4, 0.3, 0.2, 24 * HOUR_MS)
WORDS = [f"word{number}" for number in range(300)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As s6 does."""
    import sklearn.decomposition  # noqa: F401  # only what is loaded has its threads limited

    with threadpool_limits(1):
        yield


class Minutes:
    """A feed and what is written of it."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rng, self.texts = random.Random(1), dict[bytes, str]()
        self.feed = Feed(rules, lambda keys: [self.texts[key] for key in keys])
        self.fed: list[tuple[int, Choice, Fed]] = []
        self.told: list[tuple[int, bytes, str, bool]] = []

    def comes(self, raw_ms: int, threat: float = 5.0, node: str = "n1", **more: Any) -> bytes:
        """An artifact with its score. more: domain, content_type, text, tlp, content, key, reputation."""
        key = more.get("key") or hashlib.blake2b(len(self.texts).to_bytes(8, "big"), digest_size=40).digest()
        text = more.get("text") or " ".join(self.rng.sample(WORDS, 12))
        domain, kind = more.get("domain", "d1"), more.get("content_type", "text")
        content = int.from_bytes(hashlib.blake2b(more.get("content", text).encode(), digest_size=8).digest(), "big")
        self.texts[key] = text
        one = Known(
            key, content, novelty_of(kind, domain, text), domain, node, kind, more.get("tlp", "AMBER"), raw_ms, 1
        )
        self.feed.decided(one, True)
        self.feed.waiting.thought_of(node, 1, more.get("reputation", 0.5))
        made = score(WEIGHTS, threat, 0.0, 0.5, 1.0, raw_ms, raw_ms)
        self.feed.waiting.scored(key, made.rank_key)
        return key

    def minute(self, slot_ms: int) -> Chosen:
        """Choose, and take it as fed."""
        self.feed.waiting.tidy(slot_ms)
        chosen, waiting = self.feed.choose(slot_ms), self.feed.waiting
        for choice in chosen.choices:
            at = waiting.at[choice.dedup_hash]
            novelty = int(waiting["novelty"][at])
            fed = Fed(slot_ms, *waiting.names_of(at), novelty, (), self.texts[choice.dedup_hash])
            self.feed.fed(choice.dedup_hash, fed)
            self.fed.append((slot_ms, choice, fed))
        for one in chosen.told:
            self.feed.refused(one.dedup_hash, one.reason)
            self.told.append((slot_ms, one.dedup_hash, one.reason, one.final))
        return chosen

    def most_in_an_hour(self) -> int:
        """Of all windows of 60 minutes, both ends in it."""
        slots = [slot for slot, _, _ in self.fed]
        return max((sum(slot - HOUR_MS <= one <= slot for one in slots) for slot in set(slots)), default=0)


def mixed(minutes: Minutes, slot_ms: int, count: int, domains: int = 25, nodes: int = 20) -> None:
    for _ in range(count):
        rng = minutes.rng
        minutes.comes(
            slot_ms - rng.randrange(MINUTE_MS),
            threat=rng.random() * 10,
            node=f"n{rng.randrange(nodes)}",
            domain=f"d{rng.randrange(domains)}",
            content_type=rng.choice(["text", "code", "html", "data"]),
        )


def test_at_saturation_100_are_fed_in_any_60_minutes_and_none_twice() -> None:
    """Four hours of 1,200 artifacts each."""
    minutes = Minutes()
    for number in range(240):
        mixed(minutes, T0_MS + number * MINUTE_MS, 20)
        minutes.minute(T0_MS + number * MINUTE_MS)

    assert minutes.most_in_an_hour() == 100 and len(minutes.fed) == 400
    assert len({fed.novelty for _, _, fed in minutes.fed}) == len({one.dedup_hash for _, one, _ in minutes.fed}) == 400


def test_each_window_is_kept_at_every_scenario() -> None:
    """Counted again from the list of what was fed, one after another, 61 minutes back."""
    minutes = Minutes()
    for number in range(180):
        mixed(minutes, T0_MS + number * MINUTE_MS, 15, domains=8, nodes=6)
        minutes.minute(T0_MS + number * MINUTE_MS)

    all_fed, compared = [fed for _, _, fed in minutes.fed], 0
    for name, (fewer_than, of_last) in RULES.windows.items():
        for number, fed in enumerate(all_fed):
            last = [one for one in all_fed[max(0, number - of_last) : number] if one.slot_ms >= fed.slot_ms - HOUR_MS]
            assert sum(getattr(one, name) == getattr(fed, name) for one in last) < fewer_than
            compared += 1
    assert compared == 3 * len(all_fed) > 300


@pytest.mark.parametrize(
    ("same", "an_hour"),
    [({"domain": "d"}, 5), ({"node": "n"}, 10), ({"content_type": "text"}, 20)],
    ids=["one domain", "one node", "one type"],
)
def test_a_fleet_of_one_kind_slows_down_and_never_stops(same: dict[str, str], an_hour: int) -> None:
    """24 hours of event time. Of one kind alone, each hour so many as its window lets pass: none without."""
    minutes = Minutes()
    for number in range(24 * 60):
        slot_ms = T0_MS + number * MINUTE_MS
        several = {"domain": f"d{number % 40}", "node": f"n{number % 30}", "content_type": f"t{number % 9}"}
        minutes.comes(slot_ms - 1000, threat=minutes.rng.random() * 10, **several | same)
        minutes.minute(slot_ms)

    by_hour = Counter((slot - T0_MS) // HOUR_MS for slot, _, _ in minutes.fed)
    assert min(by_hour[hour] for hour in range(24)) >= an_hour - 1 and set(by_hour) == set(range(24))
    assert max(by_hour.values()) <= an_hour * 2
    assert minutes.most_in_an_hour() == an_hour


def test_a_flood_of_one_node_leaves_the_others_their_places() -> None:
    """10,000 artifacts of the highest priority by one node; ten other nodes with a few each."""
    minutes = Minutes()
    for number in range(10_000):
        minutes.comes(
            T0_MS - 1000,
            threat=10,
            node="flood",
            domain=f"f{number % 50}",
            content_type=f"t{number % 5}",
            text=f"word{number} flood",
        )
    others = [
        minutes.comes(
            T0_MS - 1000, threat=1, node=f"n{number % 10}", domain=f"d{number % 10}", content_type=f"t{number % 3}"
        )
        for number in range(40)
    ]
    for number in range(30):
        minutes.minute(T0_MS + number * MINUTE_MS)

    of = Counter(fed.node for _, _, fed in minutes.fed)
    assert of["flood"] == 10
    assert {one.dedup_hash for _, one, _ in minutes.fed} >= set(others)
    refused = [reason for _, _, reason, _ in minutes.told]
    assert set(refused) == {"node"} and len(refused) == 9_990 == len({key for _, key, _, _ in minutes.told})


def test_every_domain_with_something_to_feed_is_fed_each_hour() -> None:
    """60 domains, a few of them with all the urgent artifacts; five hours."""
    minutes = Minutes()
    for number in range(300):
        for domain in range(60):
            if number % 5 == domain % 5:
                minutes.comes(
                    T0_MS + number * MINUTE_MS - 1,
                    threat=minutes.rng.random() * (10 if domain < 5 else 2),
                    node=f"n{minutes.rng.randrange(20)}",
                    domain=f"d{domain}",
                    content_type=f"t{domain % 4}",
                )
        minutes.minute(T0_MS + number * MINUTE_MS)

    for hour in range(1, 5):
        fed = {f.domain for slot, _, f in minutes.fed if hour <= (slot - T0_MS) / HOUR_MS < hour + 1}
        assert len(fed) == 60, f"hour {hour}"
    assert minutes.most_in_an_hour() == 100


def test_what_begins_alike_is_refused_for_good_and_what_is_red_never_fed() -> None:
    minutes = Minutes()
    first = minutes.comes(T0_MS - 3, threat=9, text="the same loader " * 60 + "as it was before")
    again = minutes.comes(T0_MS - 2, threat=8, text="The SAME loader " * 60 + "with another end", node="n2")
    red = minutes.comes(T0_MS - 1, threat=10, tlp="RED")
    minutes.minute(T0_MS)
    minutes.minute(T0_MS + MINUTE_MS)

    assert [one.dedup_hash for _, one, _ in minutes.fed] == [first]
    assert {(key, reason, final) for _, key, reason, final in minutes.told} == {
        (again, "novelty", True),
        (red, "tlp", True),
    }
    later = minutes.comes(T0_MS + MINUTE_MS, text="the same loader " * 60 + "as it was before")
    minutes.minute(T0_MS + 2 * MINUTE_MS)
    assert later not in {one.dedup_hash for _, one, _ in minutes.fed}


def test_the_strictest_marking_of_a_contents_sightings_holds() -> None:
    """A sighting marked RED, before or after, of the same content from another source, or a mere duplicate."""
    minutes = Minutes()
    minutes.comes(T0_MS - 9, tlp="RED", content="one")
    before = minutes.comes(T0_MS - 8, tlp="CLEAR", content="one", node="n2")
    after = minutes.comes(T0_MS - 7, tlp="CLEAR", content="two", node="n2")
    kept = minutes.comes(T0_MS - 6, tlp="GREEN", content="three", node="n3")
    at = minutes.feed.waiting.at
    duplicate = Known(after, int(minutes.feed.waiting["content"][at[after]]), 0, "", "n9", "text", "RED", T0_MS - 5, 2)
    minutes.feed.decided(duplicate, False)

    minutes.minute(T0_MS)

    assert [one.dedup_hash for _, one, _ in minutes.fed] == [kept]
    assert {key for _, key, reason, _ in minutes.told if reason == "tlp"} >= {before, after}
    assert strictest(["GREEN", "AMBER+STRICT", "CLEAR"]) == "AMBER+STRICT" and strictest(["?"]) == "RED"


def test_a_mild_sighting_does_not_make_a_strict_marking_forgotten() -> None:
    """AMBER in one week, CLEAR from another source late in the next, RED in the one after: the artifact of then is not fed."""
    week_ms = RULES.candidates_ms
    minutes, start_ms = Minutes(), T0_MS // RULES.candidates_ms * RULES.candidates_ms
    minutes.comes(start_ms - 1, tlp="AMBER", text="the same content from everybody")
    waits = minutes.comes(start_ms + week_ms - 1, tlp="CLEAR", text="the same content from everybody", domain="d2")
    minutes.comes(start_ms + week_ms + 1, tlp="RED", text="the same content from everybody", domain="d3")
    minutes.minute(start_ms + week_ms + MINUTE_MS)
    assert minutes.fed == [] and (waits, "tlp") in [(key, reason) for _, key, reason, _ in minutes.told]


def test_an_artifact_is_fed_once_whatever_a_better_version_of_it_looks_like() -> None:
    minutes = Minutes()
    key = minutes.comes(T0_MS - 1, text="one text")
    minutes.minute(T0_MS)
    minutes.comes(T0_MS + 1, text="other words of the same artifact", key=key)
    minutes.minute(T0_MS + MINUTE_MS)
    assert [one.dedup_hash for _, one, _ in minutes.fed] == [key]
    assert minutes.told[-1][1:] == (key, "novelty", True)


def test_white_space_makes_no_other_scenario() -> None:
    text = "what a trainer is to see " * 100
    blank = "\n \t" + text.replace(" ", " " * 30, 50)
    assert input_of("text", blank).split() == input_of("text", text).split()
    assert novelty_of("text", "d", input_of("text", blank)) == novelty_of("text", "d", input_of("text", text))
    assert input_of("code", "if x:\n    y") == "if x:\n    y"  # there it is content


def test_inventing_domains_gains_a_node_no_more_than_its_share() -> None:
    """Six nodes without any urgency or reputation, twelve new domains a minute between them, beside 20 honest ones with 25 domains."""
    minutes = Minutes()
    for minute in range(180):
        slot_ms = T0_MS + minute * MINUTE_MS
        for domain in range(minute % 10, 25, 10):
            threat, node = 5 + 5 * minutes.rng.random(), f"h{minutes.rng.randrange(20)}"
            kind = f"t{domain % 4}"
            minutes.comes(slot_ms - 1, threat, node, domain=f"d{domain}", content_type=kind, reputation=0.8)
        for number in range(12 * minute, 12 * minute + 12):
            kind, node = f"t{number % 4}", f"evil{number % 6}"
            minutes.comes(slot_ms - 1, 0, node, domain=f"!{number}", content_type=kind, reputation=0.01)
        minutes.minute(slot_ms)
    for hour in (1, 2):
        fed = [f for slot, _, f in minutes.fed if hour <= (slot - T0_MS) / HOUR_MS < hour + 1]
        honest = [one for one in fed if one.node.startswith("h")]
        assert len({one.domain for one in honest}) == 25, f"hour {hour}"
        assert len(fed) - len(honest) <= 24  # six of 26 nodes


def test_a_name_alone_teaches_less_than_a_text() -> None:
    """Equal priorities, 10 places: names are unlike everything, and come last."""
    minutes = Minutes()
    names = {minutes.comes(T0_MS - 1, text=f"name{n}", node=f"n{n % 4}", domain=f"d{n}") for n in range(40)}
    texts = {minutes.comes(T0_MS - 1, node=f"n{n % 4}", domain=f"e{n}") for n in range(40)}
    fed = {one.dedup_hash for one in minutes.minute(T0_MS).choices}
    assert len(fed) == 10 and fed <= texts and not fed & names


def test_it_says_when_the_windows_let_the_next_one_pass() -> None:
    """20 of one type are fed in two minutes; 60 minutes after the first of them the next one is, and not before."""
    minutes = Minutes()
    for number in range(60):
        minutes.comes(T0_MS - 1, node=f"n{number % 5}", domain=f"d{number}")
    fed = [len(minutes.minute(T0_MS + n * MINUTE_MS).choices) for n in range(3)]
    opens_ms = minutes.feed.opens_ms(T0_MS + 2 * MINUTE_MS)
    assert fed == [10, 10, 0] and opens_ms == T0_MS + HOUR_MS + MINUTE_MS
    assert len(minutes.minute(opens_ms - MINUTE_MS).choices) == 0
    assert len(minutes.minute(opens_ms).choices) > 0


def test_a_refusal_is_told_once_for_each_reason() -> None:
    minutes = Minutes(replace(RULES, per_hour=1_000))
    for number in range(30):
        minutes.comes(T0_MS - 1000, domain="d", node=f"n{number}", content_type=f"t{number % 4}")
    for number in range(50):
        minutes.minute(T0_MS + number * MINUTE_MS)
    assert Counter(reason for _, _, reason, _ in minutes.told) == {"domain": 25}


def test_with_equal_priorities_diversity_decides_and_the_same_comes_out_each_time() -> None:
    fed = []
    for _ in range(2):
        minutes = Minutes()
        for number in range(60):
            minutes.comes(
                T0_MS - 1000,
                node=f"n{number % 12}",
                domain=f"d{number % 12}",
                content_type=f"t{number % 3}",
                text=f"topic{number % 6} " * 10 + f"only{number}",
            )
        minutes.minute(T0_MS)
        fed.append([(one.dedup_hash, f.input.split()[0]) for _, one, f in minutes.fed])
    assert fed[0] == fed[1] and len({topic for _, topic in fed[0]}) == 6


def test_what_is_not_yet_or_no_longer_there_is_not_fed() -> None:
    """Of the next minute; of more than a week ago; of a node that nobody believes; without a score."""
    minutes = Minutes()
    minutes.comes(T0_MS + 1)
    minutes.comes(T0_MS - 8 * 24 * HOUR_MS)
    minutes.comes(T0_MS - 1, node="n2", reputation=0.0)
    unscored = minutes.comes(T0_MS - 1, node="n3")
    minutes.feed.waiting.scored(unscored, None)
    assert minutes.minute(T0_MS).choices == [] and len(minutes.minute(T0_MS + MINUTE_MS).choices) == 1


def test_thresholds_hold_back_what_is_below_them() -> None:
    minutes = Minutes(replace(RULES, score_min=0.1, reputation_min=0.3))
    low, doubtful = minutes.comes(T0_MS - 1, threat=0), minutes.comes(T0_MS - 1, threat=10, node="n2", reputation=0.2)
    fine = minutes.comes(T0_MS - 1, threat=10, node="n3")
    minutes.minute(T0_MS)
    assert [one.dedup_hash for _, one, _ in minutes.fed] == [fine]
    assert {(key, reason) for _, key, reason, _ in minutes.told} == {(low, "score"), (doubtful, "reputation")}


def test_a_changed_reputation_holds_for_what_a_node_has_sent_before() -> None:
    minutes = Minutes(replace(RULES, per_round=1))
    minutes.comes(T0_MS - 1, threat=9, node="fallen")
    kept = minutes.comes(T0_MS - 1, threat=6, node="n2")
    minutes.feed.waiting.thought_of("fallen", 2, 0.1)
    minutes.feed.waiting.thought_of("fallen", 1, 0.9)  # an older revision comes too late
    (choice,) = minutes.minute(T0_MS).choices
    assert choice.dedup_hash == kept and choice.rank == 1
    assert choice.score == pytest.approx((0.4 * 0.6 + 0.2 * 0.5) * 0.5, abs=1e-5)


def test_objectives_follow_threat_and_opportunity_and_what_was_rare() -> None:
    assert objectives(7, 0, []) == [
        "high_threat_response",
        "crisis_management",
        "pattern_recognition",
        "cross_domain_synthesis",
    ]
    before = [("pattern_recognition",)] * 30 + [()] * 70
    assert objectives(0, 7, before) == ["high_value_extraction", "strategic_planning", "cross_domain_synthesis"]


def test_a_scenarios_seal_fits_it_alone() -> None:
    key, hash_ = bytes(32), bytes(40)
    given = seal(key, T0_MS, hash_)
    assert is_fed(key, T0_MS, hash_, given)
    assert not is_fed(key, T0_MS + 1, hash_, given) and not is_fed(key, T0_MS, bytes([1] * 40), given)
    assert not is_fed(bytes([1] * 32), T0_MS, hash_, given) and not is_fed(key, T0_MS, hash_, None)


def test_vendi_is_the_number_of_different_ones() -> None:
    assert vendi(np.eye(7)) == pytest.approx(7) and vendi(np.tile(np.eye(4)[0], (9, 1))) == pytest.approx(1)
    assert vendi_of_kinds("aabb") == pytest.approx(2) and vendi_of_kinds([]) == vendi(np.zeros((0, 3))) == 0
    (same,) = points(["one two three four"] * 5)
    assert vendi(same) == pytest.approx(1)


def test_the_columns_close_up_and_nothing_is_mixed_up() -> None:
    """Two weeks at 400 a day; half is forgotten every week."""
    minutes = Minutes(replace(RULES, per_hour=1, per_round=1))
    for day in range(16):
        for number in range(400):
            minutes.comes(
                T0_MS + day * 24 * HOUR_MS + number,
                node=f"n{number % 9}",
                domain=f"{day} {number % 7}",
                threat=1 + number % 8,
            )
        minutes.minute(T0_MS + day * 24 * HOUR_MS + HOUR_MS)
    waiting = minutes.feed.waiting
    assert waiting.size < 8 * 400 + 2_000 and len(minutes.fed) == 16
    compared = 0
    for key, at in waiting.at.items():
        assert (
            waiting.keys[at] == key and waiting["tie"][at] == int.from_bytes(key[:8], "big") and waiting["is_here"][at]
        )
        compared += 1
    assert compared == minutes.feed.waiting["is_here"].sum() >= 7 * 399
