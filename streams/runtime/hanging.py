"""Ends a transaction that the broker did not: its records hang, neither committed nor aborted, and nobody can read past them.

Seen with a lone broker that was restarted: its coordinator held the transaction for over, some partition never got the word. The next
end of a transaction of the same producer, in that partition, ends the hanging one alike. So it is found out how that one ended elsewhere,
and one that ends so is made.
"""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, TopicPartition

from streams.broker.topics import fold, watermarks
from streams.codec import Undecodable, decoder
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.store import MARKER, Marker
from streams.settings import Settings

log = logging.getLogger("icn.hanging")

LOOK_BACK = 10_000  # batch events in which a committed one is looked for: it was among the last


def end_hanging(checkpoint: Checkpoint, settings: Settings, start: int, end: int) -> bool:
    """End what hangs on the changelog between these offsets. False: how it ended elsewhere can't be told yet. Call behind the fence."""
    reader = Consumer(settings.librdkafka_reader(**{"isolation.level": "read_uncommitted"}))
    try:
        marker = _marker(reader, checkpoint, start, end)
        if marker is not None and _is_committed(checkpoint, settings, marker):
            log.warning("%s: batch %d hung on the changelog; it is committed", checkpoint.name, marker.sequence)
            checkpoint.commit_nothing(marker)
            return True
        (_, visible), (_, written) = (_ends(settings, checkpoint, committed) for committed in (True, False))
        if visible < written:
            return False  # something is open on batches, perhaps this
        log.warning("%s: offsets %d..%d hung on the changelog; they are aborted", checkpoint.name, start, end - 1)
        checkpoint.abort_nothing()
        return True
    finally:
        reader.close()


def _marker(reader: Consumer, checkpoint: Checkpoint, start: int, end: int) -> Marker | None:
    """The last thing a transaction writes to the changelog; None: it never came so far, so it was never committed."""
    found = None
    reader.assign([TopicPartition(checkpoint.stage.agent.changelog, checkpoint.partition, start)])
    while True:
        for message in reader.consume(10_000, 1.0):
            if message.error() is not None or message.offset() >= end:
                return found
            if message.key() == MARKER:
                found = Marker.unpack(message.value())
            if message.offset() == end - 1:
                return found


def _is_committed(checkpoint: Checkpoint, settings: Settings, marker: Marker) -> bool:
    decode, name = decoder("batch"), checkpoint.stage.agent.name
    for message in fold(settings, checkpoint.batches, last=LOOK_BACK):
        try:
            event = decode(message.value() or b"")
        except Undecodable:
            continue
        if (event["stage"], event["partition"], event["sequence"]) == (name, checkpoint.partition, marker.sequence):
            return True
    return False


def _ends(settings: Settings, checkpoint: Checkpoint, committed: bool) -> tuple[int, int]:
    level = "read_committed" if committed else "read_uncommitted"
    reader = Consumer(settings.librdkafka_reader(**{"isolation.level": level}))
    try:
        return watermarks(reader, checkpoint.batches, 0)
    finally:
        reader.close()
