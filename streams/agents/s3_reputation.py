"""Depth 3. control, receipts, corroborations, verdicts, collections -> reputation.log, reputation, votes; owns tables reputations, judges
and counted. What it says of a node comes back to s1, which stamps it on the node's next artifacts.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from streams.agents.fleet import Fleet, Tools
from streams.agents.votes import Votes
from streams.codec import HEADER_BYTES, Undecodable
from streams.domain import reputation as rep
from streams.domain.epochs import end_epoch
from streams.domain.identity import is_registrable
from streams.domain.judge import new_judge
from streams.domain.newcomers import Room, join, newcomer, room, share_left, worst_of
from streams.domain.priority import published
from streams.domain.reputation import Heard, Reputation
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage
from streams.tables.counted import COUNTED, EPOCH
from streams.tables.counted import key as once
from streams.tables.judges import JUDGES
from streams.tables.reputations import REPUTATIONS

_INTAKE = b"s1_intake"


def stage(context: Context) -> Stage:
    """Fold what is heard of each node into its reputation."""
    tools = Tools(context)

    def decide(rows: Rows, batch: Batch) -> Decided:
        fleet = Fleet(tools, rows, batch)
        take = _taker(fleet, batch.source)
        for record in batch.records:
            take(record)
        return fleet.finish()

    return Stage(context.agent, (REPUTATIONS, JUDGES, COUNTED), decide)


def _taker(fleet: Fleet, source: str) -> Callable[[Record], None]:
    if source == "control":
        return _Control(fleet).take
    if source == "verdicts":
        return Votes(fleet).take
    evidence = _Evidence(fleet)
    return {
        "receipts": evidence.receipt,
        "corroborations": evidence.corroboration,
        "collections": evidence.collection,
    }[source]


class _Control:
    """Who is registered, and which hour is over."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.tools, self.rules = fleet, fleet.tools, fleet.rules
        self.room: Room | None = None  # for newcomers, and each principal's worst score: of the fleet as it is now
        self.worst: dict[str, float] = {}

    def take(self, record: Record) -> None:
        try:
            event = self.tools.decode["control"](record.value or b"")
        except Undecodable as error:
            self.fleet.decided.count(f"ignored:{error.reason}")
            return
        name = event["node_id"]
        if event["kind"] == "tick" and event["cadence_ms"] == rep.HOUR_MS:
            self._end_epoch(event["slot_ms"], record)
        elif event["kind"] in ("node_registered", "judge_registered") and not is_registrable(
            name, event["principal"], event["generation"], event["capabilities"]
        ):
            self.fleet.decided.count("ignored:registration")
        elif event["kind"] == "node_registered":
            self._register(name, event["principal"] or "", event["generation"], record)
        elif event["kind"] == "judge_registered" and 0 <= event["weight"] <= 1:
            known = self.fleet.judge(name)
            if known is None or event["generation"] >= known.generation:
                new = new_judge(event["principal"] or "", event["generation"], event["weight"])
                if known is not None:  # what it has voted stays
                    new = new._replace(hour=known.hour, votes=known.votes, suspicious_until=known.suspicious_until)
                self.fleet.put_judge(name, new)
            self.fleet.decided.count("judge_registered")

    def _register(self, name: str, principal: str, generation: int, record: Record) -> None:
        known = self.fleet.node(name)
        self.fleet.decided.count("node_registered")
        if known is not None:
            if generation >= known.generation and (principal, generation) != (known.principal, known.generation):
                changed = known._replace(principal=principal, generation=generation)
                self.fleet.publish(name, known, changed, known.epoch, "registered", record.timestamp, record)
                self.room = None
            return
        fleet = self.fleet.every_node() if self.room is None else {}
        if self.room is None:  # counted once for many that register at a time
            self.room, self.worst = room(self.rules, fleet), worst_of(fleet)
        score = min(self.rules.initial, self.worst.get(principal, self.rules.initial))
        node = newcomer(self.rules, principal, generation, score, share_left(self.room, score))
        self.room, self.worst[principal] = join(self.rules, self.room, node), score
        self.fleet.publish(name, node, node, rep.Epoch(), "registered", record.timestamp, record)

    def _end_epoch(self, slot_ms: int, record: Record) -> None:
        # of a clock that is ahead: no epoch would end until its time has come; older than what is remembered: it may be a copy
        out_of_time = slot_ms > record.timestamp + rep.HOUR_MS or slot_ms < record.timestamp - self.tools.horizon_ms
        if slot_ms % rep.HOUR_MS or out_of_time:
            self.fleet.decided.count("ignored:tick")
            return
        last = self.fleet.when_counted(EPOCH)
        if last is not None and slot_ms <= last:
            self.fleet.decided.count("repeated_tick")  # of a second emitter, or of a clock that went back
            return
        self.fleet.count_once(EPOCH, slot_ms)
        self.fleet.decided.count("epoch_ended")
        self.room = None
        before = self.fleet.every_node()
        for name, (node, epoch) in end_epoch(self.rules, before, slot_ms).items():
            if epoch != rep.Epoch() or self.fleet.face(node) != self.fleet.face(before[name]):
                self.fleet.publish(name, before[name], node, epoch, "epoch_ended", slot_ms, record)


