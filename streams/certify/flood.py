"""10,000 artifacts an hour, 20 nodes, 25 domains: in each a story that everybody repeats and finds most urgent, and seven quieter ones. And
what a feed by urgency alone would have made of it, past the same limits: the trials' own reckoning."""

from __future__ import annotations

import math
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from confluent_kafka import Producer

from streams.broker.registrations import token_of
from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.codec import decoder, encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.domain.ticks import HOUR_MS

MINUTE_MS = 60_000
FIRST_MS = 4_000 * HOUR_MS
MINUTES, AN_HOUR, NODES, DOMAINS, STORIES = 80, 10_000, 20, 25, 8
KILLED_AT = (12, 35, 58)  # minutes
TYPES = ("text", "html", "data")


@dataclass(frozen=True)
class Fed:
    """slot_ms, score then, and what it is."""

    slot_ms: int
    score: float
    domain: str
    node: str
    content_type: str
    text: str


@dataclass(frozen=True)
class Flood:
    """sent, kills: how many. scenarios: events of the feed, with coordinates; fed: the same; urgent: what urgency alone would have fed."""

    sent: int
    kills: int
    scenarios: list[tuple[dict[str, Any], str]]
    rounds: list[dict[str, Any]]
    fed: list[Fed]
    urgent: list[Fed]


_made: WeakKeyDictionary[Stand, Flood] = WeakKeyDictionary()


def flood(stand: Stand, checks: Checks, rng: random.Random) -> Flood:
    """Of a stand, once: sent, decided, fed minute by minute, while the feed is killed three times."""
    if stand not in _made:
        sent = _send(stand, rng)
        stand.settled(600)
        kills = _feed(stand)
        checks.faults += kills
        scenarios = [(event, at) for event, at in stand.read("phoenix.feed") if event["slot_ms"] >= FIRST_MS]
        rounds = [event for event, _ in stand.read("phoenix.rounds") if event["slot_ms"] >= FIRST_MS]
        fed = [
            Fed(s["slot_ms"], s["score"], s["domain"], s["node_id"], s["content_type"], s["input"])
            for s, _ in scenarios
        ]
        _made[stand] = Flood(sent, kills, scenarios, rounds, fed, _by_urgency(stand))
    return _made[stand]


def _send(stand: Stand, rng: random.Random) -> int:
    """Raw records, signed: in the order of their time."""
    names = [f"flood-{number}" for number in range(NODES)]
    stand.register(*names)
    tokens = {name: token_of(stand.settings, name, 1) for name in names}
    write = _writers(rng)
    producer, encode = Producer(stand.settings.librdkafka_producer(**{"linger.ms": 50})), encoder("artifact")
    total = MINUTES * AN_HOUR // 60
    for number in range(total):
        name, domain = names[number % NODES], rng.randrange(DOMAINS)
        at_ms = FIRST_MS + number * MINUTES * MINUTE_MS // total
        content, threat = write[domain](number)
        value = encode(
            {
                "artifact_id": f"flood-{number}", "node_id": name, "collected_at": at_ms, "content_type": TYPES[number % 3],
                "content": content, "source": None, "metadata": {"domain": f"domain-{domain}"},
                "confidence": round(rng.uniform(0.4, 0.8), 3), "threat_level": threat,
                "opportunity_value": round(rng.uniform(2, 6), 3), "simulated": True, "assignment": None,
            }
        )  # fmt: skip
        mac = [(MAC_HEADER, sign(tokens[name], name.encode(), value))]
        producer.produce(stand.topic("artifacts.raw"), value, name.encode(), timestamp=at_ms, headers=mac)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush(60)
    wait_until(lambda: len(stand.read("priorities")) >= total // 2, 600, "half of it is ranked")
    return total


def _writers(rng: random.Random) -> list[Callable[[int], tuple[str, float]]]:
    """Of each domain: number -> (content, threat level)."""

    def word() -> str:
        return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiou") for _ in range(4))

    def writer() -> Callable[[int], tuple[str, float]]:
        stories = [[word() for _ in range(24)] for _ in range(STORIES)]

        def write(number: int) -> tuple[str, float]:
            story = rng.choices(range(STORIES), [4, *[1] * (STORIES - 1)])[0]
            said = list(stories[story])
            for _ in range(6):
                said[rng.randrange(len(said))] = word()
            return f"{' '.join(said)} {number}", round(rng.uniform(6.5, 8) if story == 0 else rng.uniform(5, 7), 3)

        return write

    return [writer() for _ in range(DOMAINS)]


def _feed(stand: Stand) -> int:
    """Ticks of all minutes; how often the feed's process was killed on the way."""

    def reached() -> int:
        slots = [event["slot_ms"] for event, _ in stand.read("phoenix.rounds")]
        return (max(slots, default=0) - FIRST_MS) // MINUTE_MS

    kills, begin = 0, 0
    for end in (*(minute + 1 for minute in KILLED_AT), MINUTES):
        for minute in range(begin, end):
            stand.tick(FIRST_MS + minute * MINUTE_MS, MINUTE_MS)
        wait_until(lambda end=end: reached() >= end - 1, 240, f"the round of minute {end - 1}")  # type: ignore[misc]
        if end < MINUTES:
            for process in stand.window_processes("s6_phoenix"):
                process.kill()
                kills += 1
        begin = end
    return kills


def _by_urgency(stand: Stand) -> list[Fed]:
    """Minute by minute the most urgent ones that the limits of phoenix: let pass, on the newest priority of each artifact."""
    rules = stand.topology.protocol["phoenix"]
    decode = decoder("artifact")
    about = {
        event["facts"]["dedup_hash"]: decode(event["artifact"])
        for event, _ in stand.read("artifacts.decided")
        if event["decision"] == "UNIQUE" and event["facts"]["raw_ms"] >= FIRST_MS
    }
    newest = {event["dedup_hash"]: event for event, _ in stand.read("priorities") if event["dedup_hash"] in about}
    half_life_ms = 24 * HOUR_MS
    waiting = sorted(
        ((e["rank_key"] / 1e6 + math.log2(e["effective_reputation"]), e["raw_ms"], key) for key, e in newest.items()),
        reverse=True,
    )
    fed: list[Fed] = []
    for minute in range(MINUTES):
        slot_ms = FIRST_MS + minute * MINUTE_MS
        hour = deque(one for one in fed[-rules["per_hour"] :] if one.slot_ms >= slot_ms - HOUR_MS)
        counts = {
            name: Counter(getattr(one, name) for one in list(hour)[-rules[name]["of_last"] :])
            for name in ("domain", "node", "content_type")
        }
        taken: set[bytes] = set()
        for order, raw_ms, key in waiting:
            if len(taken) >= rules["per_round"] or len(hour) >= rules["per_hour"]:
                break
            one = about[key]
            of = {"domain": one["metadata"]["domain"], "node": one["node_id"], "content_type": one["content_type"]}
            if raw_ms > slot_ms or any(counts[name][value] >= rules[name]["fewer_than"] for name, value in of.items()):
                continue
            made = Fed(slot_ms, 2 ** (order - slot_ms / half_life_ms), text=one["content"], **of)
            taken.add(key)
            fed.append(made)
            hour.append(made)
            counts = {
                name: Counter(getattr(each, name) for each in list(hour)[-rules[name]["of_last"] :]) for name in counts
            }
        waiting = [one for one in waiting if one[2] not in taken]
    return fed
