"""Made-up artifacts for benchmarks and tests: the truth is known beforehand."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from typing import Any

from streams.codec import encoder
from streams.domain.artifact import hash_artifact
from streams.domain.identity import MAC_HEADER, node_token, sign
from streams.secrets import derive

SECRET = b"test secret, 32 bytes long......"
T0 = 1_800_000_000_000


def artifact(number: int, node_id: str = "node-1", **fields: Any) -> dict[str, Any]:
    """An artifact with every field; `number` makes its id and content."""
    return {
        "artifact_id": f"01900000-0000-7000-8000-{number:012d}",
        "node_id": node_id,
        "collected_at": T0 + number,
        "content_type": "text",
        "content": f"artifact number {number}",
        "source": f"https://example.org/{number}",
        "metadata": {"domain": "test"},
        "confidence": 0.5,
        "threat_level": 1.0,
        "opportunity_value": 1.0,
        "simulated": True,
        "assignment": None,
        **fields,
    }


def admitted_records(
    count: int, unique: int, seed: int = 1, content_bytes: int = 100
) -> Iterator[tuple[bytes, bytes, int]]:
    """(key, value, content number) of admitted artifacts: `unique` contents, each first seen once, the rest repeats at random."""
    rng = random.Random(seed)
    encode_raw, encode = encoder("artifact"), encoder("admitted")
    key = derive(SECRET, "content-hash")
    filler = "x" * content_bytes
    for number in range(count):
        content = number if number < unique else rng.randrange(unique)
        made = artifact(
            number, f"node-{number % 7}", content=f"{content} {filler}", source=None, confidence=round(rng.random(), 3)
        )
        hashes = hash_artifact(key, made)
        facts = {
            **{
                k: made[k]
                for k in (
                    "artifact_id",
                    "node_id",
                    "content_type",
                    "confidence",
                    "threat_level",
                    "opportunity_value",
                    "simulated",
                )
            },
            "dedup_hash": hashes.dedup,
            "source_digest": hashes.source,
            "seal": bytes(16),
            "hash_key_id": "00000000",
            "raw_partition": 0,
            "raw_offset": number,
            "raw_ms": T0 + number,
            "reputation_revision": 0,
            "effective_reputation": 0.5,
            "node_hour_used": 0,
            "global_hour_used": number,
            "rule": hashlib.blake2b(b"test", digest_size=8).digest(),
        }
        yield hashes.content, encode({"facts": facts, "artifact": encode_raw(made)}), content


def raw_records(count: int, unique: int, nodes: int, secret: bytes) -> tuple[list[Any], Iterator[Any]]:
    """(registrations for control, signed artifacts for raw), each (key, value, headers). `unique` contents, as in admitted_records."""
    encode_raw, encode_control = encoder("artifact"), encoder("control")
    names = [f"node-{number}" for number in range(nodes)]
    key = derive(secret, "node-token")
    tokens = {name: node_token(key, name, 1) for name in names}
    registrations = [
        (
            name.encode(),
            encode_control(
                {
                    "kind": "node_registered",
                    "slot_ms": T0,
                    "cadence_ms": 0,
                    "node_id": name,
                    "principal": "bench",
                    "generation": 1,
                    "capabilities": [],
                    "capacity": 3,
                }
            ),
            None,
        )
        for name in names
    ]

    def signed() -> Iterator[Any]:
        rng = random.Random(1)
        for number in range(count):
            name = names[number % nodes]
            content = number if number < unique else rng.randrange(unique)
            value = encode_raw(
                artifact(
                    number,
                    name,
                    content=f"{content} {'x' * 100}",
                    source=None,
                    confidence=round(rng.random(), 3),
                    simulated=False,  # or no reputation would hear of it
                )
            )
            yield name.encode(), value, [(MAC_HEADER, sign(tokens[name], name.encode(), value))]

    return registrations, signed()
