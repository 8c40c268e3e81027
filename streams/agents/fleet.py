"""The fleet as s3 has it while it folds a batch: the rows as they were, what has changed over them, and the revisions that tell of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from streams.agents.deadletters import dead_letter
from streams.avro import slicer
from streams.codec import decoder, encoder, header
from streams.domain import reputation as rep
from streams.domain.admiralty import grade
from streams.domain.calibration import e_value
from streams.domain.identity import node_token
from streams.domain.judge import Judge
from streams.domain.priority import published
from streams.domain.reputation import Heard, Reputation, Rules
from streams.runtime.stage import Batch, Context, Decided, Record, Rows, look_up
from streams.secrets import derive
from streams.tables.counted import COUNTED
from streams.tables.judges import JUDGES
from streams.tables.reputations import REPUTATIONS
from streams.units import duration_ms

TOPICS = {
    rep.RECEIPTS: "receipts",
    rep.COLLECTION: "collections",
    rep.CORROBORATION: "corroborations",
    rep.VERDICT: "verdicts",
}


class Tools:
    """What every batch needs."""

    def __init__(self, context: Context) -> None:
        protocol = context.topology.protocol
        self.context = context
        self.rules = Rules.of(protocol["reputation"], duration_ms(protocol["reputation"]["idle"]["after"]))
        self.node_limit = int(protocol["intake"]["node_per_hour"])
        self.horizon_ms = context.topology.horizon_ms
        self.counts_simulated = context.topology.simulated
        self.decode = {name: decoder(name) for name in ("control", "corroboration", "verdict", "collection")}
        self.receipt_head = header("receipt")
        self.slice_receipt = slicer("receipt", "status", ("node_id", "stage", "accepted", "refused", "claimed"))
        self.encode, self.encode_vote = encoder("reputation"), encoder("vote")
        self.seal_key = derive(context.secret, "facts-seal")
        self.scenario_key = derive(context.secret, "scenario-seal")
        judge_key = derive(context.secret, "judge-token")
        self.judge_token = lru_cache(65536)(lambda name, generation: node_token(judge_key, name, generation))


class Fleet:
    """Nodes, judges, and what has been counted."""

    def __init__(self, tools: Tools, rows: Rows, batch: Batch) -> None:
        self.tools, self.rules, self.rows, self.batch = tools, tools.rules, rows, batch
        self.decided = Decided(event_ms=max(record.timestamp for record in batch.records))
        self.nodes: dict[str, Reputation | None] = {}
        self.judges: dict[str, Judge | None] = {}
        self.counted: dict[bytes, int | None] = {}
        self.changed_nodes: set[str] = set()
        self.changed_judges: set[str] = set()
        self.newly_counted: set[bytes] = set()
        self.all_nodes_are_here = False

    # -- rows -------------------------------------------------------------

    def node(self, name: str) -> Reputation | None:
        if name not in self.nodes and not self.all_nodes_are_here:
            self.nodes[name] = look_up(self.rows, REPUTATIONS, [name.encode()])[name.encode()]
        return self.nodes.get(name)

    def every_node(self) -> dict[str, Reputation]:
        if not self.all_nodes_are_here:
            for key, row in self.rows.scan(REPUTATIONS).items():
                self.nodes.setdefault(key.decode(), row)
            self.all_nodes_are_here = True
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
        return before is None or at_ms - before > self.tools.horizon_ms

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

    def face(self, node: Reputation) -> tuple[Any, ...]:
        """What others see of a node: when it changes, there is a new revision."""
        return (
            node.score,
            rep.effective(self.rules, node),
            rep.quota(self.rules, node, self.tools.node_limit),
            grade(node),
            node.anomalous,
            node.clean_hours_left,
        )

    # -- what is said -----------------------------------------------------

    def observe(self, name: str, node: Reputation, heard: Heard, record: Record) -> None:
        """An outcome; if it was the last straw, the revision that tells of it."""
        seen = rep.observe(self.rules, node, heard)
        if not rep.is_to_be_demoted(self.rules, seen):
            self.put(name, seen)
            return
        self.decided.count("inflation_detected")
        demoted = rep.demote(self.rules, seen)
        self.publish(name, node, demoted, seen.epoch, "inflation_detected", record.timestamp, record, seen)

    def publish(
        self,
        name: str,
        before: Reputation,
        after: Reputation,
        epoch: rep.Epoch,
        cause: str,
        at_ms: int,
        record: Record,
        tested: Reputation | None = None,
    ) -> None:
        """tested: with the bets that led to a demotion; the node's own have started afresh."""
        tested = tested or after
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
            "grade": grade(after),
            "quota": rep.quota(rules, after, self.tools.node_limit),
            "e_value": published(e_value(rules.test, tested.bets)),
            "epochs": tested.bets.epochs,
            "against": {name: published(max(voice)) for name, voice in tested.voices.items()},
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
            **self.origin(record),
        }
        value = self.tools.encode(event)
        for topic in ("reputation.log", "reputation"):
            self.decided.send(topic, {"key": name.encode(), "value": value})

    def origin(self, record: Record) -> dict[str, Any]:
        return {
            "input_topic": self.batch.source,
            "input_partition": self.batch.partition,
            "input_offset": record.offset,
            "rule": self.tools.context.rule,
        }

    def dead(self, record: Record, reason: str, detail: str) -> None:
        dead_letter(self.tools.context, self.batch, record, reason, detail, self.decided)
