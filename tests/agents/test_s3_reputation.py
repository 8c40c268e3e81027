"""s3 as a pure function: every way in which something is said of a node, and every way in which it counts nothing."""

from __future__ import annotations

from typing import Any

import pytest

from streams.agents.s3_reputation import stage
from streams.bench.load import SECRET
from streams.domain import reputation as rep
from streams.domain.scenario import seal as scenario_seal
from streams.runtime.stage import Batch, Context, MemoryRows
from streams.secrets import derive
from tests.support.reputation import HOUR, HOUR_MS, RULE, Fleet


def test_a_registered_node_starts_at_one_half_and_cannot_be_judged() -> None:
    """Revision 1, grade F, the uncertainty of Beta(1, 3)."""
    fleet = Fleet()
    fleet.nodes("node-1")

    (said,) = fleet.said
    assert (said["revision"], said["cause"], said["score"], said["effective"], said["grade"]) == (
        1,
        "registered",
        0.5,
        0.5,
        "F",
    )
    assert (said["success_rate"], said["probation_left"], said["quota"]) == (None, 20, 1000)
    assert said["uncertainty"] == pytest.approx((3 / 80) ** 0.5, abs=1e-9)


def test_an_hour_of_receipts_is_one_outcome() -> None:
    """More than 80 % accepted is a success, 80 % is a failure; nothing sent is neither."""
    fleet = Fleet()
    fleet.nodes("good", "bad", "silent")
    fleet.receipt("good", accepted=81, refused=19)
    fleet.receipt("bad", accepted=40, refused=10)
    fleet.receipt("bad", accepted=40, refused=10)
    fleet.hours(1)

    assert [(e["kind"], e["records"], e["successes"], e["failures"]) for e in fleet.last("good")["evidence"]] == [
        ("receipts", 1, 1.0, 0.0)
    ]
    assert [
        (e["records"], e["first_offset"], e["last_offset"], e["failures"]) for e in fleet.last("bad")["evidence"]
    ] == [(2, 1, 2, 1.0)]
    assert (fleet.last("good")["outcomes"], fleet.last("bad")["score"]) == (1, 0.48)
    assert fleet.last("silent")["revision"] == 1


def test_a_rise_needs_two_of_three_epochs_and_a_fall_needs_one() -> None:
    """+0.01 a success, −0.02 a failure, at most ±0.05 an epoch."""
    fleet = Fleet()
    fleet.established("node-1")
    for number in range(100, 110):
        fleet.verdict("examiner", "node-1", number, claimed=0.0)
    fleet.hours(1)
    rising = fleet.last("node-1")
    for number in range(200, 203):
        fleet.verdict("examiner", "node-1", number, "refuted", claimed=0.0)
    fleet.hours(1)

    assert [(e["step"], e["score"]) for e in fleet.said] == [(0.0, 0.5), (0.0, 0.5), (0.05, 0.55), (-0.05, 0.5)]
    assert rising["grade"] == "C"


def test_what_a_node_says_of_itself_weighs_one_outcome_an_hour_and_ends_no_demotion() -> None:
    """A thousand collections of its own against seven refutations an hour: it stays at the floor."""
    fleet = Fleet()
    fleet.nodes("liar", "new")
    fleet.judges("carol")
    for number in range(4):
        fleet.verdict("carol", "liar", number, "refuted", claimed=0.95)
    for hour in range(25):
        for number in range(40):
            fleet.collection("liar", 1000 * hour + number)
            fleet.collection("new", 1000 * hour + number)
        for number in range(7):
            fleet.verdict("carol", "liar", 100 + 100 * hour + number, "refuted", claimed=0.02)
        fleet.hours(1)
        if hour == 18:
            assert fleet.last("new")["probation_left"] == 1, "an hour of collections is one outcome"
    (collections,) = [e for e in fleet.last("new")["evidence"] if e["kind"] == "collection"]

    assert (collections["records"], collections["successes"]) == (40, 1.0)
    assert fleet.last("liar")["score"] == 0.1
    assert fleet.last("new")["probation_left"] == 0


