"""Records as librdkafka reads them: for replay, and where aiokafka can't.

A header's name may be any bytes on the wire. Neither library makes text of what isn't UTF-8: aiokafka gives up the whole batch, librdkafka
the headers of that one record. Such a record has no headers here, for the stage as for the replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.broker.topics import fold, headers
from streams.runtime.stage import Record
from streams.settings import Settings


def as_record(message: Any) -> Record:
    """A librdkafka message as stages see records. Once for each message: see `headers`."""
    return Record(message.offset(), message.timestamp()[1], message.key(), message.value(), headers(message))


def reread(settings: Settings, topic: str, partition: int, start: int, end: int) -> Iterator[Record]:
    """The committed records of a partition from start up to end, excluded."""
    for message in fold(settings, topic, partition, start={partition: start}, until={partition: end}):
        yield as_record(message)
