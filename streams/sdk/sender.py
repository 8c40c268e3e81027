"""outbox -> Kafka. An artifact is in the outbox, fsynced, before it is sent, and leaves it with its decision.

What finds no receipt is sent again, same id and bytes: intake knows it and sends the receipt again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer

from streams.domain.identity import MAC_HEADER, sign
from streams.errors import OutboxError
from streams.sdk.decision import Decision, Standing, Submission
from streams.sdk.outbox import Entry, Outbox
from streams.sdk.pending import Pending
from streams.sdk.record import NodeRecord
from streams.sdk.trace import headers_of
from streams.settings import Settings
from streams.topology import MESSAGE_MAX_BYTES, Topology

log = logging.getLogger("icn.sdk")

RESEND_AFTER_MAX_S = 600.0
UNHEARD_AFTER = 3  # sends without a receipt until the author is warned
LOOK_EVERY_S = 0.5


class Sender:
    """`run` is a thread of its own."""

    def __init__(
        self,
        node_id: str,
        topology: Topology,
        settings: Settings,
        token: bytes,
        outbox: Outbox,
        pending: Pending,
        standing: Standing,
        receipts_end: Callable[[], int],
        resend_after_s: float,
        record: NodeRecord,
    ) -> None:
        self.node_id, self.token, self.key = node_id, token, node_id.encode()
        self.deployment, self.topic = topology.deployment, topology.topic("artifacts.raw").name
        self.outbox, self.pending, self.standing, self.receipts_end = outbox, pending, standing, receipts_end
        self.resend_after_s, self.record = resend_after_s, record
        self.closing = threading.Event()
        self.producer = Producer(
            settings.librdkafka_producer(
                **{
                    "client.id": f"icn-node-{node_id}",
                    "delivery.timeout.ms": 120_000,
                    "message.max.bytes": MESSAGE_MAX_BYTES,
                }
            )
        )

    def run(self, recovered: list[Submission]) -> None:
        """Until `closing`; then what was still added is stored, and sent by the next node of this id."""
        for submission in recovered:
            self._produce(submission)
        look_at = time.monotonic()
        while not self.closing.is_set():
            for submission in self._store(self.pending.take(0.02)):
                self._produce(submission)
            self.producer.poll(0)
            self._remove_finished()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY_S
                self._send_again()
                self.record.tell()

    def close(self) -> int:
        """After `run` has ended; returns how many are left in the outbox."""
        while batch := self.pending.take(0.02):
            self._store(batch)
        self._remove_finished()
        self.producer.flush(5)
        return self.outbox.count()

    def _store(self, batch: list[Submission]) -> list[Submission]:
        """Those that are in the outbox now. The others fail, each with the reason; what was stored before goes on."""
        if not batch:
            return []
        end = self.receipts_end()
        try:
            self.outbox.add(Entry(s.artifact_id, s.record, end) for s in batch)
        except OutboxError as error:
            for submission in batch:
                self.pending.fail(submission, error)
            return []
        for submission in batch:
            submission.stored.set()
        return batch

    def _produce(self, submission: Submission) -> None:
        submission.attempts += 1
        pause = min(self.resend_after_s * 2 ** (submission.attempts - 1), RESEND_AFTER_MAX_S)
        submission.due = time.monotonic() + pause
        headers = headers_of("icn.artifact", f"/{self.deployment}/nodes/{self.node_id}", submission.artifact_id)
        headers.append((MAC_HEADER, sign(self.token, self.key, submission.record)))
        while True:
            try:
                self.producer.produce(
                    self.topic,
                    submission.record,
                    self.key,
                    headers=headers,
                    timestamp=submission.at_ms,
                    on_delivery=self._delivered(submission),
                )
                return
            except BufferError:
                if self.closing.is_set():
                    return  # it is in the outbox
                self.producer.poll(0.1)

    def _delivered(self, submission: Submission) -> Any:
        def report(error: Any, message: Any) -> None:
            submission.reported += 1
            if error is not None:  # it may have been written all the same: the id makes sending it again harmless
                submission.due = time.monotonic() + 1
            else:
                submission.last_offset = max(submission.last_offset, message.offset())
            self.pending.settle(submission)

        return report

    def _send_again(self) -> None:
        for submission in self.pending.due(time.monotonic()):
            if submission.admitted:
                # intake has it from an earlier life and its decision was told then, before our outbox knew of it
                decision = Decision(submission.artifact_id, "resent", quota_left=submission.quota_left)
                self.pending.resolve(submission, decision)
            else:
                self.record.sent_again()
                self._produce(submission)
                self._warn_unheard(submission)

    def _warn_unheard(self, submission: Submission) -> None:
        """Nobody tells a sender that its signature is wrong: its name might be forged."""
        if submission.attempts == UNHEARD_AFTER and self.standing.status != "unheard":
            self.standing.status = "unheard"
            log.warning(
                "node %s: sent %d times, no receipt. Is an intake running (icn status), and is this token in force (icn node list)?",
                self.node_id,
                submission.attempts,
            )

    def _remove_finished(self) -> None:
        if finished := self.pending.take_finished():
            try:
                self.outbox.remove(finished)
            except OutboxError as error:  # sent again in the next life: harmless
                log.warning("node %s: %s", self.node_id, error)
