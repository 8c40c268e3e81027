"""Copies of the deployment's own audit log, each tampered with in one way; then forgeries on its topics."""

from __future__ import annotations

import random
from typing import Any

from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.audit import KNOWN_TYPES
from streams.audit.seal.keys import private_key
from streams.audit.tampering.copy import Copy, load
from streams.audit.tampering.tamper import FAULTS, tamper
from streams.audit.verify.note import Key, parse_key
from streams.broker.topics import fold
from streams.certify import mixed
from streams.certify.checks import Checks
from streams.certify.stand import Stand, wait_until
from streams.codec import decoder, encoder
from streams.errors import AuditError

PLACES, CHECKPOINTS = 5, 4
FORGERIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("artifacts.decided", "decided", {"decision": "UNIQUE", "input_offset": 0}),
    ("artifacts.admitted", "admitted", {}),
    ("priorities", "priority", {"score": 0.81}),
    ("receipts", "receipt", {}),
    ("reputation.log", "reputation", {"revision": 99}),
)


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """Last on its stand: afterwards its topics are forged."""
    sealer = stand.process("audit", "seal", "--every", "1")
    for number in range(CHECKPOINTS):
        mixed.send(stand, f"sealed-{number}", rng)
    wait_until(lambda: len(list(fold(stand.settings, stand.topic("checkpoints")))) >= CHECKPOINTS, 60, "checkpoints")
    sealer.terminate()
    sealer.wait(30)
    bundle = stand.folder / "evidence.icnaudit"
    stand.icn("audit", "bundle", str(bundle), "--yes")
    keys = [parse_key(line) for line in stand.icn("audit", "key").stdout.split()]
    copy = load(bundle)
    clean = _findings(copy, keys, copy)
    checks.count("an untouched log is not accused", len(copy.items), [f"{kind} {where}" for kind, where in clean])
    for name, fault in FAULTS.items():
        for _ in range(PLACES if fault.is_at_a_record else 1):
            item = rng.choice(copy.items[2:-2])
            # a second history needs the sealer's own key: as if it were stolen
            key = (
                private_key(stand.settings.state / "keys", "sealer") if name == "fork" else Ed25519PrivateKey.generate()
            )
            try:
                forged = tamper(copy, name, item.offset, key)
            except AuditError as error:  # that place has no next record of its run
                checks.evidence.append(f"{name} at {item.offset}: not possible ({error})")
                continue
            checks.faults += 1
            found = _findings(forged, keys, copy)
            is_found = any(kind == fault.found for kind, _ in found)
            checks.count(
                "each tampering is found", 1,
                [] if is_found else [f"{name} at offset {item.offset}: {found[:3]}, expected {fault.found}"],
                f"{checks.faults} tamperings of {len(FAULTS)} kinds in a log of {len(copy.items):,} records",
            )  # fmt: skip
            if name in ("flip", "time"):
                at = f"{copy.manifest.topic}/{copy.partition}/{item.offset}"
                checks.same("at its place", [where for kind, where in found if kind == fault.found], [at], name)
    checks.evidence.insert(0, str(bundle))
    _forge(stand, checks)


def _findings(copy: Copy, keys: list[Key], kept: Copy) -> list[tuple[str, str]]:
    """(kind, where) of what an auditor who has seen the last checkpoint finds; notices but for DUPLICATE left out."""
    found = copy.verify(keys, kept.notes[-1], KNOWN_TYPES).findings
    return [(one.kind, one.where) for one in found if not one.is_notice or one.kind == "DUPLICATE"]


def _forge(stand: Stand, checks: Checks) -> None:
    """On the topics themselves, past every stage: replay says where."""
    producer, places = Producer(stand.settings.librdkafka_producer()), list[str]()
    for alias, schema, change in FORGERIES:
        newest = list(fold(stand.settings, stand.topic(alias)))[-1]
        value = encoder(schema)(decoder(schema)(newest.value()) | change)
        producer.produce(
            stand.topic(alias), value, newest.key(), headers=newest.headers(),
            on_delivery=lambda _, m: places.append(f"{m.topic()}/{m.partition()}/{m.offset()}"),
        )  # fmt: skip
    producer.flush(30)
    code, document = stand.replay()
    found = {finding["where"] for stage in document["stages"] for finding in stage["findings"]}
    checks.count(
        "each forgery on the topics is found where it is",
        len(places),
        sorted(set(places) - found),
        f"{len(places)} forgeries",
    )
    checks.same("replay --verify ends with 1", code, 1)
    checks.faults += len(places)
    checks.evidence += places[:2]
