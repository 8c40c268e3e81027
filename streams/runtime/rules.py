"""The rule version: a hash of all that decides. Two workers of one rule version decide alike, byte for byte."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import unicodedata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import streams
from streams.topology import PACKAGE, Topology

DECIDING_CODE = ("domain", "tables", "agents", "avro.py", "codec.py")
DECIDING_LIBRARIES = ("fastavro", "numpy", "scikit-learn", "scipy")


def ingredients(topology: Topology) -> dict[str, Any]:
    """Everything that goes into the hash, for people to compare when two versions differ."""
    return {
        "protocol": topology.protocol,
        "simulated": topology.simulated,
        "partitions": {alias: topic.partitions for alias, topic in topology.topics.items()},
        "release": streams.__version__,
        "code": _code_hash(),
        "libraries": {name: version(name) for name in DECIDING_LIBRARIES},
        "unicode": unicodedata.unidata_version,
        "platform": f"{platform.machine()}-{sys.byteorder}",
    }


def rule_version(topology: Topology) -> bytes:
    """8 bytes; `.hex()` is what people see."""
    return hashlib.blake2b(json.dumps(ingredients(topology), sort_keys=True).encode(), digest_size=8).digest()


def _code_hash() -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in DECIDING_CODE:
        root = PACKAGE / part
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + Path(path).read_bytes() + b"\0")
    return digest.hexdigest()
