"""How good the feed is, on the MISP galaxies: as urgent as can be, as diverse as can be; and what the gate costs."""

from __future__ import annotations

import hashlib
import random
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from streams.agents.feeding import rules_in
from streams.bench.gold import galaxy_texts
from streams.domain.diversity import vendi
from streams.domain.gate import Fed, Rules
from streams.domain.meaning import Floats
from streams.domain.phoenix import Feed
from streams.domain.priority import Weights, score
from streams.domain.scenario import INPUT_MAX, novelty_of
from streams.domain.waiting import Known
from streams.topology import load

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
T0_MS = 20_000 * 24 * HOUR_MS
AN_HOUR, HOURS, NODES = 10_000, 3, 20
TYPES = ("text", "text", "text", "html", "data")
WEIGHTS = Weights(0.4, 0.3, 0.2, 24 * HOUR_MS)
MEASURED_IN = 3_000  # texts of which the measure's directions are made
ALL = 1_000  # galaxies: more than there are


class Texts:
    """Descriptions, each with its galaxy as domain, some galaxies hotter than others; and a measure of how alike they are that is not the
    feed's own: TF-IDF without English stop words, truncated SVD of 100, cosine."""

    def __init__(self, domains: int, draw: int = 0) -> None:
        """draw: so many of them by another chance; 0: all."""
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.rng, chance = random.Random(draw), np.random.default_rng(1)
        every = galaxy_texts(domains)
        self.heat = {name: float(chance.beta(2, 3)) for name in sorted({one for one, _ in every})}
        self.texts = self.rng.sample(every, MEASURED_IN) if draw else every
        self.words = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2)
        sample = self.rng.sample(self.texts, min(MEASURED_IN, len(self.texts)))
        rows = self.words.fit_transform([text[:INPUT_MAX] for _, text in sample])
        self.directions = TruncatedSVD(100, random_state=1).fit(rows)

    def vendi(self, inputs: Sequence[str]) -> float:
        from sklearn.preprocessing import normalize

        places: Floats = normalize(self.directions.transform(self.words.transform(inputs)))
        return vendi(places)


class Play:
    """A feed in event time. greedy: by priority alone, past the same gate."""

    def __init__(self, texts: Texts, rules: Rules, greedy: bool) -> None:
        self.texts, self.rng = texts, random.Random(2)
        self.inputs: dict[bytes, str] = {}
        rules = replace(rules, relevance=1.0) if greedy else rules
        self.feed = Feed(rules, lambda keys: [self.inputs[key] for key in keys], covers=not greedy)
        for node in range(NODES):
            self.feed.waiting.thought_of(f"n{node}", 1, round(self.rng.uniform(0.6, 0.9), 3))
        self.fed: list[tuple[int, float, Fed]] = []
        self.longest_s = 0.0

    def comes(self, raw_ms: int, domain: str, text: str) -> None:
        key = hashlib.blake2b(len(self.inputs).to_bytes(8, "big"), digest_size=40).digest()
        self.inputs[key] = text[:INPUT_MAX]
        heat, kind = self.texts.heat[domain], self.rng.choice(TYPES)
        threat = 10 * min(1.0, 0.6 * heat + 0.4 * self.rng.betavariate(2, 3))
        content = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        one = Known(
            key,
            content,
            novelty_of(kind, domain, self.inputs[key]),
            domain,
            f"n{self.rng.randrange(NODES)}",
            kind,
            "AMBER",
            raw_ms,
            1,
        )
        self.feed.decided(one, True)
        made = score(WEIGHTS, threat, 0.8 * threat, min(1.0, 0.3 + 0.5 * heat), 1.0, raw_ms, raw_ms)
        self.feed.waiting.scored(key, made.rank_key)

    def minute(self, slot_ms: int) -> None:
        began = time.perf_counter()
        self.feed.waiting.tidy(slot_ms)
        chosen, waiting = self.feed.choose(slot_ms), self.feed.waiting
        self.longest_s = max(self.longest_s, time.perf_counter() - began)
        for choice in chosen.choices:
            at = waiting.at[choice.dedup_hash]
            fed = Fed(
                slot_ms,
                *waiting.names_of(at),
                int(waiting["novelty"][at]),
                (),
                self.inputs[choice.dedup_hash],
            )
            self.feed.fed(choice.dedup_hash, fed)
            self.fed.append((slot_ms, choice.score, fed))
        for one in chosen.told:
            self.feed.refused(one.dedup_hash, one.reason)


