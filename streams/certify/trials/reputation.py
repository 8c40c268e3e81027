"""A boaster with eight accomplices of the same principal, votes by those who may give none, and a judge who looks."""

from __future__ import annotations

import json
import random
from typing import Any

from confluent_kafka import Producer

from streams.broker.registrations import register_judge
from streams.certify.checks import Checks
from streams.certify.stand import Stand
from streams.codec import encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.errors import IcnError

BOASTS, FACTS, FORGED = 12, 12, 150
BOAST = {"threat_level": 10.0, "opportunity_value": 10.0, "confidence": 0.95}
FACT = {"threat_level": 8.0, "opportunity_value": 6.0, "confidence": 0.6}


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """First everybody believes the boaster; then its claims are refuted, one by one."""
    friends = [f"friend-{number}" for number in range(8)]
    stand.register("boaster", *friends, principal="the boaster's")
    stand.register("modest")
    register_judge(stand.topology, stand.settings, "examiner", principal="examiner")
    register_judge(stand.topology, stand.settings, "accomplice", principal="the boaster's")
    boasts = [{"content": f"boast {n} {rng.random()}", "source": "b", **BOAST} for n in range(BOASTS)]
    with stand.node("boaster") as boaster, stand.node("modest") as modest:
        told = [future.result(60) for future in boaster.submit_many(boasts)]
        facts = [{"content": f"fact {n} {rng.random()}", **FACT} for n in range(FACTS)]
        true = [future.result(60) for future in modest.submit_many(facts)]
        for name in friends:  # the same contents, from other sources
            with stand.node(name) as friend:
                for future in friend.submit_many([one | {"source": name} for one in boasts]):
                    future.result(60)
        stand.settled()
        before = _ranks(stand)
        by_friends = [at for event, at in stand.read("corroborations") if event["node_id"] == "boaster"]
        lifted = _newest(stand, "boaster")["score"]
        checks.count("its friends don't lift it", len(by_friends), [f"{lifted}"] if lifted > 0.5 else [], f"{lifted}")
        forged = _votes_that_must_not_count(stand, checks, [one.artifact_id for one in told], true[0].artifact_id)
        with stand.judge("examiner") as judge:
            for one in true:
                checks.same("a judge's word counts", judge.confirm(one.artifact_id).ignored, None, one.artifact_id)
            verdicts = 0
            for one in told:
                verdicts += 1
                checks.same("a judge's word counts", judge.refute(one.artifact_id).ignored, None, one.artifact_id)
                if _newest(stand, "boaster")["cause"] == "inflation_detected":
                    break
        stand.settled()
        late = boaster.submit(f"one more {rng.random()}", **BOAST).result(60)
    stand.settled()
    newest = _newest(stand, "boaster")
    floor = stand.topology.protocol["reputation"]["floor"]
    checks.same("the boaster is at the floor", (newest["effective"], newest["cause"]), (floor, "inflation_detected"))
    checks.faults += forged
    checks.measured("the boaster is at the floor", f"score {newest['effective']} after {verdicts} verdicts")
    stamps = {e["facts"]["artifact_id"]: e["facts"]["effective_reputation"] for e, _ in stand.read("artifacts.decided")}
    checks.same("its next artifact is stamped with it", stamps[late.artifact_id], floor)
    after = _ranks(stand)
    for rank in after["boaster"].values():
        wrong = [fact for fact, of in after["modest"].items() if of > rank]
        checks.count("everything it reported sinks below every fact", len(after["modest"]), wrong)
    checks.same(
        "all of it is in the ranks",
        {name: len(of) for name, of in after.items()},
        {"boaster": BOASTS + 1, "modest": FACTS},
    )
    checks.holds(
        "before, it was on top", max(before["boaster"].values()) < min(before["modest"].values()),
        f"ranks {sorted(before['boaster'].values())}",
    )  # fmt: skip
    kept = _newest(stand, "modest")["effective"]
    checks.holds("the honest node keeps its score", kept >= 0.5, f"{kept}")
    checks.holds("votes that nobody may give were there", forged == FORGED, f"{forged} votes")


def _votes_that_must_not_count(stand: Stand, checks: Checks, boasts: list[str], fact: str) -> int:
    """By nobody, by somebody with a wrong token, by its accomplice; how many were forged."""
    floor_before = _newest(stand, "modest")["effective"]
    with stand.judge("accomplice") as judge:
        checks.same("an accomplice's word counts nothing", judge.confirm(boasts[0]).ignored, "own_artifact")
        found = judge.find(fact)
        verdict = judge._verdict(found, "refuted", "it is false")  # its own, then forged for others
        against = judge.say(found, "unclear")
        checks.same("unclear counts nothing", against.weight, 0.0)
    producer, value, written = Producer(stand.settings.librdkafka_producer()), encoder("verdict"), list[bool]()
    for number in range(FORGED):
        forged = value(verdict | {"verdict_id": f"forged-{number}", "judge": ("examiner", "nobody")[number % 2]})
        mac = [(MAC_HEADER, sign(bytes(32), b"examiner", forged))]
        producer.produce(
            stand.topic("verdicts"), forged, found.event["facts"]["node_id"].encode(), headers=mac,
            on_delivery=lambda error, _: written.append(error is None),
        )  # fmt: skip
    producer.flush(30)
    stand.settled()
    checks.same("forged votes change nothing", _newest(stand, "modest")["effective"], floor_before)
    return sum(written)


def _newest(stand: Stand, name: str) -> dict[str, Any]:
    """Newest revision of a node's reputation."""
    found = [event for event, _ in stand.read("reputation.log") if event["node_id"] == name]
    if not found:
        raise IcnError(f"{name} has no reputation", "is s3_reputation running?")
    return found[-1]


def _ranks(stand: Stand) -> dict[str, dict[str, int]]:
    """node -> artifact -> rank in `icn top`, of the two that are compared."""
    found: dict[str, dict[str, int]] = {"boaster": {}, "modest": {}}
    for one in json.loads(stand.icn("top", "-n", "1000", "--json").stdout):
        if one["node_id"] in found:
            found[one["node_id"]][one["canonical_id"]] = one["rank"]
    return found
