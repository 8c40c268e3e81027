"""A whole audit: every partition of a log, on the broker or in a bundle, and what comes of it. Read only, but for the note it accepts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from streams.audit.files import write_whole
from streams.audit.layout import Item
from streams.audit.record.events import TYPES
from streams.audit.seal.keys import private_key
from streams.audit.seal.tiles import TileError
from streams.audit.verify.bundle import Bundle, BundleWriter
from streams.audit.verify.checkpoints import Published
from streams.audit.verify.findings import Finding
from streams.audit.verify.note import Key, log_key
from streams.audit.verify.report import Report
from streams.audit.verify.verifier import Result, Verifier
from streams.codec import folder
from streams.errors import AuditError
from streams.settings import Settings
from streams.topology import Topology

if TYPE_CHECKING:  # a bundle is verified without Kafka's library
    from streams.audit.live import LiveLog

KNOWN_TYPES = ("unknown", *TYPES)
UNSEALED_AFTER_MS = 180_000  # three checkpoints missed
TELL_EVERY = 5_000

Progress = Callable[[int, int], None]
Visit = Callable[[int, Item, dict[str, object]], None]


def audit_live(
    topology: Topology,
    settings: Settings,
    keys: Sequence[Key],
    anchor: bytes | None,
    tiles: Path | None,
    decode: bool,
    progress: Progress,
    visit: Visit | None = None,
) -> Report:
    """The log on the broker. Without keys those of this machine's own sealer; without an anchor the note that was accepted last time."""
    from streams.audit.live import open_log

    log = open_log(topology, settings, time.time_ns() // 1_000_000, tiles)
    if not keys and (settings.state / "keys" / "sealer.key").exists():
        private = private_key(settings.state / "keys", "sealer")
        keys = [log_key(log.manifest.origin(partition), private) for partition in log.manifest.bounds]
    report = Report(log.place.topic, log.manifest.made_ms, [str(key) for key in keys], [], decoded=decode)
    if log.strangers:
        told = f"{len(log.strangers)} checkpoints are of another log, the first at {log.strangers[0]}: was the topic recreated?"
        report.more.append(Finding("FORKED", log.place.topic, told, len(log.strangers)))
    for partition in log.manifest.bounds:
        kept = _kept(settings, log.manifest.origin(partition))
        before = anchor if anchor is not None else kept.read_bytes() if kept.exists() else None
        where = "--anchor" if anchor is not None else str(kept)
        verifier = Verifier(
            log.place.topic,
            partition,
            log.manifest.origin(partition),
            keys,
            log.published[partition],
            _entries(log, partition),
            None if before is None else Published(where, before),
            log.manifest.bounds[partition][0],
            KNOWN_TYPES if decode else (),
            visit,
        )
        result = _run(verifier, log.items(partition), log.manifest.bounds[partition], progress, log.manifest.made_ms)
        report.results.append(result)
        if result.newest_note is not None and all(finding.is_notice for finding in result.findings):
            write_whole(kept, result.newest_note)
    return report


def _entries(log: LiveLog, partition: int) -> Iterator[bytes] | None:
    entries = log.entries(partition)

    def checked() -> Iterator[bytes]:
        try:
            yield from entries or ()
        except TileError as error:
            raise AuditError(
                f"the sealed entries can't be read: {error}", "--tiles names another copy of them"
            ) from error

    return None if entries is None else checked()


def _kept(settings: Settings, origin: str) -> Path:
    """The last note of a log that this machine's audits accepted."""
    return settings.state / "audit" / "accepted" / f"{hashlib.sha256(origin.encode()).hexdigest()[:16]}.note"


def audit_bundle(
    bundle: Bundle,
    keys: Sequence[Key],
    anchor: bytes | None,
    decode: bool,
    progress: Progress,
    visit: Visit | None = None,
) -> Report:
    """The log in a bundle. keys: from the auditor, never from the bundle."""
    manifest = bundle.manifest
    report = Report(
        f"{manifest.topic} in {bundle.path}", manifest.made_ms, [str(key) for key in keys], [], decoded=decode
    )
    for partition, bounds in manifest.bounds.items():
        verifier = Verifier(
            manifest.topic,
            partition,
            manifest.origin(partition),
            keys,
            bundle.notes(partition),
            bundle.entries(partition),
            None if anchor is None else Published("--anchor", anchor),
            bounds[0],
            KNOWN_TYPES if decode else (),
            visit,
        )
        report.results.append(_run(verifier, bundle.items(partition), bounds, progress, manifest.made_ms))
    report.at_ms = max([manifest.made_ms, *(result.last_ms for result in report.results)])
    return report


def _run(verifier: Verifier, items: Iterable[Item], bounds: tuple[int, int], progress: Progress, now_ms: int) -> Result:
    total, batch, done = bounds[1] - bounds[0], list[Item](), 0
    for item in items:
        batch.append(item)
        if len(batch) == TELL_EVERY:
            verifier.feed(batch)
            done += len(batch)
            batch = []
            progress(done, total)
    verifier.feed(batch)
    result = verifier.finish()
    # of a bundle nobody signs when it was made: its newest record says at least how late it is
    age_ms = 0 if result.unsealed_since_ms is None else max(now_ms, result.last_ms) - result.unsealed_since_ms
    if result.records and (not result.checkpoints or (result.unsealed and age_ms > UNSEALED_AFTER_MS)):
        place = f"{result.topic}/{result.partition}"
        told = f"{result.unsealed} records, the oldest for {age_ms / 1000:.0f} s; does a sealer run? icn audit seal"
        result.findings.append(Finding("UNSEALED", place, told, result.unsealed))
    return result


def write_bundle(topology: Topology, settings: Settings, file: Path, tiles: Path | None, progress: Progress) -> int:
    """The log on the broker, with what was sealed, in one file. Returns the records."""
    from streams.audit.live import open_log

    log = open_log(topology, settings, time.time_ns() // 1_000_000, tiles)
    writer, records = BundleWriter(file, log.manifest), 0
    total = sum(high - low for low, high in log.manifest.bounds.values())

    def counted(partition: int) -> Iterator[Item]:
        nonlocal records
        for item in log.items(partition):
            records += 1
            if records % TELL_EVERY == 0:
                progress(records, total)
            yield item

    for partition in log.manifest.bounds:
        writer.records(partition, counted(partition))
        entries = log.entries(partition)
        if entries is not None:
            writer.entries(partition, entries)
        writer.notes(partition, (note.data for note in log.published[partition]))
    for path in (folder() / "metric_event.avsc", *sorted((folder() / "audit").glob("*.avsc"))):
        writer.add(f"schemas/{path.name}", path.read_bytes())
    writer.close()
    return records
