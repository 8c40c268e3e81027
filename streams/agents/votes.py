"""Verdicts, as s3 takes them: who gave one, does it count, what does it weigh, and what its judge is told."""

from __future__ import annotations

from typing import Any

from streams.agents.fleet import Fleet
from streams.codec import Undecodable
from streams.domain import reputation as rep
from streams.domain.identity import NAME_MAX, is_said_by, is_sealed
from streams.domain.judge import Judge, vote, vote_weight
from streams.domain.priority import published
from streams.domain.reputation import Heard, Reputation
from streams.domain.scenario import is_fed
from streams.runtime.stage import Record
from streams.tables.counted import key as once

TESTING_WEIGHT_MIN = 0.4  # a vote that weighs less tests no claim
WHY_IGNORED = {
    "too_many": "more votes in this hour or day than one judge may give",
    "unknown_node": "no such node is registered",
    "unknown_artifact": "these are no facts of this deployment: the seal does not fit, or the outcome is unknown",
    "simulated": "the artifact is simulated, the deployment is not",
    "unclear": "the judge can't tell",
    "not_fed": "it answers a scenario that was never fed: the seal does not fit",
    "own_artifact": "judge and node answer to the same principal",
    "on_probation": "the judge is a node whose probation is not over",
    "out_of_time": "judged_at is more than a day from the broker's time: an old verdict sent again, or a wrong clock",
    "repeated": "this judge has voted on this artifact before; the first vote stands",
}


class Votes:
    """The verdicts of one batch."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.tools, self.rules = fleet, fleet.tools, fleet.rules

    def take(self, record: Record) -> None:
        try:
            event = self.tools.decode["verdict"](record.value or b"")
        except Undecodable as error:
            self.fleet.dead(record, error.reason, str(error))
            return
        name = event["judge"]
        if max(len(event[field]) for field in ("judge", "node_id", "artifact_id", "verdict_id")) > NAME_MAX:
            self.fleet.dead(record, "out_of_range", f"an id has more than {NAME_MAX} characters")
            return
        if not 0 <= event["weight"] <= 1:  # also NaN
            self.fleet.dead(record, "out_of_range", f"weight is {event['weight']!r}; a number in [0, 1]")
            return
        judge = self.fleet.judge(name)
        if judge is None:
            self.fleet.dead(record, "unknown_judge", f'no judge "{name[:80]}" is registered; icn judge register')
        elif not is_said_by(self.tools.judge_token(name, judge.generation), name, record.value, record.headers):
            self.fleet.dead(
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
            self.fleet.put_judge(name, judge)
            ignored = ignored or (None if within else "too_many")
        if as_node is not None and ignored != "repeated":
            as_node = as_node._replace(epoch=as_node.epoch._replace(voted=as_node.epoch.voted + 1))
            self.fleet.put(name, as_node)
            if not within and not as_node.epoch.brigaded:
                found = rep.brigade(self.rules, as_node)
                self.fleet.publish(name, as_node, found, found.epoch, "brigading", record.timestamp, record)
        weight = vote_weight(judge, None if as_node is None else rep.effective(self.rules, as_node))
        weight = published(weight * event["weight"])
        node, tested = self.fleet.node(event["node_id"]), False
        if ignored is not None:
            weight = 0.0
            self.fleet.decided.count(f"vote_ignored:{ignored}")
            if node is not None:
                self.fleet.put(event["node_id"], _not_counted(node, ignored))
        else:
            assert node is not None
            self.fleet.decided.count("vote")
            claim = once(b"t", event["node_id"].encode(), event["artifact_id"].encode())
            self.fleet.count_once(self._vote_key(event, name), record.timestamp)
            # a voice of little weight must not use up the claim's only test
            tested = weight >= TESTING_WEIGHT_MIN and self.fleet.is_new(claim, record.timestamp)
            heard = Heard(
                rep.VERDICT,
                record.offset,
                event["outcome"] == "confirmed",
                weight,
                event["confidence"] if tested else None,
                judge.principal,
                bounded=weight < 1,
            )
            self.fleet.observe(event["node_id"], node, heard, record)
        told = {
            **{field: event[field] for field in ("verdict_id", "judge", "node_id", "artifact_id", "outcome")},
            "weight": weight,
            "tested": tested,
            "ignored": ignored,
            "detail": WHY_IGNORED[ignored] if ignored else None,
            **self.fleet.origin(record),
        }
        self.fleet.decided.send("votes", {"key": name.encode(), "value": self.tools.encode_vote(told)})

    def _as_node(self, name: str, judge: Judge) -> Reputation | None:
        """The judge as a node: of the same name, and the same principal answers for both."""
        node = self.fleet.node(name)
        return node if node is not None and node.principal == judge.principal else None

    @staticmethod
    def _vote_key(event: dict[str, Any], name: str) -> bytes:
        return once(b"v", name.encode(), event["node_id"].encode(), event["artifact_id"].encode())

    def _no_vote(self, event: dict[str, Any], name: str, judge: Judge, at_ms: int) -> str | None:
        """Why a vote counts nothing; None: it counts, unless there are too many."""
        node, as_node = self.fleet.node(event["node_id"]), self._as_node(name, judge)
        if node is None:
            return "unknown_node"
        if event["outcome"] not in ("confirmed", "refuted", "unclear") or not self._is_ours(event):
            return "unknown_artifact"
        if event["scenario_id"] is not None and not is_fed(
            self.tools.scenario_key, event["scenario_slot_ms"], event["dedup_hash"], event["scenario_seal"]
        ):
            return "not_fed"
        if event["simulated"] and not self.tools.counts_simulated:
            return "simulated"
        same_name = self.fleet.node(name)
        if node.principal in (judge.principal, same_name and same_name.principal) or name == event["node_id"]:
            return "own_artifact"
        if as_node is not None and as_node.probation_left:
            return "on_probation"
        if not self.fleet.may_count(self._vote_key(event, name), at_ms):
            return "repeated"
        if event["outcome"] == "unclear":
            return "unclear"
        skew_ms = abs(event["judged_at"] - at_ms)
        return "out_of_time" if skew_ms > rep.DAY_MS and not self.tools.counts_simulated else None

    def _is_ours(self, event: dict[str, Any]) -> bool:
        return len(event["content_hash"]) == 32 and is_sealed(
            self.tools.seal_key,
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


def _not_counted(node: Reputation, reason: str) -> Reputation:
    ignored = {**node.epoch.ignored, reason: node.epoch.ignored.get(reason, 0) + 1}
    return node._replace(epoch=node.epoch._replace(ignored=ignored))