def test_epochs_with_nothing_change_nothing_and_say_nothing() -> None:
    """Silence is not forgotten evidence, either."""
    fleet = Fleet()
    fleet.established("node-1")
    before, said = fleet.node("node-1"), len(fleet.said)
    fleet.hours(23)

    assert (fleet.node("node-1"), len(fleet.said)) == (before, said)


def test_a_verdict_moves_its_node_and_the_judge_is_told() -> None:
    """A failure of weight 1, tested against the claim; the evidence has its coordinates."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol")
    fleet.verdict("carol", "node-1", 7, "refuted", claimed=0.9)
    fleet.hours(1)

    (vote,) = fleet.votes
    assert (vote["weight"], vote["tested"], vote["ignored"], vote["input_offset"]) == (1.0, True, None, 0)
    said = fleet.last("node-1")
    assert [(e["kind"], e["topic"], e["first_offset"], e["failures"]) for e in said["evidence"]] == [
        ("verdict", "verdicts", 0, 1.0)
    ]
    assert said["score"] == 0.48
    assert said["e_value"] == pytest.approx(((0.85 * 5.5) + (0.85 * 2.98)) / 2 + 0.15)


VOTES_THAT_COUNT_NOTHING: list[tuple[str, dict[str, Any], str]] = [
    ("an artifact that never was", {"raw_offset": 8}, "unknown_artifact"),
    ("a claim that was another one", {"confidence": 0.99}, "unknown_artifact"),
    ("neither confirmed nor refuted", {"outcome": "unknown"}, "unknown_artifact"),
    ("a simulated artifact", {"simulated": True}, "simulated"),
]


@pytest.mark.parametrize(("forged", "reason"), [case[1:] for case in VOTES_THAT_COUNT_NOTHING],
                         ids=[case[0] for case in VOTES_THAT_COUNT_NOTHING])  # fmt: skip
def test_a_vote_that_counts_nothing_says_why(forged: dict[str, Any], reason: str) -> None:
    """To the judge, and in the node's next revision."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol")
    fleet.verdict("carol", "node-1", 7, **forged)
    fleet.hours(1)

    assert [(vote["ignored"], vote["weight"]) for vote in fleet.votes] == [(reason, 0.0)]
    assert (fleet.last("node-1")["ignored"], fleet.last("node-1")["outcomes"]) == ({reason: 1}, 0)


def test_nobody_votes_on_what_is_theirs() -> None:
    """A node on itself, and a person on the nodes they answer for."""
    fleet = Fleet()
    fleet.nodes("node-1", principal="alice")
    fleet.judges("node-1", "alice", principal="alice")
    fleet.verdict("node-1", "node-1", 1)
    fleet.verdict("alice", "node-1", 2)

    assert [vote["ignored"] for vote in fleet.votes] == ["own_artifact", "own_artifact"]


def test_a_judges_first_vote_on_an_artifact_stands() -> None:
    """A second one is ignored, whatever it says; another judge's counts, but tests the same claim no second time."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol", "dave")
    fleet.verdict("carol", "node-1", 1, "confirmed")
    fleet.verdict("carol", "node-1", 1, "refuted")
    fleet.verdict("dave", "node-1", 1, "refuted")

    assert [(v["ignored"], v["weight"], v["tested"]) for v in fleet.votes] == [
        (None, 1.0, True),
        ("repeated", 0.0, False),
        (None, 1.0, False),
    ]


def test_who_is_no_judge_is_a_dead_letter() -> None:
    """Unknown, or with another's token, or a revoked one: nobody is told, the bytes are kept."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.verdict("nobody", "node-1", 1)
    fleet.judges("carol")
    fleet.verdict("carol", "node-1", 2, generation=2)
    fleet.judges("carol", generation=2)
    fleet.verdict("carol", "node-1", 3)
    fleet.verdict("carol", "node-1", 4, generation=2)
    fleet.give("verdicts", (b"node-1", b"nonsense", []))

    assert fleet.counts["dead_lettered:unknown_judge"] == 1
    assert fleet.counts["dead_lettered:bad_signature"] == 2
    assert fleet.counts["dead_lettered:not_avro"] == 1
    assert len(fleet.votes) == 1


