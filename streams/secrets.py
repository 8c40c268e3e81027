"""The deployment's secret: hash keys and node tokens derive from it. <state>/keys/deployment.key, 32 random bytes as hex."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from streams.errors import IcnError


def secret_path(state: Path) -> Path:
    """Where it is kept; ICN_SECRET_FILE names another place."""
    return Path(os.environ.get("ICN_SECRET_FILE") or state / "keys" / "deployment.key")


def deployment_secret(state: Path) -> bytes:
    """Read it; make it where there is none yet. Raises IcnError.

    Losing it means rebuilding from raw topics: equal contents would no longer be recognised, and all tokens change.
    """
    path = secret_path(state)
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(f".{os.getpid()}")
            fresh.touch(mode=0o600)
            fresh.write_text(os.urandom(32).hex() + "\n")
            try:
                os.link(fresh, path)  # whoever comes second finds the first one's
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        secret = bytes.fromhex(path.read_text().strip())
    except (OSError, ValueError) as error:
        raise IcnError(f"deployment secret {path}: {error}", "restore it from your backup") from error
    if len(secret) < 16:
        raise IcnError(f"deployment secret {path} is shorter than 16 bytes", "restore it from your backup")
    return secret


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose, from which neither the secret nor another key can be computed."""
    return hashlib.blake2b(purpose.encode(), key=secret, digest_size=32).digest()
