"""Depth 3. control, receipts, corroborations, verdicts, collections -> reputation.log, reputation, votes; owns tables reputations, judges
and counted. What it says of a node comes back to s1, which stamps it on the node's next artifacts.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

from streams.agents.deadletters import dead_letter
from streams.avro import slicer
from streams.codec import HEADER_BYTES, Undecodable, decoder, encoder, header
from streams.domain import reputation as rep
from streams.domain.calibration import Bets, e_value
from streams.domain.identity import MAC_HEADER, NAME_MAX, is_registrable, is_sealed, is_signed, node_token
from streams.domain.judge import Judge, new_judge, vote, vote_weight
from streams.domain.priority import published
from streams.domain.reputation import Reputation, Rules
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, Stage, look_up
from streams.secrets import derive
from streams.tables.counted import COUNTED, EPOCH
from streams.tables.counted import key as once
from streams.tables.judges import JUDGES
from streams.tables.reputations import REPUTATIONS
from streams.units import duration_ms

TOPICS = {
    rep.RECEIPTS: "receipts",
    rep.COLLECTION: "collections",
    rep.CORROBORATION: "corroborations",
    rep.VERDICT: "verdicts",
}
_INTAKE = b"s1_intake"
TESTING_WEIGHT_MIN = 0.4


def stage(context: Context) -> Stage:
    """Fold what is heard of each node into its reputation."""
    return Stage(context.agent, (REPUTATIONS, JUDGES, COUNTED), _Decider(context).decide)


class _Decider:
    def __init__(self, context: Context) -> None:
        protocol = context.topology.protocol
        self.context = context
        self.rules = Rules.of(protocol["reputation"], duration_ms(protocol["reputation"]["idle"]["after"]))
        self.node_limit = int(protocol["intake"]["node_per_hour"])
        self.decode = {name: decoder(name) for name in ("control", "corroboration", "verdict", "collection")}
        self.receipt_head = header("receipt")
        self.slice_receipt = slicer("receipt", "status", ("node_id", "stage", "accepted", "refused", "claimed"))
        self.encode, self.encode_vote = encoder("reputation"), encoder("vote")
        self.seal_key = derive(context.secret, "facts-seal")
        node_key, judge_key = derive(context.secret, "node-token"), derive(context.secret, "judge-token")
        self.node_token = lru_cache(65536)(lambda name, generation: node_token(node_key, name, generation))
        self.judge_token = lru_cache(65536)(lambda name, generation: node_token(judge_key, name, generation))

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        fold = _Fold(self, rows, batch)
        take = {
            "control": fold.control,
            "receipts": fold.receipt,
            "corroborations": fold.corroboration,
            "verdicts": fold.verdict,
            "collections": fold.collection,
        }[batch.source]
        for record in batch.records:
            take(record)
        return fold.finish()


class _Fold:
    """One batch, record by record, over the rows as they were before it."""

    def __init__(self, decider: _Decider, rows: Rows, batch: Batch) -> None:
        self.decider, self.rules, self.rows, self.batch = decider, decider.rules, rows, batch
        self.decided = Decided(event_ms=max(record.timestamp for record in batch.records))
        self.nodes: dict[str, Reputation | None] = {}
        self.judges: dict[str, Judge | None] = {}
        self.counted: dict[bytes, int | None] = {}
        self.changed_nodes: set[str] = set()
        self.changed_judges: set[str] = set()
        self.newly_counted: set[bytes] = set()
        self.fleet_is_here = False
        self.room: rep.Room | None = None  # for newcomers, and each principal's worst score: of the fleet as it is now
        self.worst: dict[str, float] = {}

    # -- rows -------------------------------------------------------------

    def node(self, name: str) -> Reputation | None:
        if name not in self.nodes and not self.fleet_is_here:
            self.nodes[name] = look_up(self.rows, REPUTATIONS, [name.encode()])[name.encode()]
        return self.nodes.get(name)

    def fleet(self) -> dict[str, Reputation]:
        if not self.fleet_is_here:
            for key, row in self.rows.scan(REPUTATIONS).items():
                self.nodes.setdefault(key.decode(), row)
            self.fleet_is_here = True
        return {name: node for name, node in self.nodes.items() if node is not None}

    def judge(self, name: str) -> Judge | None:
        if name not in self.judges:
            self.judges[name] = look_up(self.rows, JUDGES, [name.encode()])[name.encode()]
        return self.judges[name]

    def when_counted(self, key: bytes) -> int | None:
        if key not in self.counted:
            self.counted[key] = look_up(self.rows, COUNTED, [key])[key]
        return self.counted[key]

    def is_new(self, key: bytes, at_ms: int) -> bool:
        """Whether this counts for the first time within the horizon; from now on it doesn't."""
        new = self.may_count(key, at_ms)
        if new:
            self.count_once(key, at_ms)
        return new

    def may_count(self, key: bytes, at_ms: int) -> bool:
        before = self.when_counted(key)
        return before is None or at_ms - before > self.decider.context.topology.horizon_ms

    def count_once(self, key: bytes, at_ms: int) -> None:
        self.counted[key] = at_ms
        self.newly_counted.add(key)

    def put(self, name: str, node: Reputation) -> None:
        self.nodes[name] = node
        self.changed_nodes.add(name)

    def put_judge(self, name: str, judge: Judge) -> None:
        self.judges[name] = judge
        self.changed_judges.add(name)

    def finish(self) -> Decided:
        self.decided.rows = {
            REPUTATIONS: {name.encode(): self.nodes[name] for name in sorted(self.changed_nodes)},
            JUDGES: {name.encode(): self.judges[name] for name in sorted(self.changed_judges)},
            COUNTED: {key: self.counted[key] for key in sorted(self.newly_counted)},
        }
        return self.decided

    # -- control ----------------------------------------------------------

    def control(self, record: Record) -> None:
        try:
            event = self.decider.decode["control"](record.value or b"")
        except Undecodable as error:
            self.decided.count(f"ignored:{error.reason}")
            return
        name = event["node_id"]
        if event["kind"] == "tick" and event["cadence_ms"] == rep.HOUR_MS:
            self._end_epoch(event["slot_ms"], record)
        elif event["kind"] in ("node_registered", "judge_registered") and not is_registrable(
            name, event["principal"], event["generation"], event["capabilities"]
        ):
            self.decided.count("ignored:registration")
        elif event["kind"] == "node_registered":
            self._register(name, event["principal"] or "", event["generation"], record)
        elif event["kind"] == "judge_registered" and 0 <= event["weight"] <= 1:
            known = self.judge(name)
            if known is None or event["generation"] >= known.generation:
                new = new_judge(event["principal"] or "", event["generation"], event["weight"])
                if known is not None:  # what it has voted stays
                    new = new._replace(hour=known.hour, votes=known.votes, suspicious_until=known.suspicious_until)
                self.put_judge(name, new)
            self.decided.count("judge_registered")

    def _register(self, name: str, principal: str, generation: int, record: Record) -> None:
        known = self.node(name)
        self.decided.count("node_registered")
        if known is not None:
            if generation >= known.generation and (principal, generation) != (known.principal, known.generation):
                changed = known._replace(principal=principal, generation=generation)
                self._publish(name, known, changed, known.epoch, "registered", record.timestamp, record)
                self.room = None
            return
        if self.room is None:  # counted once for many that register at a time
            self.room, self.worst = rep.room(self.rules, self.fleet()), rep.worst_of(self.fleet())
        score = min(self.rules.initial, self.worst.get(principal, self.rules.initial))
        node = rep.newcomer(self.rules, principal, generation, score, rep.share_left(self.room, score))
        self.room, self.worst[principal] = rep.join(self.rules, self.room, node), score
        self._publish(name, node, node, rep.Epoch(), "registered", record.timestamp, record)

    def _end_epoch(self, slot_ms: int, record: Record) -> None:
        last = self.when_counted(EPOCH)
        if last is not None and slot_ms <= last:
            self.decided.count("repeated_tick")  # of a second emitter, or of a clock that went back
            return
        if slot_ms % rep.HOUR_MS or slot_ms > record.timestamp + rep.HOUR_MS:
            self.decided.count("ignored:tick")  # of a clock that is ahead: no epoch would end until its time has come
            return
        self.count_once(EPOCH, slot_ms)
        self.decided.count("epoch_ended")
        self.room = None
        before = self.fleet()
        for name, (node, epoch) in rep.end_epoch(self.rules, before, slot_ms).items():
            if epoch != rep.Epoch() or self._face(node) != self._face(before[name]):
                self._publish(name, before[name], node, epoch, "epoch_ended", slot_ms, record)

    def _face(self, node: Reputation) -> tuple[Any, ...]:
        """What others see of a node: when it changes, there is a new revision."""
        return (
            node.score,
            rep.effective(self.rules, node),
            rep.quota(self.rules, node, self.decider.node_limit),
            rep.grade(node),
            node.anomalous,
            node.clean_hours_left,
        )

    # -- what is heard of a node ------------------------------------------

    def receipt(self, record: Record) -> None:
        value = record.value or b""
        if value[:HEADER_BYTES] != self.decider.receipt_head:
            return  # of a time before receipts were added up, or not ours: icn replay says so
        try:
            node_id, stage_name, accepted, refused, claimed, _, _ = self.decider.slice_receipt(value)
            node_id.decode()
        except (ValueError, IndexError, struct.error):
            return
        if stage_name != _INTAKE or not accepted + refused:
            return
        if min(accepted, refused, claimed) < 0 or max(accepted, refused) >= 1 << 31 or claimed > 1_000_000 * accepted:
            return  # no receipt of s1's
        name = node_id.decode()
        node = self.node(name)
        if node is None:
            self.decided.count("unknown_node")
            return
        self.put(name, rep.receive(node, record.offset, accepted, refused, claimed, record.timestamp))
        self.decided.count("receipt")

    def corroboration(self, record: Record) -> None:
        try:
            event = self.decider.decode["corroboration"](record.value or b"")
        except Undecodable as error:  # the topic is ours, so this is somebody's mistake; icn replay says where it is
            self.decided.count(f"ignored:{error.reason}")
            return
        node, other = self.node(event["node_id"]), self.node(event["by_node_id"])
        if reason := self._no_corroboration(event, node, other, record.timestamp):
            self.decided.count(f"corroboration_ignored:{reason}")
            return
        assert node is not None and other is not None
        weight = published(self.rules.corroboration_weight * rep.effective(self.rules, other))
        tested = self.may_count(once(b"t", event["node_id"].encode(), event["artifact_id"].encode()), record.timestamp)
        self.decided.count("corroboration")
        self._observe(
            event["node_id"], node, rep.CORROBORATION, True, weight, event["confidence"] if tested else None, record
        )

    def _no_corroboration(
        self, event: dict[str, Any], node: Reputation | None, other: Reputation | None, at_ms: int
    ) -> str | None:
        if node is None or other is None:
            return "unknown_node"
        if event["simulated"] and not self.decider.context.topology.simulated:
            return "simulated"
        if node.principal == other.principal:
            return "same_principal"
        if other.probation_left:
            return "on_probation"
        key = once(b"c", event["node_id"].encode(), event["content_hash"], other.principal.encode())
        return None if self.is_new(key, at_ms) else "repeated"

    def collection(self, record: Record) -> None:
        name = (record.key or b"").decode(errors="replace")
        node = self.node(name)
        if node is None:
            self._dead(record, "unknown_node", "no registration of the node in the record's key; icn node register")
            return
        if not _signed(self.decider.node_token(name, node.generation), name, record):
            self._dead(record, "bad_signature", "header icn_mac does not fit node, record and the node's current token")
            return
        try:
            event = self.decider.decode["collection"](record.value or b"")
        except Undecodable as error:
            self._dead(record, error.reason, str(error))
            return
        if event["node_id"] != name:
            self._dead(record, "node_mismatch", "the collection's node_id is not its key")
            return
        if event["simulated"] and not self.decider.context.topology.simulated:
            self.decided.count("collection_ignored:simulated")
        elif not self.is_new(once(b"a", name.encode(), event["collection_id"].encode()), record.timestamp):
            self.decided.count("collection_ignored:repeated")
        elif event["outcome"] in ("unchanged", "unknown"):
            self.decided.count(f"collection_ignored:{event['outcome']}")
        else:
            came_true = event["outcome"] == "success" and event["artifact_count"] > 0
            self.decided.count("collection")
            self._observe(name, node, rep.COLLECTION, came_true, 1.0, None, record)

    def _observe(
        self,
        name: str,
        node: Reputation,
        kind: str,
        came_true: bool,
        weight: float,
        claimed: float | None,
        record: Record,
    ) -> None:
        seen = rep.observe(self.rules, node, kind, record.offset, came_true, weight, claimed)
        if not rep.is_to_be_demoted(self.rules, seen):
            self.put(name, seen)
            return
        self.decided.count("inflation_detected")
        demoted = rep.demote(self.rules, seen)
        self._publish(name, node, demoted, seen.epoch, "inflation_detected", record.timestamp, record, seen.bets)

    # -- verdicts ---------------------------------------------------------

    def verdict(self, record: Record) -> None:
        try:
            event = self.decider.decode["verdict"](record.value or b"")
        except Undecodable as error:
            self._dead(record, error.reason, str(error))
            return
        name = event["judge"]
        if max(len(event[field]) for field in ("judge", "node_id", "artifact_id", "verdict_id")) > NAME_MAX:
            self._dead(record, "out_of_range", f"an id has more than {NAME_MAX} characters")
            return
        judge = self.judge(name)
        if judge is None:
            self._dead(record, "unknown_judge", f'no judge "{name[:80]}" is registered; icn judge register')
        elif not _signed(self.decider.judge_token(name, judge.generation), name, record):
            self._dead(
                record, "bad_signature", "header icn_mac does not fit judge, record and the judge's current token"
            )
        else:
            self._vote(event, name, judge, record)

    def _vote(self, event: dict[str, Any], name: str, judge: Judge, record: Record) -> None:
        ignored = self._no_vote(event, name, judge, record.timestamp)
        within = True
        as_node = self._as_node(name, judge)
        if ignored != "repeated":  # the same bytes may be sent again by anybody: they use up nothing
            judge, within = vote(self.rules, judge, record.timestamp)
            self.put_judge(name, judge)
            ignored = ignored or (None if within else "too_many")
        if as_node is not None and ignored != "repeated":
            as_node = as_node._replace(epoch=as_node.epoch._replace(voted=as_node.epoch.voted + 1))
            self.put(name, as_node)
            if not within and not as_node.epoch.brigaded:
                found = rep.brigade(self.rules, as_node)
                self._publish(name, as_node, found, found.epoch, "brigading", record.timestamp, record)
        weight = vote_weight(judge, None if as_node is None else rep.effective(self.rules, as_node))
        node, tested = self.node(event["node_id"]), False
        if ignored is not None:
            weight = 0.0
            self.decided.count(f"vote_ignored:{ignored}")
            if node is not None:
                self.put(event["node_id"], _not_counted(node, ignored))
        else:
            assert node is not None
            self.decided.count("vote")
            claim = once(b"t", event["node_id"].encode(), event["artifact_id"].encode())
            self.count_once(self._vote_key(event, name), record.timestamp)
            # a voice of little weight must not use up the claim's only test
            tested = weight >= TESTING_WEIGHT_MIN and self.is_new(claim, record.timestamp)
            came_true = event["outcome"] == "confirmed"
            claimed = event["confidence"] if tested else None
            self._observe(event["node_id"], node, rep.VERDICT, came_true, weight, claimed, record)
        told = {
            **{field: event[field] for field in ("verdict_id", "judge", "node_id", "artifact_id", "outcome")},
            "weight": weight,
            "tested": tested,
            "ignored": ignored,
            "detail": WHY_IGNORED[ignored] if ignored else None,
            **self._origin(record),
        }
        self.decided.send("votes", {"key": name.encode(), "value": self.decider.encode_vote(told)})

    def _as_node(self, name: str, judge: Judge) -> Reputation | None:
        """The judge as a node: of the same name, and the same principal answers for both."""
        node = self.node(name)
        return node if node is not None and node.principal == judge.principal else None

    @staticmethod
    def _vote_key(event: dict[str, Any], name: str) -> bytes:
        return once(b"v", name.encode(), event["node_id"].encode(), event["artifact_id"].encode())

    def _no_vote(self, event: dict[str, Any], name: str, judge: Judge, at_ms: int) -> str | None:
        """Why a vote counts nothing; None: it counts, unless there are too many."""
        node, as_node = self.node(event["node_id"]), self._as_node(name, judge)
        if node is None:
            return "unknown_node"
        if event["outcome"] not in ("confirmed", "refuted") or not self._is_ours(event):
            return "unknown_artifact"
        if event["simulated"] and not self.decider.context.topology.simulated:
            return "simulated"
        same_name = self.node(name)
        if node.principal in (judge.principal, same_name and same_name.principal) or name == event["node_id"]:
            return "own_artifact"
        if as_node is not None and as_node.probation_left:
            return "on_probation"
        if not self.may_count(self._vote_key(event, name), at_ms):
            return "repeated"
        skew_ms = abs(event["judged_at"] - at_ms)
        return "out_of_time" if skew_ms > rep.DAY_MS and not self.decider.context.topology.simulated else None

    def _is_ours(self, event: dict[str, Any]) -> bool:
        return len(event["content_hash"]) == 32 and is_sealed(
            self.decider.seal_key,
            event["seal"],
            event["node_id"].encode(),
            event["artifact_id"].encode(),
            event["content_hash"],
            event["dedup_hash"],
            event["confidence"],
            event["simulated"],
            event["raw_partition"],
            event["raw_offset"],
        )

    # -- what is said -----------------------------------------------------

    def _publish(
        self,
        name: str,
        before: Reputation,
        after: Reputation,
        epoch: rep.Epoch,
        cause: str,
        at_ms: int,
        record: Record,
        bets: Bets | None = None,
    ) -> None:
        """bets: those that led to a demotion; the node's own have started afresh."""
        bets = bets or after.bets
        rules = self.rules
        after = after._replace(revision=after.revision + 1)
        self.put(name, after)
        evidence = after.successes + after.failures
        event = {
            "node_id": name,
            "revision": after.revision,
            "cause": cause,
            "at_ms": at_ms,
            "principal": after.principal,
            "score": after.score,
            "effective": rep.effective(rules, after),
            "uncertainty": rep.uncertainty(rules, after),
            "success_rate": published(after.successes / evidence) if evidence else None,
            "grade": rep.grade(after),
            "quota": rep.quota(rules, after, self.decider.node_limit),
            "e_value": published(e_value(rules.test, bets)),
            "epochs": bets.epochs,
            "outcomes": after.outcomes,
            "probation_left": after.probation_left,
            "demoted": after.demoted,
            "anomalous": after.anomalous,
            "suspicious_hours": after.clean_hours_left,
            "idle_days": after.idle_days,
            "share": after.share,
            "step": published(after.score - before.score),
            "evidence": [
                {
                    "kind": kind,
                    "topic": TOPICS[kind],
                    **tally._asdict(),
                    "successes": published(tally.successes),
                    "failures": published(tally.failures),
                }
                for kind, tally in sorted(epoch.evidence.items())
            ],
            "ignored": dict(epoch.ignored),
            "state": REPUTATIONS.pack(after),
            **self._origin(record),
        }
        value = self.decider.encode(event)
        for topic in ("reputation.log", "reputation"):
            self.decided.send(topic, {"key": name.encode(), "value": value})

    def _origin(self, record: Record) -> dict[str, Any]:
        return {
            "input_topic": self.batch.source,
            "input_partition": self.batch.partition,
            "input_offset": record.offset,
            "rule": self.decider.context.rule,
        }

    def _dead(self, record: Record, reason: str, detail: str) -> None:
        dead_letter(self.decider.context, self.batch, record, reason, detail, self.decided)


WHY_IGNORED = {
    "too_many": "more votes in this hour or day than one judge may give",
    "unknown_node": "no such node is registered",
    "unknown_artifact": "these are no facts of this deployment: the seal does not fit, or the outcome is neither confirmed nor refuted",
    "simulated": "the artifact is simulated, the deployment is not",
    "own_artifact": "judge and node answer to the same principal",
    "on_probation": "the judge is a node whose probation is not over",
    "out_of_time": "judged_at is more than a day from the broker's time: an old verdict sent again, or a wrong clock",
    "repeated": "this judge has voted on this artifact before; the first vote stands",
}


def _not_counted(node: Reputation, reason: str) -> Reputation:
    ignored = {**node.epoch.ignored, reason: node.epoch.ignored.get(reason, 0) + 1}
    return node._replace(epoch=node.epoch._replace(ignored=ignored))


def _signed(token: bytes, name: str, record: Record) -> bool:
    macs = [content for header_, content in record.headers or () if header_.partition("\0")[0] == MAC_HEADER]
    return len(macs) == 1 and is_signed(token, name.encode(), record.value or b"", macs[0])