def test_a_verdict_on_a_node_that_is_not_known_yet_counts_nothing() -> None:
    """Its registration comes later: the verdict can be repeated then."""
    fleet = Fleet()
    fleet.judges("carol")
    fleet.verdict("carol", "node-1", 1)
    fleet.nodes("node-1")
    fleet.verdict("carol", "node-1", 1)

    assert [vote["ignored"] for vote in fleet.votes] == ["unknown_node", None]


def test_a_judge_of_half_weight_weighs_half() -> None:
    """Each judge with a weight of its own; a suspicious one with half of it."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol", weight=0.5)
    fleet.verdict("carol", "node-1", 1)

    assert fleet.votes[0]["weight"] == 0.5


def test_the_hundred_and_first_vote_of_an_hour_counts_nothing_and_makes_its_node_suspicious() -> None:
    """Effective score halved; it lapses after 24 clean hours in which the node was active, and silence never heals."""
    fleet = Fleet()
    fleet.established("voter", "node-1")
    fleet.judges("voter", principal="p-voter")
    for number in range(101):
        fleet.verdict("voter", "node-1", number)
    said = fleet.last("voter")

    assert [vote["ignored"] for vote in fleet.votes].count(None) == 100
    assert fleet.votes[-1]["ignored"] == "too_many"
    assert (said["cause"], said["suspicious_hours"], said["effective"]) == ("brigading", 24, said["score"] / 2)
    fleet.hours(30)
    assert fleet.last("voter")["suspicious_hours"] == 24
    for _ in range(24):
        fleet.receipt("voter")
        fleet.hours(1)
    assert (fleet.last("voter")["suspicious_hours"], fleet.last("voter")["effective"]) == (
        0,
        fleet.last("voter")["score"],
    )


def test_the_thousand_and_first_vote_of_a_day_counts_nothing() -> None:
    """84 an hour are within the hourly limit; the day's is reached in the twelfth hour. Wherever the batches are cut."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol")
    for hour in range(12):
        for number in range(84):
            fleet.verdict("carol", "node-1", 84 * hour + number)
        fleet.hours(1)

    assert [vote["ignored"] for vote in fleet.votes].count(None) == 1000
    assert [vote["ignored"] for vote in fleet.votes[1000:]] == ["too_many"] * 8


def test_a_node_on_probation_votes_in_vain() -> None:
    """New names can't vote each other up."""
    fleet = Fleet()
    fleet.nodes("sybil", "node-1")
    fleet.judges("sybil", principal="p-sybil")
    fleet.verdict("sybil", "node-1", 1)

    assert fleet.votes[0]["ignored"] == "on_probation"


def test_corroboration_counts_once_for_each_principal_and_only_another_ones() -> None:
    """Not of the same principal, not of a newcomer, not the same content twice."""
    fleet = Fleet()
    fleet.nodes("node-1", principal="alice")
    fleet.nodes("node-2", principal="alice")
    fleet.nodes("new")
    fleet.established("other", "another")
    fleet.nodes("twin", principal="p-other")
    for by in ("node-2", "new", "other", "other", "another", "stranger"):
        fleet.corroboration("node-1", by)
    fleet.corroboration("node-1", "other", number=2, simulated=True)

    assert {k: v for k, v in fleet.counts.items() if k.startswith("corroboration")} == {
        "corroboration_ignored:same_principal": 1,
        "corroboration_ignored:on_probation": 1,
        "corroboration_ignored:repeated": 1,
        "corroboration_ignored:unknown_node": 1,
        "corroboration_ignored:simulated": 1,
        "corroboration": 2,
    }
    tally = fleet.node("node-1").epoch.evidence["corroboration"]
    assert (tally.records, tally.successes) == (2, pytest.approx(2 * 0.25 * 0.5 * 0.5)), "of them nothing else is known"


