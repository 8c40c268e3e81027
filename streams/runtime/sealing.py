"""The sealer's process: a log of its own, and the sealer, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any

from confluent_kafka import KafkaException

from streams.audit.place import find_place
from streams.audit.record.events import Event
from streams.audit.record.process import process_log
from streams.audit.seal.keys import private_key
from streams.audit.seal.sealer import Sealer
from streams.errors import BrokerError
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.sealer")

RETRY_S = 2.0


def run(topology: Topology, settings: Settings, every_s: float) -> int:
    """Seal until SIGTERM or Ctrl-C; then once more, so that a run that has ended is sealed to its last record."""
    hold_on_to_lifeline()
    setup_logging()
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    audit = process_log(topology, settings, "sealer", None)

    def said(sealed: Mapping[str, Any]) -> None:
        log.info("sealed %s: %d entries", sealed["origin"], sealed["size"])
        audit.write(Event("seal", payload=sealed))

    sealer = Sealer(
        settings,
        find_place(topology, settings),
        topology.topic("checkpoints").name,
        private_key(settings.state / "keys", "sealer"),
        said,
        every_s,
    )
    try:
        sealer.begin()
        while not stop.is_set():
            try:
                sealer.step()
            except (BrokerError, KafkaException) as error:  # away for a while: what comes meanwhile is sealed later
                log.warning("%s", error)
                stop.wait(RETRY_S)
    finally:
        audit.close()
        sealer.finish()
        sealer.close()
    return 0
