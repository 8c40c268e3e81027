"""s1 as a pure function: every refusal with its reason, quotas exact wherever the batch is cut."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from streams.agents import s1_intake
from streams.bench.load import SECRET, T0, artifact
from streams.codec import decoder, encoder
from streams.domain.identity import MAC_HEADER, node_token, sign
from streams.runtime.stage import Batch, Context, Decided, MemoryRows, Record
from streams.secrets import derive
from streams.topology import PACKAGE, parse

ENCODE, DECODE = encoder("artifact"), decoder("receipt")
HOUR = T0 // 3_600_000 * 3_600_000


class Intake:
    """s1 over rows in memory, nodes registered."""

    def __init__(self, **intake: int) -> None:
        raw = yaml.safe_load((PACKAGE.parent / "topology.yaml").read_text())
        raw["protocol"]["intake"] |= intake
        topology = parse(raw)
        self.stage = s1_intake.stage(Context(topology, topology.agent("s1"), b"rule----", SECRET))
        self.rows = MemoryRows()
        self.offset = 0

    def register(self, *nodes: str, generation: int = 1) -> None:
        """Through control, as it happens."""
        encode = encoder("control")
        records = [
            Record(
                i,
                T0,
                node.encode(),
                encode(
                    {
                        "kind": "node_registered",
                        "slot_ms": T0,
                        "cadence_ms": 0,
                        "node_id": node,
                        "principal": "p",
                        "generation": generation,
                        "capabilities": [],
                        "capacity": 3,
                    }
                ),
            )
            for i, node in enumerate(nodes)
        ]
        self.rows.apply(self.stage.decide(self.rows, Batch("control", 0, records)).rows)

    def record(
        self, value: bytes, node: str = "node-1", at: int = HOUR, generation: int = 1, headers: Any = None
    ) -> Record:
        """A raw record, signed unless `headers` say otherwise."""
        token = node_token(derive(SECRET, "node-token"), node, generation)
        self.offset += 1
        return Record(
            self.offset - 1,
            at,
            node.encode(),
            value,
            [(MAC_HEADER, sign(token, node.encode(), value))] if headers is None else headers,
        )

    def decide(self, *records: Record) -> Decided:
        """One batch."""
        decided = self.stage.decide(self.rows, Batch("artifacts.raw", 0, records))
        self.rows.apply(decided.rows)
        return decided


def outcomes(decided: Decided) -> list[tuple[str, str | None]]:
    """(outcome, reason) of every artifact told of."""
    return [
        (o["outcome"], o["reason"])
        for message in decided.outputs.get("receipts", [])
        for o in DECODE(message["value"])["outcomes"]
    ]


@pytest.fixture
def intake() -> Intake:
    """One node."""
    made = Intake()
    made.register("node-1")
    return made


def test_an_artifact_in_order_is_admitted_with_its_original_bytes(intake: Intake) -> None:
    """Keyed by its content's hash; reputation and what the quota saw ride along."""
    value = ENCODE(artifact(1))

    decided = intake.decide(intake.record(value))

    (message,) = decided.outputs["artifacts.admitted"]
    event = decoder("admitted")(message["value"])
    assert value == event["artifact"]
    assert (
        event["facts"]["effective_reputation"],
        event["facts"]["reputation_revision"],
        event["facts"]["node_hour_used"],
    ) == (0.5, 0, 0)
    assert len(message["key"]) == 32
    assert outcomes(decided) == [("admitted", None)]