class _Evidence:
    """What is heard of nodes, verdicts apart."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.tools, self.rules = fleet, fleet.tools, fleet.rules

    def receipt(self, record: Record) -> None:
        value = record.value or b""
        if value[:HEADER_BYTES] != self.tools.receipt_head:
            return  # of a time before receipts were added up, or not ours: icn replay says so
        try:
            node_id, stage_name, accepted, refused, claimed, _, _ = self.tools.slice_receipt(value)
            node_id.decode()
        except (ValueError, IndexError, struct.error):
            return
        if stage_name != _INTAKE or not accepted + refused:
            return
        if min(accepted, refused, claimed) < 0 or max(accepted, refused) >= 1 << 31 or claimed > 1_000_000 * accepted:
            return  # no receipt of s1's
        name = node_id.decode()
        node = self.fleet.node(name)
        if node is None:
            self.fleet.decided.count("unknown_node")
            return
        self.fleet.put(name, rep.receive(node, record.offset, accepted, refused, claimed, record.timestamp))
        self.fleet.decided.count("receipt")

    def corroboration(self, record: Record) -> None:
        try:
            event = self.tools.decode["corroboration"](record.value or b"")
        except Undecodable as error:  # the topic is ours, so this is somebody's mistake; icn replay says where it is
            self.fleet.decided.count(f"ignored:{error.reason}")
            return
        node, other = self.fleet.node(event["node_id"]), self.fleet.node(event["by_node_id"])
        if reason := self._no_corroboration(event, node, other, record.timestamp):
            self.fleet.decided.count(f"corroboration_ignored:{reason}")
            return
        assert node is not None and other is not None
        apart = rep.independence(other, node.principal)
        weight = published(self.rules.corroboration_weight * rep.effective(self.rules, other) * apart)
        self.fleet.put(event["by_node_id"], rep.repeat(other, node.principal))
        tested = self.fleet.may_count(
            once(b"t", event["node_id"].encode(), event["artifact_id"].encode()), record.timestamp
        )
        self.fleet.decided.count("corroboration")
        claimed = event["confidence"] if tested else None
        heard = Heard(rep.CORROBORATION, record.offset, True, weight, claimed)
        self.fleet.observe(event["node_id"], node, heard, record)

    def _no_corroboration(
        self, event: dict[str, Any], node: Reputation | None, other: Reputation | None, at_ms: int
    ) -> str | None:
        if node is None or other is None:
            return "unknown_node"
        if event["simulated"] and not self.tools.counts_simulated:
            return "simulated"
        if node.principal == other.principal:
            return "same_principal"
        if other.probation_left:
            return "on_probation"
        key = once(b"c", event["node_id"].encode(), event["content_hash"], other.principal.encode())
        return None if self.fleet.is_new(key, at_ms) else "repeated"

    def collection(self, record: Record) -> None:
        name = (record.key or b"").decode(errors="replace")
        node = self.fleet.node(name)
        if node is None:
            self.fleet.dead(
                record, "unknown_node", "no registration of the node in the record's key; icn node register"
            )
            return
        try:
            event = self.tools.decode["collection"](record.value or b"")
        except Undecodable as error:
            self.fleet.dead(record, error.reason, str(error))
            return
        if event["node_id"] != name:
            self.fleet.dead(record, "node_mismatch", "the collection's node_id is not its key")
            return
        if event["simulated"] and not self.tools.counts_simulated:
            self.fleet.decided.count("collection_ignored:simulated")
        elif not self._is_of_this_time(event["ended_at"], record.timestamp):
            self.fleet.decided.count("collection_ignored:out_of_time")
        elif event["late"]:
            self.fleet.decided.count("collection_ignored:late")
        elif event["outcome"] in ("unchanged", "unknown"):
            self.fleet.decided.count(f"collection_ignored:{event['outcome']}")
        elif not self.fleet.is_new(once(b"a", name.encode(), event["collection_id"].encode()), record.timestamp):
            self.fleet.decided.count("collection_ignored:repeated")
        else:
            came_true = event["outcome"] == "success" and event["artifact_count"] > 0
            self.fleet.decided.count("collection")
            self.fleet.observe(name, node, Heard(rep.COLLECTION, record.offset, came_true, 1.0), record)

    def _is_of_this_time(self, ended_ms: int, at_ms: int) -> bool:
        """Whether it ended when its id would still be remembered if it had been counted then."""
        return -rep.DAY_MS <= at_ms - ended_ms <= self.tools.horizon_ms - rep.DAY_MS
