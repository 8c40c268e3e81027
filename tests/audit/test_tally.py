"""What the stages did gets into the audit log by the minute, counted once whatever dies; and what a node says of itself."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from streams.audit.judge.believed import believe
from streams.audit.judge.evidence import Evidence
from streams.audit.judge.slots import slots_of
from streams.audit.layout import Item
from streams.audit.record.log import AuditLog
from streams.audit.record.schedule import Schedule
from streams.audit.record.tally import MINUTE_MS, Tally
from streams.audit.verify.report import Report
from streams.audit.verify.verifier import Result, Verifier
from streams.clock import Moment, SystemClock
from streams.codec import encoder, from_jsonable
from streams.codec import schema as codec_schema
from streams.sdk import Node
from tests.support.audit import KNOWN_TYPES
from tests.support.chain import add_nodes
from tests.support.fold import read_all
from tests.support.network import ROOT, Network, wait_until


class Later(SystemClock):
    """Ours, so many minutes ahead: what is counted is over."""

    def __init__(self, minutes: int) -> None:
        super().__init__()
        self.minutes = minutes

    def now(self) -> Moment:
        at = super().now()
        return at._replace(wall_ns=at.wall_ns + self.minutes * MINUTE_MS * 10**6)


def evidence_of(net: Network) -> tuple[Evidence, Result]:
    """Everything on the topic so far."""
    evidence = Evidence()
    verifier = Verifier(net.topic("metrics"), 0, "-", (), (), None, None, 0, KNOWN_TYPES, evidence.visit)
    messages = read_all(net.settings, net.topic("metrics"))
    verifier.feed(Item(m.offset(), *m.timestamp(), m.key(), m.value()) for m in messages)
    return evidence, verifier.finish()


def sample(schema: str) -> dict[str, Any]:
    return from_jsonable(codec_schema(schema), json.loads((ROOT / f"schemas/samples/{schema}.json").read_text()))


def by_type(evidence: Evidence) -> dict[str, int]:
    found: dict[str, int] = {}
    for (type_, _), number in evidence.artifacts.items():
        found[type_] = found.get(type_, 0) + number
    return found


def test_a_minute_is_counted_once_though_it_is_written_twice(net: Network, tmp_path: Path) -> None:
    """Killed after it wrote and before it noted so: the next one writes the same counts under the same names."""
    batch = {
        "partition": 0, "sequence": 0, "topic": "artifacts.raw", "first_offset": 0, "last_offset": 9, "records": 10, "redelivered": 0,
        "applied": {}, "rule": bytes(8),
    }  # fmt: skip
    stages = [
        ("s1_intake", {"admitted": 10, "rejected": 3, "rejected:quota_exceeded": 2, "rejected:bad_signature": 1}),
        ("s1_intake", {"admitted": 5, "decided": 7}),
        ("s2_dedup", {"unique": 11, "duplicate": 3, "upgraded": 1}),
        ("s4_priority", {"scored": 12, "not_new": 3}),
    ]
    encode, producer = encoder("batch"), Producer(net.settings.librdkafka_producer())
    for stage, counts in stages:
        producer.produce(net.topic("batches"), encode({**batch, "stage": stage, "counts": counts}), stage.encode())
    producer.produce(net.topic("batches"), b"no batch")
    for minute, (fed, told) in enumerate(((10, 4), (0, 3))):
        round_ = {**sample("round"), "slot_ms": MINUTE_MS * minute, "fed": fed, "told": told}
        producer.produce(net.topic("phoenix.rounds"), encoder("round")(round_))
    kinds = ("born", "born", "died", "split")
    changes = [{"kind": kind, "pattern_id": "p", "name": "n", "other": None} for kind in kinds]
    producer.produce(net.topic("windows"), encoder("window")({**sample("window"), "changes": changes}))
    producer.flush()
    now_ms = time.time_ns() // 10**6
    schedule = Schedule("ticks", now_ms // MINUTE_MS * MINUTE_MS - MINUTE_MS, MINUTE_MS, 4, 2_000)
    for _ in range(2):
        log = AuditLog(
            tmp_path / "spool", "ticks", net.topic("metrics"), manifest={"schedule": schedule.json()}, methodology={},
            producer=net.settings.librdkafka_producer(),
        )  # fmt: skip
        tally = Tally(net.topology, net.settings, log, schedule, tmp_path / "tally", Later(2))
        tally.step()
        tally.step()  # nothing new
        assert int((tmp_path / "tally").read_text()) == tally.next_ms
        (tmp_path / "tally").unlink()
        assert log.flush()
        evidence, result = evidence_of(net)  # the second time it is still running: its schedule isn't over
        log.close()
    assert by_type(evidence) == {
        "artifact_received": 18,
        "backpressure_accept": 15,
        "artifact_rejected": 3,
        "backpressure_reject": 2,
        "artifact_deduped": 15,
        "artifact_prioritized": 12,
        "artifact_fed": 10,
        "phoenix_feed_skipped": 7,
        "pattern_detected": 2,
    }
    slots = slots_of(
        schedule, [0, 1], evidence, believe(evidence, Report("-", 0, [], [result])), now_ms + 10 * MINUTE_MS
    )
    assert (int(slots.pressure.accepts.sum()), int(slots.pressure.rejects.sum())) == (15, 2)
    assert evidence.types["backpressure_accept"] in (2, 4), "written twice; four where a minute ended in between"


def test_a_node_tells_what_it_sent_again_and_that_it_ended(net: Network) -> None:
    """No intake runs: the node hears nothing, sends again, and is closed. Its records are on the topic, its exit is signed."""
    add_nodes(net, "n1")
    with Node("n1", topology=net.topology, resend_after_s=0.2) as node:
        node.submit("one"), node.submit("two")
        wait_until(lambda: node.record._retried >= 4, 20, "two artifacts sent again twice")
        node.close(0.1)
    net.worker("s1_intake", "s2_dedup")
    with Node("n1", topology=net.topology) as node:
        assert len(node.recovered) == 2
        node.flush(60)
    evidence, result = evidence_of(net)
    mine = [run for run in evidence.runs if run.producer_id.startswith("node-n1@")]
    assert len(mine) == 2 and all(run.exit_code == 0 and run.exit_is_signed for run in mine)
    assert by_type(evidence)["backpressure_retry"] >= 4
    assert not [finding for finding in result.findings if not finding.is_notice]
