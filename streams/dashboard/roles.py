"""Who may see what. Nobody may change anything: the page only reads."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path

from streams.errors import IcnError

TOKEN_BYTES = 24


class Role(IntEnum):
    """Each sees what the one before does, and more."""

    viewer = 1  # sums: flow, lag of our stages, ticks, patterns and feed as numbers; no names of nodes, artifacts, or what texts say
    auditor = 2  # names and evidence: nodes, reputations, priorities, patterns, what was fed
    operator = 3  # every group on the cluster, each partition in trouble, dead letters


def read_tokens(path: Path) -> dict[str, Role]:
    """token -> role, of a file with a line `role token` each; made with one of each role where there is none. Raises IcnError."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{role.name} {secrets.token_urlsafe(TOKEN_BYTES)}" for role in Role]
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
    elif path.stat().st_mode & 0o077:
        raise IcnError(f"{path} can be read by others", f"chmod 600 {path}")
    found: dict[str, Role] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not (words := line.split("#")[0].split()):
            continue
        if len(words) != 2 or words[0] not in Role.__members__ or len(words[1]) < 16:
            names = ", ".join(Role.__members__)
            raise IcnError(f"{path}, line {number}: no role and token", f"a role ({names}) and at least 16 characters")
        found[words[1]] = Role[words[0]]
    if not found:
        raise IcnError(f"{path} has no token", "remove it, and it is made anew with one of each role")
    return found


def role_of(tokens: Mapping[str, Role], given: str) -> Role | None:
    """None: nobody's. Every token is compared, whichever fits: how long that takes says nothing."""
    found = None
    for token, role in tokens.items():
        if hmac.compare_digest(token.encode(), given.encode(errors="replace")):
            found = role
    return found