BAD = [
    ("garbage", b"\x07garbage", "not_avro"),
    ("no bytes", b"", "not_avro"),
    ("unknown schema", b"\x00\x00\x00\x27\x0f" + b"x", "unknown_schema_id"),
    (
        "another event",
        encoder("link")(
            {
                "dedup_hash": bytes(40),
                "artifact_id": "a",
                "near_duplicate_of": "b",
                "first_seen_ms": 0,
                "similarity": 1.0,
                "method": "m",
                "idf_version": 0,
                "rule": bytes(8),
            }
        ),
        "wrong_type",
    ),
    ("cut short", ENCODE(artifact(1))[:-9], "not_avro"),
    ("bytes behind", ENCODE(artifact(1)) + b"!", "not_avro"),
    ("NaN", ENCODE(artifact(1, confidence=float("nan"))), "not_a_number"),
    ("out of range", ENCODE(artifact(1, threat_level=10.1)), "out_of_range"),
    ("empty", ENCODE(artifact(1, content="")), "empty"),
    ("1 MiB + 1", ENCODE(artifact(1, content="x" * ((1 << 20) + 1))), "oversize"),
    ("not UTF-8", ENCODE(artifact(1, content="0123456789")).replace(b"0123456789", b"01234\xff6789"), "invalid_utf8"),
    ("another node's name", ENCODE(artifact(1, "node-2")), "node_mismatch"),
    (
        "100 k metadata keys",
        ENCODE(artifact(1, metadata={f"{i:05}": "" for i in range(100_000)})),
        "metadata_too_large",
    ),
]


@pytest.mark.parametrize(("value", "reason"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_a_dead_letter_with_its_reason_and_the_next_is_processed(
    intake: Intake, value: bytes, reason: str
) -> None:
    """Original bytes kept; the sender, whose signature fits, is told."""
    decided = intake.decide(intake.record(value), intake.record(ENCODE(artifact(2))))

    (letter,) = decided.outputs["artifacts.raw.dlq"]
    assert (value, b"node-1") == (letter["value"], letter["key"])
    assert reason.encode() == dict(letter["headers"])["icn_dlq_reason"]
    assert [("dead_lettered", reason), ("admitted", None)] == outcomes(decided)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"headers": []}, "bad_signature"),
        ({"headers": [(MAC_HEADER, b"0" * 16)]}, "bad_signature"),
        ({"headers": [(MAC_HEADER, b"0" * 16)] * 2}, "bad_signature"),
        ({"node": "stranger"}, "unknown_node"),
        ({"generation": 2}, "bad_signature"),
    ],
)
def test_who_can_not_prove_who_they_are_is_not_heard_and_not_answered(
    intake: Intake, change: dict, reason: str
) -> None:
    """No receipt: it would go to the node whose name was forged."""
    decided = intake.decide(intake.record(ENCODE(artifact(1, change.get("node", "node-1"))), **change))

    assert reason.encode() == dict(decided.outputs["artifacts.raw.dlq"][0]["headers"])["icn_dlq_reason"]
    assert "receipts" not in decided.outputs


def test_a_record_of_one_node_under_anothers_key_is_refused() -> None:
    """Signed by its own node, keyed as the other: the signature covers the key's node."""
    intake = Intake()
    intake.register("node-1", "node-2")
    record = intake.record(ENCODE(artifact(1)))

    decided = intake.decide(record._replace(key=b"node-2"))

    assert decided.counts == {"dead_lettered": 1, "dead_lettered:bad_signature": 1}


def test_a_new_token_revokes_the_old_one(intake: Intake) -> None:
    """Generation 2 is registered: 1 no longer fits, and registering 1 again changes nothing."""
    intake.register("node-1", generation=2)
    intake.register("node-1", generation=1)

    assert intake.decide(intake.record(ENCODE(artifact(1)))).counts == {
        "dead_lettered": 1,
        "dead_lettered:bad_signature": 1,
    }
    assert intake.decide(intake.record(ENCODE(artifact(1)), generation=2)).counts == {"admitted": 1}


def test_a_re_sent_artifact_gets_its_receipt_again_and_spends_no_quota(intake: Intake) -> None:
    """In the same batch and in a later one."""
    value = ENCODE(artifact(1))

    first = intake.decide(intake.record(value), intake.record(value))
    later = intake.decide(intake.record(value), intake.record(ENCODE(artifact(2))))

    assert outcomes(first) == [("admitted", None), ("resent", None)]
    assert outcomes(later) == [("resent", None), ("admitted", None)]
    assert DECODE(later.outputs["receipts"][0]["value"])["quota_left"] == 998


def test_an_id_with_other_content_is_rejected(intake: Intake) -> None:
    """An artifact is immutable."""
    decided = intake.decide(
        intake.record(ENCODE(artifact(1))), intake.record(ENCODE(artifact(1, content="something else")))
    )

    assert outcomes(decided) == [("admitted", None), ("rejected", "id_reused")]


