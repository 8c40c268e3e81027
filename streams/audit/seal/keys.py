"""The sealer's and a witness's Ed25519 keys: <state>/keys/<role>.key, 32 bytes as hex. Verifier keys are for others to keep."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.errors import AuditError
from streams.secrets import make_key_file


def private_key(folder: Path, role: str) -> Ed25519PrivateKey:
    """The key of a role, made where there is none. Raises AuditError."""
    path = folder / f"{role}.key"
    try:
        make_key_file(path)
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(path.read_text().strip()))
    except (OSError, ValueError) as error:
        raise AuditError(
            f"{role}'s key {path}: {error}", "restore it from your backup; a new key begins a new log"
        ) from error
