"""Depth 1. artifacts.raw, control, and what comes back: reputation.log, batches -> artifacts.admitted, receipts; owns tables nodes, ids,
quotas, standings and depth.
"""

from __future__ import annotations

from streams.agents.admission import Admission, Limits
from streams.agents.candidates import Reader
from streams.codec import Undecodable, decoder
from streams.domain.identity import is_registrable
from streams.runtime.stage import Batch, Context, Decided, Rows, Stage, look_up
from streams.tables.depth import DEPTH, HERE
from streams.tables.ids import IDS
from streams.tables.nodes import NODES, Node
from streams.tables.quotas import QUOTAS
from streams.tables.standings import STANDINGS, Standing

DECIDES = "s2_dedup"  # what takes artifacts off the count of undecided ones
DECIDED_AS = ("unique", "upgraded", "duplicate", "dead_lettered")
BATCH_MAX = 1 << 32  # records: what claims more is no batch


def stage(context: Context) -> Stage:
    """Decide for each raw record whether it may enter."""
    return Stage(context.agent, (NODES, IDS, QUOTAS, STANDINGS, DEPTH), _Decider(context).decide)


class _Decider:
    def __init__(self, context: Context) -> None:
        self.limits, self.reader = Limits(context), Reader(context)
        self.decode = {name: decoder(name) for name in ("control", "reputation", "batch")}

    def decide(self, rows: Rows, batch: Batch) -> Decided:
        decide = {
            "artifacts.raw": self._admit,
            "control": self._register,
            "reputation.log": self._revise,
            "batches": self._relieve,
        }[batch.source]
        return decide(rows, batch)

    # -- control ----------------------------------------------------------

    def _register(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided()
        nodes: dict[bytes, Node | None] = {}
        for record in batch.records:
            try:
                event = self.decode["control"](record.value or b"")
            except Undecodable as error:
                decided.count(f"ignored:{error.reason}")
                continue
            decided.count(event["kind"])
            about = (event["node_id"], event["principal"], event["generation"], event["capabilities"])
            if event["kind"] not in ("node_registered", "node_unregistered") or not is_registrable(*about):
                continue
            key = event["node_id"].encode()
            now = nodes[key] if key in nodes else look_up(rows, NODES, [key])[key]
            if now is not None and event["generation"] < now.generation:
                continue  # an older generation stays revoked
            nodes[key] = None
            if event["kind"] == "node_registered":
                nodes[key] = Node(
                    event["principal"] or "",
                    event["generation"],
                    record.timestamp,
                    event["capacity"],
                    tuple(event["capabilities"]),
                )
        decided.rows = {NODES: nodes}
        return decided

    # -- what comes back --------------------------------------------------

    def _revise(self, rows: Rows, batch: Batch) -> Decided:
        """The newest revision of a node's reputation is stamped on its next artifacts."""
        decided = Decided()
        events = []
        for record in batch.records:
            try:
                events.append(self.decode["reputation"](record.value or b""))
            except Undecodable as error:
                decided.count(f"ignored:{error.reason}")
        standings = look_up(rows, STANDINGS, {event["node_id"].encode() for event in events})
        changed: dict[bytes, Standing] = {}
        for event in events:
            key = event["node_id"].encode()
            known = standings[key]
            sane = 0 < event["effective"] <= 1 and 0 <= event["quota"] < 1 << 31 and 0 < event["revision"] < 1 << 62
            decided.count("revision" if sane else "ignored:revision")
            if sane and (known is None or event["revision"] == known.revision + 1):  # s3 leaves no hole
                standings[key] = changed[key] = Standing(event["revision"], event["effective"], event["quota"])
        decided.rows = {STANDINGS: changed}
        return decided

    def _relieve(self, rows: Rows, batch: Batch) -> Decided:
        """What s2 has decided is no longer in front of it. Other stages' batches come to nothing here."""
        decided = Decided()
        if not self.limits.undecided_max:
            return decided
        done = 0
        for record in batch.records:
            try:
                event = self.decode["batch"](record.value or b"")
            except Undecodable:
                continue
            if event["stage"] == DECIDES:
                decided_now = sum(event["counts"].get(outcome, 0) for outcome in DECIDED_AS)
                done += decided_now if 0 <= decided_now <= event["records"] <= BATCH_MAX else 0
        if done:
            # below nothing: artifacts of a time before the limit was set
            decided.rows = {DEPTH: {HERE: max(0, (look_up(rows, DEPTH, [HERE])[HERE] or 0) - done)}}
            decided.count("decided", done)
        return decided

    # -- artifacts --------------------------------------------------------

    def _admit(self, rows: Rows, batch: Batch) -> Decided:
        decided = Decided(event_ms=max(record.timestamp for record in batch.records))
        candidates = self.reader.read(rows, batch)
        admission = Admission(self.limits, rows, batch, candidates, decided)
        for candidate in candidates:
            admission.take(candidate)
        admission.finish()
        return decided
