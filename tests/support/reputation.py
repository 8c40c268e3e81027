"""s3 over rows in memory: nodes, judges, hours, and what they say."""

from __future__ import annotations

from typing import Any

import yaml

from streams.agents import s3_reputation
from streams.bench.load import SECRET
from streams.codec import decoder, encoder
from streams.domain.identity import MAC_HEADER, node_token, seal, sign
from streams.runtime.stage import Batch, Context, Decided, MemoryRows, Record
from streams.secrets import derive
from streams.tables.reputations import REPUTATIONS
from streams.topology import PACKAGE, parse

HOUR_MS = 3_600_000
HOUR = 1_800_000_000_000 // HOUR_MS * HOUR_MS
RULE = b"rule----"
REGISTRATION = {"cadence_ms": 0, "capabilities": [], "capacity": 3, "slot_ms": HOUR}


class Fleet:
    """A deployment's s3. Time is `now`, in ms; `hours` moves it, with the tick."""

    def __init__(self, **reputation: Any) -> None:
        raw = yaml.safe_load((PACKAGE.parent / "topology.yaml").read_text())
        raw["protocol"]["reputation"] |= reputation
        self.topology = parse(raw)
        self.stage = s3_reputation.stage(Context(self.topology, self.topology.agent("s3_reputation"), RULE, SECRET))
        self.rows = MemoryRows()
        self.offsets: dict[str, int] = {}
        self.now = HOUR
        self.said: list[dict[str, Any]] = []  # revisions, in order
        self.votes: list[dict[str, Any]] = []
        self.counts: dict[str, int] = {}
        self.batches: list[Batch] = []
        self.decided: list[Decided] = []

    def give(self, source: str, *records: tuple[bytes, bytes, Any]) -> None:
        """One batch of (key, value, headers)."""
        start = self.offsets.get(source, 0)
        self.offsets[source] = start + len(records)
        batch = Batch(source, 0, [Record(start + i, self.now, *record) for i, record in enumerate(records)])
        decided = self.stage.decide(self.rows, batch)
        self.rows.apply(decided.rows)
        self.batches.append(batch)
        self.decided.append(decided)
        self.said += [decoder("reputation")(m["value"]) for m in decided.outputs.get("reputation.log", [])]
        self.votes += [decoder("vote")(m["value"]) for m in decided.outputs.get("votes", [])]
        for outcome, number in decided.counts.items():
            self.counts[outcome] = self.counts.get(outcome, 0) + number

    def registration(self, kind: str, name: str, **fields: Any) -> tuple[bytes, bytes, Any]:
        event = {**REGISTRATION, "kind": kind, "node_id": name, "principal": f"p-{name}", "generation": 1, **fields}
        return name.encode(), encoder("control")(event), None

    def control(self, kind: str, name: str, **fields: Any) -> None:
        self.give("control", self.registration(kind, name, **fields))

    def nodes(self, *names: str, **fields: Any) -> None:
        for name in names:
            self.control("node_registered", name, **fields)

    def judges(self, *names: str, **fields: Any) -> None:
        for name in names:
            self.control("judge_registered", name, **{"weight": 1.0, **fields})

    def tick(self, slot_ms: int) -> None:
        event = {**REGISTRATION, "kind": "tick", "slot_ms": slot_ms, "cadence_ms": HOUR_MS, "node_id": None}
        self.give("control", (b"", encoder("control")({**event, "principal": None, "generation": 0}), None))

    def hours(self, number: int = 1) -> None:
        for _ in range(number):
            self.now += HOUR_MS
            self.tick(self.now)

    def receipt(self, node: str, accepted: int = 1, refused: int = 0, claimed: float = 0.3) -> None:
        event = {
            "node_id": node, "stage": "s1_intake", "accepted": accepted, "refused": refused,
            "claimed": round(accepted * claimed * 1e6), "status": "normal", "quota_left": 1, "retry_after_ms": None,
            "undecided": None, "suggestions": [], "rule": RULE, "topic": "artifacts.raw", "partition": 0, "outcomes": [],
        }  # fmt: skip
        self.give("receipts", (node.encode(), encoder("receipt")(event), None))

    def verdict(
        self, judge: str, node: str, number: int, outcome: str = "confirmed", claimed: float = 0.8, **forged: Any
    ) -> None:
        """On artifact `number` of a node. `forged`: fields that are not what was sealed, or mac."""
        event = {
            "verdict_id": f"v-{number}", "judge": judge, "outcome": outcome, "reason": None, "judged_at": self.now,
            "node_id": node, "artifact_id": f"a-{number}", "content_hash": bytes(32), "dedup_hash": bytes(40),
            "confidence": claimed, "simulated": False, "raw_partition": 0, "raw_offset": number,
            "decided_partition": 0, "decided_offset": number,
        }  # fmt: skip
        event["simulated"] = forged.pop("simulated", False)
        event["seal"] = seal(
            derive(SECRET, "facts-seal"), node.encode(), event["artifact_id"].encode(), bytes(32), bytes(40), claimed,
            event["simulated"], 0, number,
        )  # fmt: skip
        token = node_token(derive(SECRET, "judge-token"), judge, forged.pop("generation", 1))
        value = encoder("verdict")(event | forged)
        self.give("verdicts", (node.encode(), value, [(MAC_HEADER, sign(token, judge.encode(), value))]))

    def corroboration(self, node: str, by: str, number: int = 1, claimed: float = 0.8, **fields: Any) -> None:
        event = {
            "node_id": node, "artifact_id": f"a-{number}", "confidence": claimed, "content_hash": number.to_bytes(32, "big"),
            "by_node_id": by, "by_artifact_id": f"b-{number}", "simulated": False, "raw_ms": self.now,
            "input_topic": "artifacts.admitted", "input_partition": 0, "input_offset": number, "rule": RULE, **fields,
        }  # fmt: skip
        self.give("corroborations", (node.encode(), encoder("corroboration")(event), None))

    def collection(self, node: str, number: int, outcome: str = "success", count: int = 1, **fields: Any) -> None:
        event = {
            "collection_id": f"c-{number}", "node_id": node, "target_id": "t", "assignment": None, "outcome": outcome,
            "artifact_count": count, "ended_at": self.now, "duration_ms": 10, "error": None, "simulated": False, "claimed": count,
            "late": False, **fields,
        }  # fmt: skip
        self.give("collections", (node.encode(), encoder("collection")(event), None))

    def node(self, name: str) -> Any:
        """The row."""
        (row,) = self.rows.get_many(REPUTATIONS, [name.encode()])
        return row

    def last(self, name: str) -> dict[str, Any]:
        """The newest revision."""
        return [event for event in self.said if event["node_id"] == name][-1]

    def established(self, *names: str) -> None:
        """Their probation is over: an examiner has confirmed 20 claims of nothing."""
        self.nodes(*names)
        self.judges("examiner")
        for name in names:
            for number in range(20):
                self.verdict("examiner", name, 10_000 + number, claimed=0.0)
            self.now += HOUR_MS  # or the examiner votes too much
            self.tick(self.now)
        self.votes.clear()
