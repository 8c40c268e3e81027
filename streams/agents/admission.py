"""May it enter? s1's word on each raw artifact of a batch: admitted, rejected with the reason, or resent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streams.agents.candidates import Candidate
from streams.agents.deadletters import dead_letter
from streams.agents.receipts import Receipts, outcome
from streams.codec import encoder
from streams.domain.artifact import ID_MAX
from streams.domain.identity import seal
from streams.domain.priority import Weights, claim
from streams.domain.quota import EMPTY, OVER_A_LIMIT, Used, in_hour, may_enter, retry_after_ms, share_of
from streams.domain.tlp import RED, marking
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, look_up
from streams.secrets import derive, key_id
from streams.tables.depth import DEPTH, HERE
from streams.tables.ids import IDS, Known
from streams.tables.ids import key as id_key
from streams.tables.quotas import EVERYONE, QUOTAS
from streams.tables.quotas import key as quota_key
from streams.tables.standings import STANDINGS, Standing
from streams.units import duration_ms


class Limits:
    """What a deployment lets in, and what it stamps on it."""

    def __init__(self, context: Context) -> None:
        protocol, intake = context.topology.protocol, context.topology.protocol["intake"]
        self.context = context
        self.node_limit, self.global_limit = int(intake["node_per_hour"]), int(intake["global_per_hour"])
        self.rejections_to_advise = int(intake["rejections_to_advise"])
        self.undecided_max = int(intake["undecided_max"])
        self.undecided_retry_ms = duration_ms(intake["undecided_retry"])
        self.unknown = Standing(0, float(protocol["reputation"]["initial"]), self.node_limit)
        self.weights = Weights.of(protocol["priority"], duration_ms(protocol["priority"]["half_life"]))
        self.counts_simulated = context.topology.simulated
        self.hash_key_id, self.seal_key = key_id(context.secret), derive(context.secret, "facts-seal")
        self.encode = encoder("admitted")


@dataclass
class _Sums:
    """What a batch says of a node's reputation. Integers: no sum depends on where a batch was cut."""

    accepted: int = 0
    refused: int = 0
    claimed: int = 0  # millionths


