"""A certificate: what was tried, on what, with what result, as JSON with an Ed25519 signature over its canonical form."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streams import __version__
from streams.audit.record.events import canonical
from streams.errors import IcnError
from streams.runtime.rules import rule_version
from streams.topology import PACKAGE, Topology

FORMAT = "icn-certificate/1"
SIZE_MAX = 64 << 20  # bytes of a certificate


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions(kafka: str) -> dict[str, str]:
    """Of everything that decides. kafka: as its own files say; "" where it is another's."""
    import confluent_kafka

    return {
        "icn": __version__,
        "python": platform.python_version(),
        "librdkafka": confluent_kafka.libversion()[0],
        "kafka": kafka or "of the given broker",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def commit() -> str:
    """Of the checkout, with "+changes" where files differ from it; "" where it is none."""
    git = ["git", "-C", str(PACKAGE.parent)]
    try:
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "streams", "schemas", "topology.yaml"],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + "+changes" * bool(changed)


def configuration(topology: Topology) -> dict[str, str]:
    """rule: version of everything that decides, as every decision carries it. protocol: SHA-256 of topology.yaml's section."""
    protocol = canonical(json.loads(json.dumps(topology.protocol, default=str)))
    return {"rule": rule_version(topology).hex(), "protocol": hashlib.sha256(protocol.encode()).hexdigest()}


def sign(body: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The body with `key` and `signature`, both base64."""
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    signed = dict(body) | {"certificate": FORMAT, "key": public}
    return signed | {"signature": base64.b64encode(key.sign(canonical(signed).encode())).decode()}


def read(path: Path) -> dict[str, Any]:
    """A file that says it is one; nothing is believed yet. Raises IcnError."""
    try:
        if path.stat().st_size > SIZE_MAX:
            raise IcnError(f"{path} is longer than {SIZE_MAX:,} bytes", "a certificate is some kilobytes of JSON")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise IcnError(f"can't read {path}: {error.strerror}", "icn certify writes certificate.json") from error
    except (ValueError, RecursionError) as error:
        raise IcnError(f"{path} is no JSON: {str(error)[:200]}", "icn certify writes certificate.json") from error
    if not isinstance(found, dict) or found.get("certificate") != FORMAT:
        raise IcnError(f"{path} is no certificate of format {FORMAT}", "icn certify writes certificate.json")
    return found


def objections(found: Mapping[str, Any], folder: Path, key: str | None) -> list[str]:
    """What speaks against it; none: it is signed, by that key if one is given, says that all passed, and the evidence that is beside it
    (folder) is what it names."""
    if key is not None and found.get("key") != key:
        return [f"it is signed with the key {found.get('key')}, not {key}"]
    if not _is_signed(found):
        return ["its signature does not fit: it was changed, or is another's"]
    wrong = [f"{one['title']}: failed" for one in found["results"] if not one["passed"]]
    wrong += [f"control of {one['name']}: not caught" for one in found["controls"] or () if not one["caught"]]
    missing = set(found["trials"]) - {one["name"] for one in found["results"]}
    if missing:
        wrong.append(f"not tried: {', '.join(sorted(missing))}")
    for name, digest in found["evidence"].items():
        path = folder / Path(name).name
        if not path.exists():
            wrong.append(f"the evidence {name} is not beside it ({path})")
        elif sha256_of(path) != digest:
            wrong.append(f"the evidence {path} has another SHA-256 than it says")
    return wrong


def _is_signed(found: Mapping[str, Any]) -> bool:
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(found["key"], validate=True))
        body = {name: value for name, value in found.items() if name != "signature"}
        public.verify(base64.b64decode(found["signature"], validate=True), canonical(body).encode())
    except (KeyError, TypeError, ValueError, InvalidSignature):
        return False
    return True