def bench_phoenix(say: Callable[[str], None]) -> dict[str, Any]:
    """selection: 100 of 3,000 at once, three draws; saturation: 10,000 an hour for three hours; gate: what a round costs."""
    import sklearn.decomposition  # noqa: F401  # only what is loaded has its threads limited

    rules = rules_in(load())
    with threadpool_limits(1):
        say("100 of 3,000 …")
        found: dict[str, Any] = {"selection": [selection(rules, draw) for draw in (1, 2, 3)], "saturation": []}
        for domains in (3, 30, 100):
            say(f"three hours of {AN_HOUR:,} artifacts, at most {domains} domains …")
            found["saturation"].append(saturation(rules, domains))
        say("a round among a million …")
        found["gate"] = [gate(rules, 10_000), gate(rules, 1_000_000)]
    return found


def selection(rules: Rules, draw: int) -> dict[str, Any]:
    """100 of 3,000 different texts, all there at once: what diversity costs and brings. The measure's directions are those texts' own."""
    texts = Texts(ALL, draw)
    at_once = replace(rules, per_round=100)
    found: dict[str, Any] = {"draw": draw}
    for name, greedy in (("feed", False), ("greedy", True)):
        play = Play(texts, at_once, greedy)
        for number, (domain, text) in enumerate(texts.texts):
            play.comes(T0_MS - number, domain, text)
        play.minute(T0_MS)
        found[name] = _told(texts, play.fed)
    return found


def saturation(rules: Rules, domains: int) -> dict[str, Any]:
    """Of the last hour, but for most_in_60_minutes and doubles."""
    texts = Texts(domains)
    found: dict[str, Any] = {"domains": len(texts.heat)}
    for name, greedy in (("feed", False), ("greedy", True)):
        play = Play(texts, rules, greedy)
        for minute in range(60 * HOURS):
            slot_ms = T0_MS + minute * MINUTE_MS
            for _ in range(AN_HOUR // 60):
                play.comes(slot_ms - play.rng.randrange(MINUTE_MS), *play.rng.choice(texts.texts))
            play.minute(slot_ms)
        slots = [slot for slot, _, _ in play.fed]
        last = [one for one in play.fed if one[0] >= T0_MS + (HOURS - 1) * HOUR_MS]
        found[name] = _told(texts, last) | {
            "most_in_60_minutes": max(sum(s - HOUR_MS <= one <= s for one in slots) for s in set(slots)),
            "doubles": len(play.fed) - len({fed.novelty for _, _, fed in play.fed}),
            "longest_round_s": play.longest_s,
        }
    return found


def _told(texts: Texts, fed: Sequence[tuple[int, float, Fed]]) -> dict[str, Any]:
    return {
        "fed": len(fed),
        "mean_score": float(np.mean([score for _, score, _ in fed])),
        "vendi": texts.vendi([one.input for _, _, one in fed]),
        "domains_fed": len({one.domain for _, _, one in fed}),
        "nodes_fed": len({one.node for _, _, one in fed}),
    }


def gate(rules: Rules, candidates: int) -> dict[str, Any]:
    """A round among so many, with 10,000 scenarios remembered; seconds, the median of five; and the memory of the process afterwards."""
    feed = Feed(rules, lambda keys: [key.hex() for key in keys])
    rng = random.Random(3)
    for number in range(rules.novelty):
        feed.fed(bytes(40), Fed(T0_MS - 48 * HOUR_MS, f"d{number % 50}", "n", "text", number, (), ""))
    for number in range(candidates):
        key = number.to_bytes(40, "big")
        one = Known(
            key,
            number,
            1 << 40 | number,
            f"d{number % 50}",
            f"n{number % 40}",
            f"t{number % 5}",
            "AMBER",
            T0_MS - number,
            1,
        )
        feed.decided(one, True)
        feed.waiting.scored(key, rng.randrange(10**9))
    for node in range(40):
        feed.waiting.thought_of(f"n{node}", 1, 0.5)
    took = []
    for minute in range(5):
        began = time.perf_counter()
        feed.choose(T0_MS + minute * MINUTE_MS)
        took.append(time.perf_counter() - began)
    return {
        "candidates": candidates,
        "round_s": sorted(took)[2],
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