class Admission:
    """The admission of one batch, record by record, over the rows as they were before it."""

    def __init__(
        self, limits: Limits, rows: Rows, batch: Batch, candidates: Sequence[Candidate], decided: Decided
    ) -> None:
        self.limits, self.batch, self.decided = limits, batch, decided
        self.receipts = Receipts(limits.context, batch)
        ids = list(
            {
                id_key(c.node_id, c.artifact["artifact_id"])
                for c in candidates
                if c.artifact is not None and c.flaw is None
            }
        )
        self.ids = look_up(rows, IDS, ids)
        senders = {c.node_id for c in candidates}
        known = look_up(rows, STANDINGS, [node_id.encode() for node_id in senders])
        self.standings = {node_id: known[node_id.encode()] or limits.unknown for node_id in senders}
        self.undecided = (look_up(rows, DEPTH, [HERE])[HERE] or 0) if limits.undecided_max else 0
        self.sums = {node_id: _Sums() for node_id in senders}
        counters = [EVERYONE, *{quota_key(node_id) for node_id in senders}]
        self.used = {key: used or EMPTY for key, used in look_up(rows, QUOTAS, counters).items()}
        self.new_ids: dict[bytes, Known] = {}
        self.changed: set[bytes] = set()
        self.constrained: dict[str, int] = {}  # node -> retry_after of its last refusal for want of quota or room
        self.last_ms: dict[str, int] = {}
        topology = limits.context.topology
        self.horizon_ms = topology.horizon_ms
        self.global_limit = share_of(limits.global_limit, batch.partition, topology.topic("artifacts.raw").partitions)

    def take(self, candidate: Candidate) -> None:
        record, node_id = candidate.record, candidate.node_id
        artifact_id = "" if candidate.artifact is None else candidate.artifact["artifact_id"]
        if len(artifact_id) > ID_MAX:
            artifact_id = ""  # its node learns of it by the offset; a receipt has no room for a megabyte
        if candidate.flaw is not None:
            reason, detail = candidate.flaw
            dead_letter(self.limits.context, self.batch, record, reason, detail, self.decided)
            if node_id:
                self._tell(candidate, artifact_id, "dead_lettered", reason, detail)
            return
        assert candidate.hashes is not None
        key = id_key(node_id, artifact_id)
        known = self.ids[key]
        if known is not None and record.timestamp - known.raw_ms <= self.horizon_ms:
            if known.content_hash == candidate.hashes.content:
                self.decided.count("resent")
                detail = f"admitted before, as offset {known.raw_offset}"
                self._tell(candidate, artifact_id, "resent", None, detail, known)
            else:
                self._refuse(
                    candidate,
                    artifact_id,
                    "id_reused",
                    f"this artifact_id was admitted at offset {known.raw_offset} with other content; a new artifact needs a new id",
                    known,
                )
            return
        node, everyone = self._counter(quota_key(node_id), record), self._counter(EVERYONE, record)
        standing, limits = self.standings[node_id], self.limits
        if not may_enter(node, everyone, standing.quota, self.global_limit):
            wait = retry_after_ms(record.timestamp)
            self.constrained[node_id] = wait
            self._refuse(candidate, artifact_id, "quota_exceeded", self._limit_words(node, standing, wait))
            return
        if limits.undecided_max and self.undecided >= limits.undecided_max:
            wait = self.constrained[node_id] = limits.undecided_retry_ms
            detail = f"{self.undecided} admitted artifacts are not decided yet, the limit; retry in {wait // 1000} s"
            self._refuse(candidate, artifact_id, "intake_full", detail)
            return
        self._use(quota_key(node_id), node._replace(admitted=node.admitted + 1))
        self._use(EVERYONE, everyone._replace(admitted=everyone.admitted + 1))
        self.ids[key] = self.new_ids[key] = Known(candidate.hashes.content, record.offset, record.timestamp)
        self.decided.count("admitted")
        self._send(candidate, node, everyone, standing)
        self.undecided += 1
        self._tell(candidate, artifact_id, "admitted", None, None)

    def _send(self, candidate: Candidate, node: Used, everyone: Used, standing: Standing) -> None:
        artifact, hashes, record, limits = candidate.artifact, candidate.hashes, candidate.record, self.limits
        assert artifact is not None and hashes is not None
        facts = {
            "dedup_hash": hashes.dedup,
            "source_digest": hashes.source,
            "seal": seal(
                limits.seal_key,
                candidate.node_id.encode(),
                artifact["artifact_id"].encode(),
                hashes.content,
                hashes.dedup,
                artifact["confidence"],
                artifact["simulated"],
                self.batch.partition,
                record.offset,
            ),
            "confidence": artifact["confidence"],
            "threat_level": artifact["threat_level"],
            "opportunity_value": artifact["opportunity_value"],
            "effective_reputation": standing.effective,
            "rule": limits.context.rule,
            "raw_ms": record.timestamp,
            "artifact_id": artifact["artifact_id"],
            "node_id": candidate.node_id,
            "content_type": artifact["content_type"],
            "hash_key_id": limits.hash_key_id,
            "simulated": artifact["simulated"],
            "raw_partition": self.batch.partition,
            "raw_offset": record.offset,
            "reputation_revision": standing.revision,
            "node_hour_used": node.admitted,
            "global_hour_used": everyone.admitted,
            "node_hour_limit": standing.quota,
            "undecided": self.undecided,
            "assignment": artifact["assignment"],
            "tlp": marking(artifact["metadata"]) or RED,
        }
        if limits.counts_simulated or not artifact["simulated"]:
            sums = self.sums[candidate.node_id]
            sums.accepted += 1
            sums.claimed += claim(
                limits.weights, artifact["threat_level"], artifact["opportunity_value"], artifact["confidence"]
            )
        self.decided.send(
            "artifacts.admitted",
            {"key": hashes.content, "value": limits.encode({"facts": facts, "artifact": record.value})},
        )

    def _counter(self, key: bytes, record: Record) -> Used:
        return in_hour(self.used[key], record.timestamp)

    def _use(self, key: bytes, used: Used) -> None:
        self.used[key] = used
        self.changed.add(key)

    def _refuse(
        self, candidate: Candidate, artifact_id: str, reason: str, detail: str, known: Known | None = None
    ) -> None:
        self.decided.count("rejected")
        self.decided.count(f"rejected:{reason}")
        self._tell(candidate, artifact_id, "rejected", reason, detail, known)

    def _tell(
        self,
        candidate: Candidate,
        artifact_id: str,
        kind: str,
        reason: str | None,
        detail: str | None,
        known: Known | None = None,
    ) -> None:
        node_id = candidate.node_id
        self.last_ms[node_id] = candidate.record.timestamp
        if kind in ("rejected", "dead_lettered"):
            key = quota_key(node_id)
            used = self._counter(key, candidate.record)
            self._use(key, used._replace(refused=used.refused + 1))
            self.sums[node_id].refused += reason not in OVER_A_LIMIT
        self.receipts.add(
            node_id.encode(),
            outcome(artifact_id.encode(), kind, candidate.record.offset, reason, detail, read=known),
        )

    def _limit_words(self, node: Used, standing: Standing, wait: int) -> str:
        own = standing.quota and node.admitted >= standing.quota
        by = f" (reputation revision {standing.revision})" if standing.quota != self.limits.node_limit else ""
        what = (
            f"{node.admitted} artifacts of this node were admitted in this hour, the limit{by}"
            if own
            else f"the network admitted {self.global_limit} artifacts in this hour, this partition's share of the limit"
        )
        return f"{what}; retry in {wait // 1000} s"

    def finish(self) -> None:
        self.decided.rows = {IDS: self.new_ids, QUOTAS: {key: self.used[key] for key in sorted(self.changed)}}
        if self.limits.undecided_max and self.new_ids:
            self.decided.rows[DEPTH] = {HERE: self.undecided}
        self.receipts.send(self.decided, {node_id.encode(): self._about(node_id) for node_id in self.last_ms})

    def _about(self, node_id: str) -> dict[str, Any]:
        used = in_hour(self.used[quota_key(node_id)], self.last_ms[node_id])
        limit, sums = self.standings[node_id].quota, self.sums[node_id]
        suggestions = []
        if used.refused > self.limits.rejections_to_advise:
            suggestions.append("reduce collection frequency")
        if node_id in self.constrained:
            suggestions.append("focus on higher-priority targets")
        return {
            "accepted": sums.accepted,
            "refused": sums.refused,
            "claimed": sums.claimed,
            "undecided": self.undecided if self.limits.undecided_max else None,
            "status": "constrained" if node_id in self.constrained else "normal",
            "suggestions": suggestions,
            "retry_after_ms": self.constrained.get(node_id),
            "quota_left": max(0, limit - used.admitted) if limit else None,
        }