def test_whoever_says_nothing_but_what_another_has_said_is_its_echo() -> None:
    """Two nodes say 40 artifacts each hour; for one all of them are node-1's, for the other two are. After an hour and after three."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.established("echo", "witness")
    weights = []
    for hour in range(3):
        for by, repeated in (("echo", 40), ("witness", 2)):
            fleet.receipt(by, accepted=40)
            for number in range(repeated):
                fleet.corroboration("node-1", by, number=1000 * hour + 100 * (by == "echo") + number)
        echo, witness = (rep.independence(fleet.node(name), "p-node-1") for name in ("echo", "witness"))
        weights.append((round(echo, 3), round(witness, 3)))
        fleet.hours()
    assert weights[0] == (round(1 / 42, 3), round(1 - 3 / 42, 3))
    assert weights[2][0] < 0.01 and weights[2][1] > 0.93


def test_collections_count_once_and_unchanged_is_no_outcome() -> None:
    """Empty is not a success; a success without artifacts isn't one either."""
    fleet = Fleet()
    fleet.nodes("node-1")
    for number, (outcome, count) in enumerate(
        [("success", 2), ("empty", 0), ("failure", 0), ("unchanged", 0), ("success", 0)]
    ):
        fleet.collection("node-1", number, outcome, count)
    fleet.collection("node-1", 0)
    fleet.collection("node-1", 9, simulated=True)
    fleet.collection("node-1", 10, late=True)
    tally = fleet.node("node-1").epoch.evidence["collection"]

    assert (tally.records, tally.successes, tally.failures) == (4, 1.0, 3.0)
    assert fleet.counts["collection_ignored:repeated"] == 1


def test_inflated_claims_drop_a_node_to_the_floor_at_once_and_only_probation_brings_it_back() -> None:
    """Claims of 1.0, truth 0.7: with the verdict that proves it, not at the end of the hour."""
    fleet = Fleet()
    fleet.established("liar", "honest")
    fleet.judges("carol", "dave")
    said = len(fleet.said)
    number = 0
    for _hour in range(3):
        for n in range(20):
            number += 1
            fleet.verdict("carol", "liar", number, "confirmed" if n % 10 < 7 else "refuted", claimed=1.0)
            fleet.verdict("dave", "honest", number, "confirmed" if n % 10 < 8 else "refuted", claimed=0.8)
        fleet.hours(1)
    causes = [e["cause"] for e in fleet.said[said:] if e["node_id"] == "liar"]
    found = next(e for e in fleet.said if e["cause"] == "inflation_detected")

    assert causes[0] == "inflation_detected"
    assert found["e_value"] >= 1 / 0.035
    assert (found["score"], found["probation_left"], found["demoted"], found["grade"]) == (0.1, 20, True, "E")
    assert fleet.last("liar")["effective"] < 0.8 * fleet.last("honest")["effective"]
    assert fleet.last("liar")["score"] == 0.1, "no rise on probation"


def test_a_new_id_of_a_demoted_nodes_principal_starts_where_that_one_stands() -> None:
    """Node ids can't be shed."""
    fleet = Fleet()
    fleet.nodes("liar", principal="mallory")
    fleet.judges("carol")
    for number in range(6):
        fleet.verdict("carol", "liar", number, "refuted", claimed=0.95)
    fleet.nodes("liar-2", principal="mallory")
    fleet.nodes("liar", principal="mallory", generation=2)
    fleet.nodes("other")

    assert fleet.last("liar-2")["score"] == 0.1
    assert fleet.node("liar").score == 0.1, "a new token is no new node"
    assert fleet.last("other")["score"] == 0.5


def test_quota_follows_success_after_five_outcomes() -> None:
    """int(1000 · 2 · rate), at most 2,000, at least 10."""
    fleet = Fleet()
    fleet.nodes("good", "bad", "new", "half")
    fleet.judges("carol")
    for number in range(6):
        fleet.verdict("carol", "good", number, "confirmed", claimed=0.0)
        fleet.verdict("carol", "bad", number, "refuted", claimed=0.0)
        fleet.verdict("carol", "half", number, "confirmed" if number % 2 else "refuted", claimed=0.0)
    for number in range(4):
        fleet.verdict("carol", "new", number, "refuted", claimed=0.0)
    fleet.hours(1)

    assert [fleet.last(name)["quota"] for name in ("good", "bad", "new", "half")] == [2000, 10, 1000, 1000]


