"""s2 and s4 as pure functions: decisions, corroboration, horizon, links; what they write is what Avro writes."""

from __future__ import annotations

from typing import Any

from streams.agents import s2_dedup, s4_priority
from streams.bench.load import SECRET, T0, admitted_records, artifact
from streams.codec import decoder, encoder
from streams.domain.artifact import hash_artifact
from streams.runtime.stage import Batch, Context, Decided, MemoryRows, Record
from streams.secrets import derive
from streams.topology import load

TOPOLOGY = load()
DECIDED, PRIORITY = decoder("decided"), decoder("priority")
DAY_MS = 86_400_000


class Chain:
    """A stage over rows in memory."""

    def __init__(self, module: Any, name: str) -> None:
        self.stage = module.stage(Context(TOPOLOGY, TOPOLOGY.agent(name), b"rule----", SECRET))
        self.rows = MemoryRows()
        self.offset = 0

    def decide(self, source: str, *records: tuple[bytes, bytes]) -> Decided:
        """One batch."""
        batch = Batch(source, 0, [Record(self.offset + i, T0, key, value) for i, (key, value) in enumerate(records)])
        self.offset += len(records)
        decided = self.stage.decide(self.rows, batch)
        self.rows.apply(decided.rows)
        return decided


def admitted(number: int, node: str = "node-1", raw_ms: int = T0, **fields: Any) -> tuple[bytes, bytes]:
    """(key, value) as s1 writes them."""
    made = artifact(number, node, **fields)
    hashes = hash_artifact(derive(SECRET, "content-hash"), made)
    kept = ("artifact_id", "node_id", "content_type", "confidence", "threat_level", "opportunity_value", "simulated")
    facts = {
        **{k: made[k] for k in kept},
        "dedup_hash": hashes.dedup,
        "source_digest": hashes.source,
        "seal": bytes(16),
        "hash_key_id": "0" * 8,
        "raw_partition": 0,
        "raw_offset": number,
        "raw_ms": raw_ms,
        "reputation_revision": 0,
        "effective_reputation": 0.5,
        "node_hour_used": 0,
        "global_hour_used": 0,
        "rule": b"s1 rule-",
    }
    return hashes.content, encoder("admitted")({"facts": facts, "artifact": encoder("artifact")(made)})


def decisions(decided: Decided) -> list[dict[str, Any]]:
    """The decided events, decoded (which refuses trailing bytes)."""
    return [DECIDED(message["value"]) for message in decided.outputs["artifacts.decided"]]


def test_two_equal_artifacts_in_one_batch_are_first_and_second() -> None:
    """A better third upgrades; facts and original bytes are passed on, a duplicate's bytes are not."""
    s2 = Chain(s2_dedup, "s2")
    same = {"content": "the same", "source": None}
    records = [
        admitted(1, **same, confidence=0.5),
        admitted(2, "node-2", **same, confidence=0.4),
        admitted(3, **same, confidence=0.9),
    ]

    events = decisions(s2.decide("artifacts.admitted", *records))

    assert [e["decision"] for e in events] == ["UNIQUE", "DUPLICATE", "UPGRADED"]
    assert [(e["version"], e["sightings"]) for e in events] == [(1, 1), (1, 2), (2, 3)]
    assert [
        e["read"] and (e["read"]["version"], e["read"]["best_confidence"], e["read"]["sightings"]) for e in events
    ] == [None, (1, 0.5, 1), (1, 0.5, 2)]
    for (_, value), event in zip(records, events, strict=True):
        sent = decoder("admitted")(value)
        assert sent["facts"] == event["facts"]
        assert (None if event["decision"] == "DUPLICATE" else sent["artifact"]) == event["artifact"]


def test_cutting_the_batch_elsewhere_changes_no_decision() -> None:
    """2,000 artifacts, 500 contents: in one batch, in twenty, one by one."""
    records = [(key, value) for key, value, _ in admitted_records(2000, 500)]
    written = []
    for size in (2000, 100, 1):
        s2 = Chain(s2_dedup, "s2")
        written.append(
            [
                m["value"]
                for start in range(0, 2000, size)
                for m in s2.decide("artifacts.admitted", *records[start : start + size]).outputs["artifacts.decided"]
            ]
        )

    assert written[0] == written[1] == written[2]


def test_the_same_content_from_another_source_is_unique_and_corroborates() -> None:
    """Independent only if the node differs as well."""
    s2 = Chain(s2_dedup, "s2")
    events = decisions(
        s2.decide(
            "artifacts.admitted",
            admitted(1, content="x", source="a"),
            admitted(2, content="x", source="b"),
            admitted(3, "node-2", content="x", source="c"),
        )
    )

    assert [e["decision"] for e in events] == ["UNIQUE"] * 3
    first = events[0]["facts"]["artifact_id"]
    assert [None, (first, False), (first, True)] == [
        e["corroborates"] and (e["corroborates"]["artifact_id"], e["corroborates"]["independent"]) for e in events
    ]


