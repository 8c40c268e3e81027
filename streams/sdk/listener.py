"""receipts -> decisions. Reads the one partition that has this node's receipts."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.broker.topics import watermarks
from streams.codec import Undecodable, decoder
from streams.domain.quota import OVER_A_LIMIT
from streams.errors import BrokerError, ContractError
from streams.partition import partition_of
from streams.sdk.decision import Decision, Standing, Submission
from streams.sdk.pending import Pending
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.sdk")

RESENT_GRACE_S = 10.0  # "admitted before": how long to wait for the word of s2, which may have come long ago


class Listener:
    """`run` is a thread of its own. start: the first receipt to read; None: the next one. Raises BrokerError, ContractError."""

    def __init__(
        self,
        node_id: str,
        topology: Topology,
        settings: Settings,
        pending: Pending,
        standing: Standing,
        on_quota: str,
        start: int | None,
    ) -> None:
        self.key, self.topology = node_id.encode(), topology
        self.pending, self.standing, self.on_quota = pending, standing, on_quota
        self.topic, self.decode = topology.topic("receipts").name, decoder("receipt")
        self.closing = threading.Event()
        self.consumer = Consumer(
            settings.librdkafka_reader(**{"client.id": f"icn-node-{node_id}", "enable.partition.eof": False})
        )
        partition, self.end = self._find(settings.brokers)
        self.consumer.assign([TopicPartition(self.topic, partition, self.end if start is None else start)])

    def _find(self, brokers: str) -> tuple[int, int]:
        """(the partition that has our receipts, its end)."""
        try:
            about = self.consumer.list_topics(self.topic, timeout=15).topics[self.topic]
            if about.error is not None:
                raise ContractError(f'topic "{self.topic}" is missing on {brokers}', "icn topics apply, or icn up")
            partition = partition_of(self.key, len(about.partitions))
            return partition, watermarks(self.consumer, self.topic, partition, 15)[1]
        except KafkaException as error:
            raise BrokerError(
                f"{brokers}: {error.args[0].str()}", "is the broker running? icn broker status"
            ) from error

    def run(self) -> None:
        """Until `closing`."""
        while not self.closing.is_set():
            for message in self.consumer.consume(500, 0.01):
                if message.error() is not None:
                    continue  # librdkafka goes on by itself once the broker is back
                self.end = max(self.end, message.offset() + 1)
                if message.key() != self.key:
                    continue
                try:
                    receipt = self.decode(message.value() or b"")
                except Undecodable as error:
                    log.warning("%s/%d/%d is no receipt: %s", self.topic, message.partition(), message.offset(), error)
                    continue
                if receipt["stage"] in self.topology.agents:
                    self.read(receipt)

    def read(self, receipt: dict[str, Any]) -> None:
        """Tell each submission what the receipt says of it."""
        if receipt["stage"] == "s1_intake":
            self.standing.quota_left, self.standing.status = receipt["quota_left"], receipt["status"]
        for told in receipt["outcomes"]:
            submission = self.pending.get(told["artifact_id"])
            if submission is not None:
                self._tell(submission, receipt, told)

    def _tell(self, submission: Submission, receipt: dict[str, Any], told: dict[str, Any]) -> None:
        if told["outcome"] == "admitted":
            submission.admitted, submission.due, submission.quota_left = True, float("inf"), receipt["quota_left"]
        elif told["outcome"] == "resent":
            if not submission.admitted:
                submission.due = time.monotonic() + RESENT_GRACE_S
                submission.admitted, submission.quota_left = True, receipt["quota_left"]
        elif told["reason"] not in OVER_A_LIMIT:
            self.pending.resolve(submission, _decision(submission, receipt, told))
        elif self.on_quota == "wait":
            submission.due = time.monotonic() + (receipt["retry_after_ms"] or 1000) / 1000 + 0.5
        else:
            submission.refused = (told["offset"], _decision(submission, receipt, told))
            self.pending.settle(submission)


def _decision(submission: Submission, receipt: dict[str, Any], told: dict[str, Any]) -> Decision:
    return Decision(
        submission.artifact_id,
        told["outcome"],
        told["reason"],
        told["detail"],
        told["canonical_id"],
        told["version"],
        receipt["retry_after_ms"] if told["reason"] in OVER_A_LIMIT else None,
        submission.quota_left if receipt["quota_left"] is None else receipt["quota_left"],
        tuple(receipt["suggestions"]),
    )