def test_untested_claims_far_above_the_others_halve_the_effective_score() -> None:
    """Leave-one-out z over 3; the first verdict ends it."""
    fleet = Fleet()
    fleet.nodes(*(f"node-{n}" for n in range(6)), "loud")
    fleet.judges("carol")
    for n in range(6):
        fleet.receipt(f"node-{n}", accepted=20, claimed=0.28 + n / 100)
    fleet.receipt("loud", accepted=20, claimed=0.88)
    fleet.hours(1)
    loud = fleet.last("loud")
    fleet.verdict("carol", "loud", 1)
    fleet.hours(1)

    assert (loud["anomalous"], loud["effective"]) == (True, 0.25)
    assert [fleet.last(f"node-{n}")["anomalous"] for n in range(6)] == [False] * 6
    assert fleet.last("loud")["anomalous"] is False


def test_silence_costs_five_percent_a_day_behind_the_first_and_heals_nothing() -> None:
    """By hourly ticks; the next artifact ends it."""
    fleet = Fleet()
    fleet.established("node-1")
    fleet.receipt("node-1")
    fleet.hours(1)
    score = fleet.last("node-1")["score"]
    seen = {}
    for hour in range(1, 97):
        fleet.hours(1)
        seen[hour] = fleet.last("node-1")["effective"]
    fleet.receipt("node-1")
    fleet.hours(1)

    assert [seen[h] for h in (24, 46, 47, 71, 95)] == pytest.approx(
        [score, score, *(score * 0.95**d for d in (1, 2, 3))]
    )
    assert fleet.last("node-1")["effective"] == fleet.last("node-1")["score"]


def test_newcomers_together_have_a_tenth_of_the_weight() -> None:
    """A hundred of them beside ten that are established: within the hour they join, and in the hours after."""
    fleet = Fleet()
    old, new = [f"old-{n}" for n in range(10)], [f"new-{n}" for n in range(100)]
    fleet.established(*old)
    for name in old:
        fleet.receipt(name, accepted=50)
    fleet.hours(1)

    def share() -> float:
        weight = {name: 50 * fleet.last(name)["effective"] for name in (*old, *new)}
        return sum(weight[name] for name in new) / sum(weight.values())

    fleet.nodes(*new)
    joining = share()
    for name in (*old, *new):
        fleet.receipt(name, accepted=50)
    fleet.hours(1)

    assert joining <= 0.1 + 1e-3  # who joins last is left a millionth
    assert share() == pytest.approx(0.1, abs=1e-6)