def test_after_the_horizon_the_same_content_is_new_again() -> None:
    """Event time on both sides; the old row is not even read."""
    s2 = Chain(s2_dedup, "s2")
    s2.decide("artifacts.admitted", admitted(1, content="x", source=None))

    at_horizon, after = decisions(
        s2.decide(
            "artifacts.admitted",
            admitted(2, content="x", source=None, raw_ms=T0 + 180 * DAY_MS),
            admitted(3, content="x", source=None, raw_ms=T0 + 180 * DAY_MS + 1),
        )
    )

    assert (at_horizon["decision"], after["decision"]) == ("DUPLICATE", "UNIQUE")
    assert (after["read"], after["corroborates"]) == (None, None)


def test_garbage_in_our_own_topic_is_a_dead_letter_and_the_next_is_decided() -> None:
    """Somebody else wrote there: no key, no header, cut short."""
    s2 = Chain(s2_dedup, "s2")
    key, value = admitted(1)

    decided = s2.decide("artifacts.admitted", (b"short key", value), (key, b"?"), (key, value[:40]), (key, value))

    assert (decided.counts["dead_lettered"], decided.counts["unique"]) == (3, 1)
    assert len(decided.outputs["artifacts.admitted.dlq"]) == 3


def decided_events(*records: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """What s2 makes of them, as s4's input."""
    return [
        (m["key"], m["value"])
        for m in Chain(s2_dedup, "s2").decide("artifacts.admitted", *records).outputs["artifacts.decided"]
    ]


def scores(decided: Decided) -> list[dict[str, Any]]:
    """The priority events."""
    return [PRIORITY(m["value"]) for m in decided.outputs.get("priorities", [])]


def link(of: dict[str, Any], first_seen_ms: int) -> tuple[bytes, bytes]:
    """From the near-duplicate stage."""
    return b"k" * 32, encoder("link")(
        {
            "dedup_hash": of["facts"]["dedup_hash"],
            "artifact_id": of["canonical_id"],
            "near_duplicate_of": "other",
            "first_seen_ms": first_seen_ms,
            "similarity": 0.9,
            "method": "test",
            "idf_version": 0,
            "rule": bytes(8),
        }
    )


def test_unique_and_upgraded_are_scored_duplicates_are_not() -> None:
    """The upgrade is scored as version 2 with its own confidence and the first sighting's age."""
    same = {"content": "x", "source": None, "threat_level": 10.0, "opportunity_value": 0.0}
    events = decided_events(
        admitted(1, **same, confidence=0.5),
        admitted(2, **same, confidence=0.5),
        admitted(3, **same, confidence=1.0, raw_ms=T0 + DAY_MS),
    )

    made = scores(Chain(s4_priority, "s4_priority").decide("artifacts.decided", *events))

    assert [(e["version"], e["score"]) for e in made] == [(1, 0.25), (2, 0.15)]
    assert made[0]["canonical_id"] == made[1]["canonical_id"]
    assert (made[1]["decay"], made[1]["first_seen_ms"]) == (0.5, T0)


def test_an_id_that_two_nodes_chose_is_two_artifacts() -> None:
    """Ids are a node's own choice: nobody hides another's artifact by taking its id."""
    first, second = decided_events(
        admitted(1, "node-1", content="urgent", threat_level=10.0), admitted(1, "node-2", content="trifle")
    )
    chain = Chain(s4_priority, "s4_priority")

    made = scores(chain.decide("artifacts.decided", first, second))
    linked = scores(chain.decide("links", link(DECIDED(first[1]), T0 - DAY_MS)))

    assert len({e["dedup_hash"] for e in made}) == 2 and len({e["canonical_id"] for e in made}) == 1
    assert [(e["node_id"], e["threat_term"]) for e in linked] == [("node-1", 0.4)]


def test_a_link_makes_an_artifact_as_old_as_what_it_repeats_whichever_comes_first() -> None:
    """Before or after the artifact: the same priority in the end. A younger link changes nothing."""
    (event,) = decided_events(admitted(1, threat_level=10.0))
    later = DECIDED(event[1])
    after, before = Chain(s4_priority, "s4_priority"), Chain(s4_priority, "s4_priority")
    after.decide("artifacts.decided", event)
    rescored = scores(after.decide("links", link(later, T0 - DAY_MS), link(later, T0 + 5)))
    before.decide("links", link(later, T0 - DAY_MS))
    scored = scores(before.decide("artifacts.decided", event))

    assert 1 == len(rescored) == len(scored)
    assert rescored[0]["decay"] == 0.5
    ignored = ("input_topic", "input_offset")
    assert {k: v for k, v in rescored[0].items() if k not in ignored} == {
        k: v for k, v in scored[0].items() if k not in ignored
    }
