"""A process's voice in the audit log: spool first, Kafka after. A call costs its caller an encoding, two hashes and a write.

Two threads do the rest: one syncs the spool, one sends what is synced and forgets what Kafka has. If the broker is away, the spool holds
it; if the disk is full, the policy says whether the caller is refused or goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.layout import first_link
from streams.audit.record.events import Event, Writer, canonical, check
from streams.audit.record.ship import Shipper
from streams.audit.record.spool import SEGMENT_BYTES, Spool
from streams.clock import Clock, Moment, SystemClock
from streams.errors import AuditError

log = logging.getLogger("icn.audit")

SYNC_EVERY_S = 0.02
HELD_MAX = 10_000  # events kept in memory while the disk takes none; later ones are counted
STATE_EVERY_NS = 60 * 10**9  # how often the kernel is asked whether the clock is steered


class Held(NamedTuple):
    """An event that the disk did not take."""

    event: Event
    at: Moment
    clock_state: str


class AuditLog:
    """One run: from process_start to process_exit. Raises AuditError where another process writes under this name."""

    def __init__(
        self,
        folder: Path,
        producer_id: str,
        topic: str,
        *,
        manifest: Mapping[str, Any],
        methodology: Mapping[str, Any],
        producer: Mapping[str, Any] | None,
        partition: int = 0,
        refuse_when_full: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """folder: of all producers' spools. manifest, methodology: what seq 0 and 1 say, beside what every run says. producer: librdkafka's
        settings; None: send nothing, whoever opens the folder next does. refuse_when_full: raise AuditError where the disk is full, else
        hold and count."""
        self.topic, self.partition, self.producer_id = topic, partition, producer_id
        self.clock, self.refuse_when_full = clock or SystemClock(), refuse_when_full
        self.run_id = os.urandom(16)
        self._key = Ed25519PrivateKey.generate()
        self._lock = threading.Lock()
        self._held: deque[Held] = deque()
        self._lost = 0
        self._state, self._asked_ns = self.clock.state(), self.clock.now().mono_ns
        self._spool = Spool(folder / producer_id, self.run_id)
        text = canonical({**manifest, **self._about_this_run()})
        self._writer = Writer(
            topic, producer_id, self.run_id, self.clock.boot_id, first_link(self.run_id, text.encode())
        )
        self._closing = threading.Event()
        self._closed = False
        self._syncer = threading.Thread(target=self._sync, daemon=True, name="audit-sync")
        self.write(Event("process_start", payload={"manifest": text}))
        self.write(Event("methodology", payload={"text": canonical(methodology)}))
        self._syncer.start()
        self._shipper = Shipper(self._spool, topic, partition, producer) if producer is not None else None
        if self._shipper is not None:
            self._shipper.start()

    def _about_this_run(self) -> dict[str, Any]:
        now, before = self.clock.now(), self._spool.previous()
        return {
            "producer_id": self.producer_id,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "clock": {name: str(value) for name, value in now._asdict().items()}
            | {"boot_id": self.clock.boot_id.hex()},
            "previous": None
            if before is None
            else {"run_id": before.run_id.hex(), "seq": before.last_seq, "record_hash": before.last_hash.hex()},
            "public_key": self._key.public_key().public_bytes_raw().hex(),
        }

    # -- what callers say -------------------------------------------------

    def write(self, event: Event) -> None:
        """On disk when it returns, as far as a killed process is concerned. Raises AuditError where the disk takes nothing and the policy
        is to refuse. An event that can't be is told as an exception."""
        try:
            check(event)
        except AuditError as error:
            event = Event("exception", error=f"not logged: {error.args[0]}")
        at = self.clock.now()
        with self._lock:
            if at.mono_ns - self._asked_ns > STATE_EVERY_NS:
                self._state, self._asked_ns = self.clock.state(), at.mono_ns
            held = Held(event, at, self._state)
            if self._held:
                self._take_up()
            if self._held:
                self._hold(held)
                return
            try:
                self._keep(held)
            except OSError as error:
                if self.refuse_when_full:
                    raise AuditError(
                        f"the audit log can't be written: {error.strerror}: {self._spool.folder}",
                        "free space there; nothing is done that isn't logged",
                    ) from error
                log.error("audit log: %s; events are held in memory: %s", error.strerror, self._spool.folder)
                self._hold(held)

    def _keep(self, held: Held) -> None:
        value = self._writer.record(*held)
        self._spool.append(value)
        self._writer.advance(value)

    def _hold(self, held: Held) -> None:
        if len(self._held) < HELD_MAX:
            self._held.append(held)
        else:
            self._lost += 1

    def _take_up(self) -> None:
        """Write what was held, oldest first. Whatever was lost is said."""
        try:
            while self._held:
                self._keep(self._held[0])
                self._held.popleft()
            if self._lost:
                self._keep(
                    Held(
                        Event("exception", error=f"{self._lost} events were lost: the spool's disk was full"),
                        self.clock.now(),
                        self._state,
                    )
                )
                self._lost = 0
        except OSError:
            return

    @property
    def held(self) -> int:
        """Events that are in memory only, because the disk takes none; lost ones too."""
        return len(self._held) + self._lost

    # -- threads ----------------------------------------------------------

    def _sync(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            if self._held:
                with self._lock:
                    self._take_up()
            if self._spool.written > SEGMENT_BYTES:
                with self._lock, contextlib.suppress(OSError):
                    self._spool.roll()
            with contextlib.suppress(OSError):
                self._spool.sync()

    def flush(self, timeout_s: float = 10) -> bool:
        """Wait until Kafka has all. False if it has not in time; then it is in the spool."""
        deadline = time.monotonic() + timeout_s
        while self._shipper is not None and time.monotonic() < deadline:
            if not self._held and self._shipper.is_done():
                return True
            time.sleep(0.01)
        return False

    def close(self, code: int = 0, timeout_s: float = 10) -> bool:
        """Say process_exit, and send what is left. False: it is in the spool, and the next run of this producer sends it. Once."""
        with self._lock:
            if self._closed:
                return True
            self._closed = True
        with self._lock:
            signature = self._key.sign(self._writer.prev)
        self.write(Event("process_exit", payload={"code": code, "signature": signature}))
        sent = self.flush(timeout_s)
        self._closing.set()
        if self._syncer.is_alive():
            self._syncer.join()
        if self._shipper is not None:
            self._shipper.stop()
        self._spool.close()
        return sent

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, SystemExit):
            self.write(Event("exception", error=f"{type(error).__name__}: {error}"[:1000]))
        self.close(1 if error is not None else 0)