def test_a_clock_that_goes_back_one_hour_ends_no_epoch_twice() -> None:
    """The slot is what counts, and votes stay in the later hour."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol")
    fleet.hours(2)
    for number in range(60):
        fleet.verdict("carol", "node-1", number)
    fleet.now -= HOUR_MS
    fleet.tick(fleet.now)
    for number in range(60, 120):
        fleet.verdict("carol", "node-1", number)

    assert fleet.counts["repeated_tick"] == 1
    assert [vote["ignored"] for vote in fleet.votes] == [None] * 100 + ["too_many"] * 20


def test_cutting_the_batches_otherwise_decides_the_same() -> None:
    """Record by record, as it came, and everything of a source in one batch between two ticks: the same rows, the same revisions."""
    fleet = Fleet()
    fleet.established("a", "b", "c")
    fleet.judges("carol", "a")
    for hour in range(4):
        for n in range(30):
            fleet.verdict("carol", "b", 100 * hour + n, "refuted" if n % 3 else "confirmed", claimed=0.9)
        for n in range(30):
            fleet.corroboration("c", "a", 100 * hour + n)
        fleet.hours(1)
    rows, said = MemoryRows(), list[bytes]()
    again = stage(Context(fleet.topology, fleet.topology.agent("s3_reputation"), RULE, SECRET))
    merged: list[Batch] = []
    for batch in fleet.batches:
        if merged and merged[-1].source == batch.source:
            merged[-1] = Batch(batch.source, 0, [*merged[-1].records, *batch.records])
        else:
            merged.append(batch)
    for batch in merged:
        decided = again.decide(rows, batch)
        rows.apply(decided.rows)
        said += [message["value"] for message in decided.outputs.get("reputation.log", [])]

    assert len(merged) < len(fleet.batches) / 5
    assert [m["value"] for d in fleet.decided for m in d.outputs.get("reputation.log", [])] == said
    assert fleet.rows.data == rows.data


@pytest.mark.parametrize("source", ["control", "receipts", "corroborations", "verdicts", "collections"])
@pytest.mark.parametrize(
    "value", [None, b"", b"\x00", b"\x00\x00\x00\x00\x0b\xff\xff", b"\x00\x00\x00\x00\x0d" + bytes(9), b"garbage"]
)
def test_garbage_on_any_source_stops_nothing(source: str, value: bytes | None) -> None:
    """The next record counts."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.give(source, (b"node-1", value, None))
    fleet.give(source, (None, value, [("icn_mac", b"0" * 16)]))
    fleet.collection("node-1", 1)

    assert fleet.counts["collection"] == 1


def test_a_weight_out_of_range_registers_nobody() -> None:
    """NaN, less than nothing, more than one."""
    fleet = Fleet()
    for number, weight in enumerate((float("nan"), -0.1, 1.1)):
        fleet.judges(f"judge-{number}", weight=weight)

    assert "judge_registered" not in fleet.counts


def test_many_that_register_at_once_are_what_they_are_one_by_one() -> None:
    """Beside an established fleet, two of them of a demoted node's principal: in one batch, and each in its own."""
    fleets = []
    for at_once in (True, False):
        fleet = Fleet()
        fleet.established("old-1", "old-2")
        for name in ("old-1", "old-2"):
            fleet.receipt(name, accepted=100)
        fleet.hours(1)
        fleet.nodes("liar", principal="mallory")
        fleet.judges("carol")
        for number in range(4):
            fleet.verdict("carol", "liar", number, "refuted", claimed=0.95)
        names = [(f"new-{n}", "mallory" if n in (3, 7) else f"p-{n}") for n in range(40)]
        records = [fleet.registration("node_registered", name, principal=principal) for name, principal in names]
        for batch in [records] if at_once else [[record] for record in records]:
            fleet.give("control", *batch)
        fleets.append(fleet)

    assert fleets[0].rows.data == fleets[1].rows.data
    assert [fleets[0].last(f"new-{n}")["score"] for n in (2, 3, 7)] == [0.5, 0.1, 0.1]
    assert fleets[0].last("new-0")["share"] > fleets[0].last("new-39")["share"] == 1e-6


def test_the_same_bytes_again_use_up_nothing() -> None:
    """Whoever can read and write the topic sends a judge's verdict a hundred times: the node that gave it is not suspicious."""
    fleet = Fleet()
    fleet.established("voter", "node-1")
    fleet.judges("voter", principal="p-voter")
    fleet.verdict("voter", "node-1", 1)
    record = fleet.batches[-1].records[0]
    for _ in range(150):
        fleet.give("verdicts", (record.key, record.value, record.headers))
    fleet.verdict("voter", "node-1", 2)

    assert [vote["ignored"] for vote in fleet.votes] == [None, *["repeated"] * 150, None]
    assert "brigading" not in [said["cause"] for said in fleet.said]


