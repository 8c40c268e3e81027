"""From the spool to Kafka: idempotent, one explicit partition, acks of all. What a run before left goes first, the same bytes."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from streams.audit.record.spool import Segment, Spool

log = logging.getLogger("icn.audit")

WAIT_S = 0.02
IN_FLIGHT_MAX = 5000


class Shipper:
    """Sends synced records only, in order; forgets segments that Kafka has."""

    def __init__(self, spool: Spool, topic: str, partition: int, producer: Mapping[str, Any]) -> None:
        self.spool, self.topic, self.partition = spool, topic, partition
        self._settings = {
            **producer,
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,  # never given up: the spool waits as long as the broker is away
            "linger.ms": 5,
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="audit-ship")
        self._flying: deque[tuple[Segment, int]] = deque()  # (segment, end) in order; a report takes off the first
        self._acked: dict[int, int] = {}  # number of a segment -> Kafka has all before this byte
        self._broken = False
        self._producer: Any = None

    def start(self) -> None:
        """In a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """What is not sent stays in the spool."""
        self._stop.set()
        self._thread.join()

    def is_done(self) -> bool:
        """Whether Kafka has all that is written."""
        rest = any(self._acked.get(s.number, s.acked()) < s.size() for s in list(self.spool.left))
        return not rest and self._acked.get(self.spool.current.number, 0) >= self.spool.written

    def _run(self) -> None:
        from confluent_kafka import Producer

        while not self._stop.is_set():
            self._producer, self._broken = Producer(self._settings), False
            self._flying.clear()
            try:
                while not self._stop.is_set():
                    for segment in list(self.spool.left):
                        self._send_all(segment)
                    self._follow(self.spool.current)
            except _BrokenError:
                log.warning("audit log: the producer failed and is made anew; what it had under way is sent again")
        self._note()

    def _send_all(self, segment: Segment) -> None:
        """One that grows no more."""
        end = segment.size()
        for frame in segment.frames(self._acked.get(segment.number, segment.acked())):
            self._send(segment, frame.value, frame.end)
        self._flush()
        if self._acked.get(segment.number, segment.acked()) < end and not self._stop.is_set():
            self._acked[segment.number] = end  # a power loss cut its last frame: nothing whole is behind
        self._note()

    def _follow(self, current: Segment) -> None:
        """The current segment, as it grows, until there is a newer one."""
        sent = self._acked.get(current.number, current.acked())
        while not self._stop.is_set() and current is self.spool.current:
            end = self.spool.synced
            for frame in current.frames(sent, end) if end > sent else ():
                self._send(current, frame.value, frame.end)
                sent = frame.end
            self._poll(WAIT_S)
            self._note()
            if end:
                self._forget()

    def _send(self, segment: Segment, value: bytes, end: int) -> None:
        while len(self._flying) >= IN_FLIGHT_MAX and not self._stop.is_set():
            self._poll(WAIT_S)
        if not self._stop.is_set():
            self._flying.append((segment, end))
            self._producer.produce(self.topic, value, segment.run_id, self.partition, on_delivery=self._delivered)

    def _flush(self) -> None:
        while self._flying and not self._stop.is_set():
            self._poll(WAIT_S)

    def _poll(self, timeout_s: float) -> None:
        self._producer.poll(timeout_s)
        if self._broken:
            raise _BrokenError

    def _delivered(self, error: Any, message: Any) -> None:
        """Reports of one partition come in the order of sending."""
        self._broken = self._broken or error is not None
        if not self._broken:
            segment, end = self._flying.popleft()
            self._acked[segment.number] = end

    def _note(self) -> None:
        for segment in (*self.spool.left, self.spool.current):
            end = self._acked.get(segment.number)
            if end is not None and segment.noted != end:
                with contextlib.suppress(OSError):  # a full disk: noted later, or sent again by the next run
                    segment.ack(end)

    def _forget(self) -> None:
        """The current segment has a record that says how the run before ended, so the older ones have told all they know."""
        for segment in list(self.spool.left):
            if self._acked.get(segment.number, segment.acked()) >= segment.size():
                self.spool.left.remove(segment)
                segment.remove()


class _BrokenError(Exception):
    """A record did not arrive, for good: begin again from what is acknowledged."""
