"""The deployment's secret: hash keys and node tokens derive from it. <state>/keys/deployment.key, 32 random bytes as hex."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from streams.errors import IcnError


def secret_path(state: Path) -> Path:
    """Where it is kept; ICN_SECRET_FILE names another place."""
    return Path(os.environ.get("ICN_SECRET_FILE") or state / "keys" / "deployment.key")


def make_secret(state: Path) -> None:
    """A new one, where there is none. For a new deployment only: see broker/deployment_key."""
    path = secret_path(state)
    try:
        make_key_file(path)
    except OSError as error:
        raise IcnError(f"deployment secret {path}: {error}", "is the disk full, the folder writable?") from error


def make_key_file(path: Path) -> None:
    """32 random bytes as hex, for its owner only, where there is no file yet. Raises OSError."""
    if path.exists():
        return
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


def deployment_secret(state: Path) -> bytes:
    """Read it. Raises IcnError.

    Losing it means rebuilding from raw topics: equal contents would no longer be recognised, and all tokens change.
    """
    path = secret_path(state)
    try:
        secret = bytes.fromhex(path.read_text().strip())
    except FileNotFoundError as error:
        raise IcnError(
            f"no deployment key: {path.absolute()} is missing",
            "copy it from where the deployment was made, or name it with ICN_SECRET_FILE; a new deployment gets one from icn topics apply",
        ) from error
    except (OSError, ValueError) as error:
        raise IcnError(f"deployment secret {path}: {error}", "restore it from your backup") from error
    if len(secret) < 16:
        raise IcnError(f"deployment secret {path} is shorter than 16 bytes", "restore it from your backup")
    return secret


def key_id(secret: bytes) -> str:
    """Tells keys apart, and nothing else about them [8 hex]."""
    return derive(secret, "content-hash-id")[:4].hex()


def derive(secret: bytes, purpose: str) -> bytes:
    """A 32-byte key for one purpose, from which neither the secret nor another key can be computed."""
    return hashlib.blake2b(purpose.encode(), key=secret, digest_size=32).digest()