def test_an_old_verdict_sent_again_after_the_horizon_counts_nothing() -> None:
    """What the judge signed names its time."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("carol")
    fleet.verdict("carol", "node-1", 1)
    record = fleet.batches[-1].records[0]
    fleet.now += 200 * 24 * HOUR_MS
    fleet.give("verdicts", (record.key, record.value, record.headers))

    assert [vote["ignored"] for vote in fleet.votes] == [None, "out_of_time"]


def test_a_voice_of_little_weight_does_not_use_up_a_claims_test() -> None:
    """A friend confirms with weight 0.01 before the judge refutes: the claim is tested all the same."""
    fleet = Fleet()
    fleet.nodes("liar")
    fleet.judges("friend", weight=0.01)
    fleet.judges("carol")
    for number in range(4):
        fleet.verdict("friend", "liar", number, "confirmed", claimed=0.95)
        fleet.verdict("carol", "liar", number, "refuted", claimed=0.95)

    assert "inflation_detected" in [said["cause"] for said in fleet.said]


def test_a_tick_of_a_clock_that_is_ahead_ends_nothing() -> None:
    """Nor one that is no hour; the next true one does."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.tick(fleet.now + 365 * 24 * HOUR_MS)
    fleet.tick(fleet.now + 1)
    fleet.hours(1)

    assert (fleet.counts["ignored:tick"], fleet.counts["epoch_ended"]) == (2, 1)


@pytest.mark.parametrize("change", [{"node_id": "n" * 129}, {"principal": "\x01" * 129}, {"capabilities": ["c"] * 65}])
def test_a_registration_that_rows_have_no_room_for_registers_nobody(change: dict[str, Any]) -> None:
    """Control is kept for ever: one huge record would stop the stage for ever."""
    fleet = Fleet()
    fleet.control("node_registered", "node-1", **change)
    fleet.control("judge_registered", "node-1", **{"weight": 1.0, **change})

    assert fleet.counts == {"ignored:registration": 2}


def test_a_forged_receipt_moves_nothing() -> None:
    """Counts below nothing, or more than an artifact can claim."""
    fleet = Fleet()
    fleet.nodes("node-1")
    before = fleet.node("node-1")
    for accepted, refused, claimed in ((-1, 5, 0.0), (5, -1, 0.1), (1, 0, 2.0)):
        fleet.receipt("node-1", accepted, refused, claimed)

    assert fleet.node("node-1") == before


def test_a_new_token_is_a_revision() -> None:
    """Behind an epoch a node's row is its newest revision's state, its token's generation too."""
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.nodes("node-1", generation=2)
    fleet.nodes("node-1", generation=2)

    assert [(said["revision"], said["cause"]) for said in fleet.said] == [(1, "registered"), (2, "registered")]


def test_a_judge_is_a_node_only_if_one_principal_answers_for_both() -> None:
    """A judge that took a node's name harms it no more than any other judge; and can't vote for what is its principal's."""
    fleet = Fleet()
    fleet.established("victim", "node-1")
    fleet.judges("victim", principal="mallory", weight=0.0)
    for number in range(101):
        fleet.verdict("victim", "node-1", number)
    fleet.nodes("a1", "a2", principal="alice")
    fleet.judges("a1", principal="bob")
    fleet.verdict("a1", "a2", 1)

    assert fleet.last("victim")["suspicious_hours"] == 0
    assert fleet.votes[-1]["ignored"] == "own_artifact"


def test_many_newcomers_of_one_mind_make_no_established_node_an_outlier() -> None:
    """Ten that are established claim 0.5, a hundred newcomers nothing."""
    fleet = Fleet()
    old = [f"old-{n}" for n in range(10)]
    fleet.nodes(*old, *(f"new-{n}" for n in range(100)))
    for name in old:
        for _ in range(20):
            fleet.receipt(name)
            fleet.hours(1)
    for n in range(100):
        fleet.receipt(f"new-{n}", accepted=50, claimed=0.0)
    for name in old:
        fleet.receipt(name, accepted=50, claimed=0.5)
    fleet.hours(1)

    assert not any(fleet.last(name)["anomalous"] for name in old)


