"""A node: submits artifacts and learns what became of each.

Three threads: the author's, the sender's (outbox -> Kafka), the listener's (receipts -> decisions); `pending` is between them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from streams.broker.registrations import kept_token
from streams.codec import decoder, encoder
from streams.domain.artifact import Limits
from streams.errors import ArtifactError, UndecidedError
from streams.registry_client import adopt_ids
from streams.sdk.artifacts import make_artifact
from streams.sdk.decision import Standing, Submission
from streams.sdk.listener import Listener
from streams.sdk.outbox import Outbox
from streams.sdk.pending import Pending
from streams.sdk.record import NodeRecord
from streams.sdk.sender import Sender
from streams.settings import Settings, read_settings
from streams.topology import MESSAGE_MAX_BYTES, Topology, load
from streams.units import size_bytes

log = logging.getLogger("icn.sdk")

RESEND_AFTER_S = 30.0  # without any receipt; doubles each time
RECORD_OVERHEAD = 1024  # key and headers


class Node:
    """One collecting node. Use as a context manager: leaving it waits for all decisions (see `flush`).

    node_id: as registered. token: 64 hex, as `icn node register` printed it; default: from the state folder. broker: host:port,….
    on_quota: "resolve" gives the caller a rejected Decision with retry_after_ms; "wait" keeps the artifact and tries again then.
    `recovered`: submissions of an earlier life. Raises IcnError (no token, no broker, outbox in use).
    """

    def __init__(
        self,
        node_id: str,
        *,
        broker: str | None = None,
        token: str | None = None,
        state: str | Path | None = None,
        topology: Topology | None = None,
        on_quota: str = "resolve",
        resend_after_s: float = RESEND_AFTER_S,
    ) -> None:
        self.node_id = node_id
        self.topology = topology or load()
        self.settings: Settings = read_settings(
            self.topology, brokers=broker, state=None if state is None else str(state)
        )
        self.settings.require_brokers()
        adopt_ids(self.topology, self.settings)
        protocol = self.topology.protocol
        self._limits = Limits(
            size_bytes(protocol["content_max"]), protocol["metadata_max"], size_bytes(protocol["metadata_bytes_max"])
        )
        self._encode, self._decode = encoder("artifact"), decoder("artifact")
        self._standing = Standing()
        self._failure: BaseException | None = None
        key = kept_token(self.settings, node_id, token)
        self._outbox = Outbox(self.settings.state / "outbox", node_id)
        try:
            self._open(key, on_quota, resend_after_s)
        except BaseException:
            self._outbox.close()
            raise

    def _open(self, token: bytes, on_quota: str, resend_after_s: float) -> None:
        left_over = self._outbox.entries()
        self.record = NodeRecord(self.topology, self.settings, self.node_id)
        self.recovered = [self._submission(entry.artifact_id, entry.record) for entry in left_over]
        for submission in self.recovered:
            submission.stored.set()
        self._pending = Pending(self.recovered)
        start = min((entry.receipts_from for entry in left_over), default=None)
        self._listener = Listener(
            self.node_id, self.topology, self.settings, self._pending, self._standing, on_quota, start
        )
        self._sender = Sender(
            self.node_id,
            self.topology,
            self.settings,
            token,
            self._outbox,
            self._pending,
            self._standing,
            lambda: self._listener.end,
            resend_after_s,
            self.record,
        )
        self._threads = [
            self._thread("sender", self._sender.run, self.recovered),
            self._thread("listener", self._listener.run),
        ]

    def _thread(self, name: str, work: Callable[..., None], *args: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                work(*args)
            except BaseException as error:
                self._failure = error
                self.record.failed(error)
                log.error("node %s: %s", self.node_id, error)
                failed = error  # the name above ends with this block
                self._pending.fail_all(lambda _: failed)

        thread = threading.Thread(target=guarded, daemon=True, name=f"icn-{self.node_id}-{name}")
        thread.start()
        return thread

    @property
    def status(self) -> str:
        """normal; constrained: the quota is used up; unheard: sent more than once, and no receipt."""
        return self._standing.status

    @property
    def quota_left(self) -> int | None:
        """Artifacts this node may still send this hour, as of the last receipt; None: no limit, or not said yet."""
        return self._standing.quota_left

    # -- for the author ---------------------------------------------------

    def submit(self, content: str, **fields: Any) -> Submission:
        """Send one artifact; returns at once with a future. Fields and defaults: SPEC §2, streams/sdk/artifacts.py.

        Raises ArtifactError for what the network would reject: field, value, range.
        """
        return self._submit(
            make_artifact(self.node_id, {"content": content, **fields}, self._limits, self.topology.simulated)
        )

    def submit_many(self, artifacts: Iterable[Mapping[str, Any]]) -> list[Submission]:
        """The same for many. All are checked before the first is sent."""
        made = [make_artifact(self.node_id, fields, self._limits, self.topology.simulated) for fields in artifacts]
        return [self._submit(artifact) for artifact in made]

    def _submit(self, artifact: dict[str, Any]) -> Submission:
        self._raise_failure()
        record, room = self._encode(artifact), MESSAGE_MAX_BYTES - RECORD_OVERHEAD - len(self.node_id.encode())
        if len(record) > room:
            raise ArtifactError(
                f"the artifact is {len(record)} bytes on the wire; at most {room}",
                "send less metadata or a shorter source",
            )
        return self._pending.add(self._submission(artifact["artifact_id"], record), self._raise_failure)

    def _submission(self, artifact_id: str, record: bytes) -> Submission:
        # in a simulated deployment time is compressed: the node's claim is the record's time
        return Submission(artifact_id, record, self._decode(record)["collected_at"] if self.topology.simulated else 0)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def flush(self, timeout_s: float | None = None) -> int:
        """Wait until everything has its decision; returns how many have not after `timeout_s` (they stay in the outbox)."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while len(self._pending) and (deadline is None or time.monotonic() < deadline):
            self._raise_failure()
            time.sleep(0.01)
        return len(self._pending)

    def close(self, timeout_s: float | None = 30) -> int:
        """Flush, stop; returns how many are left in the outbox, to be sent by the next Node of this id."""
        if self._sender.closing.is_set():
            return 0
        try:
            self.flush(timeout_s)
        finally:
            self._pending.close()
            self._sender.closing.set()
            self._listener.closing.set()
            for thread in self._threads:
                thread.join()
            left = self._sender.close()
            self._pending.fail_all(_undecided)
            self._listener.consumer.close()
            self.record.close()
            self._outbox.close()
        return left

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(30 if error is None else 1)


def _undecided(submission: Submission) -> UndecidedError:
    return UndecidedError(
        f"artifact {submission.artifact_id}: the node was closed before its decision",
        "it is in the outbox; the next Node of this id sends it (Node.recovered)",
    )
