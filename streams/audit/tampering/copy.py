"""A small log in memory: what is verified, tampered with, and verified again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from streams.audit.layout import Item
from streams.audit.verify.bundle import Bundle, BundleWriter, Manifest
from streams.audit.verify.checkpoints import Published
from streams.audit.verify.note import Key
from streams.audit.verify.verifier import Result, Verifier


@dataclass(frozen=True)
class Copy:
    """One partition, with all that is said of it. Immutable: a fault makes another one."""

    manifest: Manifest
    partition: int
    items: tuple[Item, ...]
    entries: tuple[bytes, ...] | None
    notes: tuple[bytes, ...]
    more: dict[str, bytes] = field(default_factory=dict, compare=False)

    def but(self, **changes: Any) -> Copy:
        """The same, with these parts changed."""
        return replace(self, **changes)

    def verify(
        self,
        keys: Sequence[Key],
        anchor: bytes | None = None,
        types: tuple[str, ...] = (),
        visit: Callable[[int, Item, dict[str, object]], None] | None = None,
    ) -> Result:
        """What an auditor finds."""
        verifier = Verifier(
            self.manifest.topic,
            self.partition,
            self.manifest.origin(self.partition),
            keys,
            [Published(f"note#{number}", note) for number, note in enumerate(self.notes, 1)],
            self.entries,
            None if anchor is None else Published("anchor", anchor),
            self.manifest.bounds[self.partition][0],
            types,
            visit,
        )
        verifier.feed(self.items)
        return verifier.finish()

    def write(self, path: Path) -> None:
        """As a bundle."""
        writer = BundleWriter(path, self.manifest)
        writer.records(self.partition, self.items)
        if self.entries is not None:
            writer.entries(self.partition, self.entries)
        writer.notes(self.partition, self.notes)
        for name, data in self.more.items():
            writer.add(name, data)
        writer.close()


def load(path: Path, partition: int = 0) -> Copy:
    """From a bundle. Raises AuditError."""
    bundle = Bundle(path)
    entries = bundle.entries(partition)
    return Copy(
        bundle.manifest,
        partition,
        tuple(bundle.items(partition)),
        None if entries is None else tuple(entries),
        tuple(note.data for note in bundle.notes(partition)),
    )