def test_a_judge_that_is_not_trusted_alone_cannot_demote_alone() -> None:
    """Weight 0.9: false verdicts of one principal, under two names, move only the slow channel; another's is the last straw."""
    fleet = Fleet()
    fleet.nodes("honest")
    fleet.judges("mallory", "malcolm", weight=0.9, principal="p-mallory")
    fleet.judges("dave", weight=0.9)
    for number in range(20):
        fleet.verdict("mallory" if number % 2 else "malcolm", "honest", number, "refuted", claimed=0.95)
    fleet.hours(1)
    alone = fleet.last("honest")
    fleet.verdict("dave", "honest", 99, "refuted", claimed=0.95)

    assert (alone["cause"], alone["score"]) == ("epoch_ended", 0.45), "0.05 an hour is the most"
    assert alone["e_value"] < 28 and alone["against"] == {"p-mallory": pytest.approx(20)}
    assert fleet.last("honest")["cause"] == "inflation_detected"
    assert set(fleet.last("honest")["against"]) == {"p-mallory", "p-dave"}
    assert fleet.node("honest").voices == {}, "its bets have started afresh"


def test_a_collection_counts_only_near_the_time_when_it_ended() -> None:
    """A copy that comes when its id is forgotten is too old to count; one from the future could be counted twice."""
    fleet = Fleet()
    fleet.nodes("node-1")
    day = 24 * HOUR_MS
    fleet.collection("node-1", 1)
    for number, ended_at in ((2, fleet.now - 180 * day), (3, fleet.now + 2 * day), (4, 0), (5, fleet.now - 100 * day)):
        fleet.collection("node-1", number, ended_at=ended_at)
    first = fleet.now
    fleet.now += 180 * day + 1
    fleet.collection("node-1", 1, ended_at=first)

    assert (fleet.counts["collection"], fleet.counts["collection_ignored:out_of_time"]) == (2, 4)


def test_a_tick_older_than_what_is_remembered_ends_nothing() -> None:
    """The row that says which epoch was the last goes with the horizon; a copy of an old tick must not find it gone."""
    fleet = Fleet()
    fleet.hours(1)
    old = fleet.now
    fleet.now += 181 * 24 * HOUR_MS
    fleet.tick(old - HOUR_MS)

    assert (fleet.counts["epoch_ended"], fleet.counts["ignored:tick"]) == (1, 1)


def scenario_of(number: int, slot_ms: int = HOUR) -> dict[str, Any]:
    """What a trainer's verdict says of the scenario that it answers."""
    made = scenario_seal(derive(SECRET, "scenario-seal"), slot_ms, bytes(40))
    return {"scenario_id": f"phoenix_a-{number}", "scenario_slot_ms": slot_ms, "scenario_seal": made}


def test_a_trainers_vote_weighs_as_much_as_it_is_sure_and_unclear_nothing() -> None:
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("trainer", weight=0.5)
    fleet.verdict("trainer", "node-1", 1, weight=0.4, **scenario_of(1))
    fleet.verdict("trainer", "node-1", 2, "unclear", **scenario_of(2))
    fleet.verdict("trainer", "node-1", 2, "confirmed", **scenario_of(2))  # now it knows
    assert [(vote["outcome"], vote["weight"], vote["ignored"]) for vote in fleet.votes] == [
        ("confirmed", 0.2, None),
        ("unclear", 0.0, "unclear"),
        ("confirmed", 0.5, None),
    ]
    fleet.hours()
    assert fleet.last("node-1")["outcomes"] == 2


@pytest.mark.parametrize(
    "forged",
    [{"scenario_seal": bytes(16)}, {"scenario_seal": None}, {"scenario_slot_ms": HOUR + 60_000}],
    ids=["another seal", "no seal", "another minute"],
)
def test_a_vote_on_what_was_never_fed_counts_nothing(forged: dict[str, Any]) -> None:
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("trainer")
    fleet.verdict("trainer", "node-1", 1, "refuted", **scenario_of(1) | forged)
    assert [(vote["ignored"], vote["weight"]) for vote in fleet.votes] == [("not_fed", 0.0)]


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_makes_a_dead_letter(weight: float) -> None:
    fleet = Fleet()
    fleet.nodes("node-1")
    fleet.judges("trainer")
    fleet.verdict("trainer", "node-1", 1, weight=weight, **scenario_of(1))
    assert fleet.votes == [] and len(fleet.decided[-1].outputs["verdicts.dlq"]) == 1
