"""A small audit log in memory, made by the real writer and sealed with a real key: two workers, a sealer, and whoever tampers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.layout import Item, entry, first_link
from streams.audit.record.events import TYPES, Event, Writer, canonical
from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import signed
from streams.audit.verify.bundle import Manifest
from streams.audit.verify.merkle import Frontier, leaf_hash
from streams.audit.verify.note import Key, log_key
from streams.clock import Moment

TOPIC = "icn.metrics"
MANIFEST = Manifest(TOPIC, "cluster", "topic-1", 1_800_000_000_000, {0: (0, 0)})
ORIGIN = MANIFEST.origin(0)
SEALER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS: Sequence[Key] = (log_key(ORIGIN, SEALER),)
KNOWN_TYPES = ("unknown", *TYPES)
T0 = 1_800_000_000_000


class World:
    """Producers that write, and a sealer that signs now and then. Every second one record."""

    def __init__(
        self,
        topic: str = TOPIC,
        origin: str = ORIGIN,
        key: Ed25519PrivateKey = SEALER,
        change: Callable[[Item], Item] | None = None,
    ) -> None:
        self.change = change
        self.topic, self.origin, self.key = topic, origin, key
        self.items: list[Item] = []
        self.entries: list[bytes] = []
        self.notes: list[bytes] = []
        self.writers: dict[str, Writer] = {}
        self.ended: dict[str, dict[str, Any]] = {}

    def at(self) -> Moment:
        now = len(self.items) * 10**9
        return Moment(T0 * 10**6 + now, 5 * 10**9 + now, 9 * 10**9 + now)

    def start(
        self, name: str, run: int, boot_id: bytes = bytes(16), methodology: str = "{}", **manifest: Any
    ) -> Writer:
        """process_start and methodology; the run before of this name is named."""
        text = canonical({"producer_id": name, "previous": self.ended.get(name), **manifest})
        return self.start_raw(name, text, run, boot_id, methodology)

    def start_raw(
        self, name: str, text: str, run: int = 1, boot_id: bytes = bytes(16), methodology: str = "{}"
    ) -> Writer:
        """With any text as its manifest."""
        run_id = hashlib.sha256(f"{name} {run}".encode()).digest()[:16]
        writer = self.writers[name] = Writer(self.topic, name, run_id, boot_id, first_link(run_id, text.encode()))
        writer.run_id = run_id  # type: ignore[attr-defined]
        self.say(name, Event("process_start", payload={"manifest": text}))
        self.say(name, Event("methodology", payload={"text": methodology}))
        return writer

    def say(self, name: str, event: Event) -> Item:
        """One record, on the topic at once."""
        writer = self.writers[name]
        value = writer.record(event, self.at(), "SYNCED")
        run_id = writer.run_id  # type: ignore[attr-defined]
        if self.change is not None:
            value = self.change(Item(len(self.items), 1, 0, run_id, value)).value or b""
        writer.advance(value)
        self.ended[name] = {"run_id": run_id.hex(), "seq": writer.seq - 1, "record_hash": value[-32:].hex()}
        return self.put(run_id, value)

    def put(self, key: bytes | None, value: bytes | None) -> Item:
        """Any message."""
        item = Item(len(self.items), 1, self.at().wall_ns // 10**6, key, value)
        self.items.append(item)
        return item

    def seal(self) -> bytes:
        """A checkpoint of all there is, and the sealer's own record of it."""
        self.entries = [as_entry(self.topic, item) for item in self.items]
        note = signed(self.origin, self.entries, self.key)
        self.notes.append(note)
        told = {
            "origin": self.origin,
            "size": len(self.entries),
            "root": root(self.entries),
            "note_sha256": hashlib.sha256(note).digest(),
        }
        self.say("sealer", Event("seal", payload=told))
        return note

    def copy(self) -> Copy:
        manifest = (
            MANIFEST if self.origin == ORIGIN else Manifest(TOPIC, "cluster", self.origin.split("/")[4], 0, {0: (0, 0)})
        )
        return Copy(manifest, 0, tuple(self.items), tuple(self.entries), tuple(self.notes))


def as_entry(topic: str, item: Item) -> bytes:
    """What the tree has of a message."""
    return entry(topic, 0, item.offset, item.ts_type, item.ts_ms, item.key, item.value)


def root(entries: Sequence[bytes]) -> bytes:
    """Of all of them."""
    tree = Frontier()
    tree.extend([leaf_hash(one) for one in entries])
    return tree.root()


def a_log(ticks: int = 6, change: Callable[[Item], Item] | None = None, **world: Any) -> Copy:
    """A sealer, two workers of which one starts again, ticks of both; three checkpoints. change: what a liar writes instead."""
    log = World(change=change, **world)
    log.start("sealer", 1)
    log.start("a", 1)
    log.start("b", 1)
    for number in range(ticks):
        for name in ("a", "b"):
            log.say(name, Event("tick_completed", number, success=True, duration_ns=10**6, artifact_count=3))
        if number == ticks // 3:
            log.seal()
    log.say("a", Event("process_exit", payload={"code": 0, "signature": bytes(64)}))
    log.start("a", 2)
    log.say("a", Event("tick_completed", ticks, success=True))
    log.seal()
    log.say("b", Event("tick_completed", ticks, success=True))
    log.seal()
    return log.copy()