def test_two_nodes_may_use_the_same_id() -> None:
    """Ids are a node's own."""
    intake = Intake()
    intake.register("node-1", "node-2")

    assert intake.decide(
        intake.record(ENCODE(artifact(1))), intake.record(ENCODE(artifact(1, "node-2")), "node-2")
    ).counts == {"admitted": 2}


def test_after_the_horizon_an_id_is_forgotten(intake: Intake) -> None:
    """180 days of broker time."""
    intake.decide(intake.record(ENCODE(artifact(1))))

    decided = intake.decide(intake.record(ENCODE(artifact(1)), at=HOUR + 180 * 86_400_000 + 1))

    assert decided.counts == {"admitted": 1}


@pytest.mark.parametrize("cut", [1, 7, 100, 1500])
def test_1000_of_1500_are_accepted_wherever_the_batches_are_cut(cut: int) -> None:
    """The first thousand, then quota_exceeded with the time to the next hour; then a new hour."""
    intake = Intake()
    intake.register("node-1")
    told: Counter[tuple[str, str | None]] = Counter()
    for start in range(0, 1500, cut):
        told.update(
            outcomes(
                decided := intake.decide(
                    *(
                        intake.record(ENCODE(artifact(n)), at=HOUR + 60_000)
                        for n in range(start, min(start + cut, 1500))
                    )
                )
            )
        )
    receipt = DECODE(decided.outputs["receipts"][-1]["value"])

    assert dict(told) == {("admitted", None): 1000, ("rejected", "quota_exceeded"): 500}
    assert (receipt["quota_left"], receipt["retry_after_ms"], receipt["status"]) == (0, 3_540_000, "constrained")
    assert receipt["suggestions"] == ["reduce collection frequency", "focus on higher-priority targets"]
    assert intake.decide(intake.record(ENCODE(artifact(1400)), at=HOUR + 3_600_000)).counts == {"admitted": 1}


def test_the_global_limit_holds_over_all_nodes() -> None:
    """Ten nodes, a limit of 25."""
    intake = Intake(global_per_hour=25)
    nodes = [f"node-{n}" for n in range(10)]
    intake.register(*nodes)

    decided = intake.decide(*(intake.record(ENCODE(artifact(n, nodes[n % 10])), nodes[n % 10]) for n in range(40)))

    assert (decided.counts["admitted"], decided.counts["rejected:quota_exceeded"]) == (25, 15)


def test_ticks_and_unknown_controls_are_counted_and_change_nothing(intake: Intake) -> None:
    """Control is read by s1 for registrations only, so far."""
    tick = encoder("control")(
        {
            "kind": "tick",
            "slot_ms": HOUR,
            "cadence_ms": 60_000,
            "node_id": None,
            "principal": None,
            "generation": 0,
            "capabilities": [],
            "capacity": 0,
        }
    )

    decided = intake.stage.decide(
        intake.rows, Batch("control", 0, [Record(0, HOUR, b"", tick), Record(1, HOUR, b"", b"?")])
    )

    assert (decided.counts, {k: v for k, v in decided.rows.items() if v}) == ({"tick": 1, "ignored:not_avro": 1}, {})


# -- what comes back ----------------------------------------------------------


def revised(node: str, revision: int, effective: float, quota: int) -> Record:
    """A revision, as s3 writes it."""
    event = {
        "node_id": node, "revision": revision, "cause": "epoch_ended", "at_ms": HOUR, "principal": "p", "score": effective,
        "effective": effective, "uncertainty": 0.1, "success_rate": None, "grade": "C", "quota": quota, "e_value": 1.0,
        "epochs": 0, "outcomes": 0, "probation_left": 0, "demoted": False, "anomalous": False, "suspicious_hours": 0,
        "idle_days": 0, "share": 1.0, "step": 0.0, "evidence": [], "ignored": {}, "state": b"", "input_topic": "control",
        "input_partition": 0, "input_offset": 0, "rule": bytes(8),
    }  # fmt: skip
    return Record(revision, HOUR, node.encode(), encoder("reputation")(event))


def batch_of(stage: str, **counts: int) -> Record:
    """A checkpoint, as a stage writes it."""
    event = {
        "stage": stage, "partition": 0, "sequence": 0, "topic": "artifacts.admitted", "first_offset": 0, "last_offset": 0,
        "records": 10, "redelivered": 0, "applied": {}, "counts": counts, "rule": bytes(8),
    }  # fmt: skip
    return Record(0, HOUR, stage.encode(), encoder("batch")(event))


