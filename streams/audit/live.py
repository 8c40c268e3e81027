"""The audit log as it is on the broker, for whoever verifies it or takes a bundle of it. Read only; bounds are frozen at the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka import Consumer

from streams.audit.layout import Item
from streams.audit.place import Place, find_place, log_folder
from streams.audit.seal.tiles import Tiles
from streams.audit.verify.bundle import Manifest
from streams.audit.verify.checkpoints import Published
from streams.audit.verify.note import NoteError, parse_checkpoint, parse_note
from streams.broker.topics import ends, fold
from streams.settings import Settings
from streams.topology import Topology


@dataclass
class LiveLog:
    """All partitions, as of now."""

    settings: Settings
    place: Place
    manifest: Manifest
    published: dict[int, list[Published]]
    strangers: list[str] = field(
        default_factory=list
    )  # checkpoints of this topic's name with another id: it was recreated
    tiles: Path | None = None  # folder with a folder for each partition; None: the sealer's own, on this machine

    def items(self, partition: int) -> Iterator[Item]:
        """Its records, up to the frozen end."""
        low, high = self.manifest.bounds[partition]
        for message in fold(
            self.settings, self.place.topic, partition, start={partition: low}, until={partition: high}, check_crcs=True
        ):
            ts_type, ts_ms = message.timestamp()
            yield Item(message.offset(), ts_type, ts_ms, message.key(), message.value())

    def entries(self, partition: int) -> Iterator[bytes] | None:
        """What was sealed; None: its files aren't here."""
        folder = log_folder(self.settings, self.place, partition) if self.tiles is None else self.tiles / str(partition)
        try:
            size = parse_checkpoint(parse_note((folder / "checkpoint").read_bytes()).text).size
        except (OSError, NoteError):
            return None
        return Tiles(folder, size).all_entries()


def open_log(topology: Topology, settings: Settings, made_ms: int, tiles: Path | None = None) -> LiveLog:
    """Freeze the bounds. Raises BrokerError."""
    place = find_place(topology, settings)
    reader = Consumer(settings.librdkafka_reader())
    try:
        bounds = ends(reader, place.topic)
    finally:
        reader.close()
    published: dict[int, list[Published]] = {partition: [] for partition in bounds}
    origins = {place.origin(partition): partition for partition in bounds}
    strangers: list[str] = []
    name = topology.topic("checkpoints").name
    for message in fold(settings, name):
        where = f"{name}/{message.partition()}/{message.offset()}"
        origin = (message.key() or b"").decode(errors="replace")
        if origin in origins:
            published[origins[origin]].append(Published(where, message.value() or b""))
        else:
            strangers.append(f"{where}: {origin}")
    manifest = Manifest(place.topic, place.cluster_id, place.topic_id, made_ms, bounds)
    return LiveLog(settings, place, manifest, published, strangers, tiles)