def given(intake: Intake, source: str, *records: Record) -> Decided:
    """One batch of another source."""
    decided = intake.stage.decide(intake.rows, Batch(source, 0, records))
    intake.rows.apply(decided.rows)
    return decided


def test_the_newest_revision_is_stamped_and_its_quota_holds(intake: Intake) -> None:
    """Revision, effective score and limit are in the decision; one that is older, or out of order, or out of range changes nothing."""
    given(intake, "reputation.log", revised("node-1", 3, 0.72, 2))
    given(intake, "reputation.log", revised("node-1", 2, 0.5, 1000), revised("node-1", 10**9, 0.9, 0))
    given(intake, "reputation.log", revised("node-1", 4, float("inf"), 1000), revised("node-1", 4, 0.5, -1))

    decided = intake.decide(*(intake.record(ENCODE(artifact(n))) for n in range(3)))
    facts = decoder("admitted")(decided.outputs["artifacts.admitted"][1]["value"])["facts"]

    assert (facts["effective_reputation"], facts["reputation_revision"], facts["node_hour_used"]) == (0.72, 3, 1)
    assert facts["node_hour_limit"] == 2
    assert [outcome for outcome, _ in outcomes(decided)] == ["admitted", "admitted", "rejected"]
    assert "reputation revision 3" in DECODE(decided.outputs["receipts"][0]["value"])["outcomes"][2]["detail"]


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_full_intake_refuses_until_what_was_admitted_is_decided(cut: int) -> None:
    """50 undecided at most, exactly, wherever the batches are cut; retry in a minute; the depth is in decision and receipt."""
    intake = Intake(undecided_max=50)
    intake.register("node-1")
    told: Counter[tuple[str, str | None]] = Counter()
    for start in range(0, 80, cut):
        decided = intake.decide(*(intake.record(ENCODE(artifact(n))) for n in range(start, min(start + cut, 80))))
        told.update(outcomes(decided))
    receipt = DECODE(decided.outputs["receipts"][-1]["value"])
    relieved = given(
        intake,
        "batches",
        batch_of("s2_dedup", unique=6, upgraded=1, duplicate=2, dead_lettered=1),
        batch_of("s1_intake", admitted=9),
    )
    after = intake.decide(*(intake.record(ENCODE(artifact(n))) for n in range(100, 120)))

    assert dict(told) == {("admitted", None): 50, ("rejected", "intake_full"): 30}
    assert (receipt["undecided"], receipt["retry_after_ms"], receipt["status"]) == (50, 60_000, "constrained")
    assert relieved.counts == {"decided": 10}
    assert after.counts["admitted"] == 10
    facts = [decoder("admitted")(m["value"])["facts"]["undecided"] for m in after.outputs["artifacts.admitted"]]
    assert facts == list(range(40, 50))


def test_batches_of_others_come_to_nothing(intake: Intake) -> None:
    """Not worth a checkpoint, which would be a batch again, and so on for ever."""
    assert given(intake, "batches", batch_of("s1_intake", admitted=9), batch_of("s4_priority", scored=3)).is_nothing


def test_receipts_add_up_what_a_reputation_needs(intake: Intake) -> None:
    """Accepted, refused for another reason than a limit, and the claims; simulated artifacts only where everything is."""
    real = {"simulated": False, "threat_level": 5.0, "opportunity_value": 2.0, "confidence": 0.7}
    decided = intake.decide(
        intake.record(ENCODE(artifact(1, **real))),
        intake.record(ENCODE(artifact(2, **real))),
        intake.record(ENCODE(artifact(2, content="other", **real))),
        intake.record(ENCODE(artifact(3, content="", **real))),
        intake.record(ENCODE(artifact(4))),
    )
    receipt = DECODE(decided.outputs["receipts"][0]["value"])

    assert (receipt["accepted"], receipt["refused"]) == (2, 2)
    assert receipt["claimed"] == 2 * round(1e6 * (0.4 * 0.5 + 0.3 * 0.2 + 0.2 * 0.7))
