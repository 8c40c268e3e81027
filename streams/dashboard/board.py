"""What every viewer is to see now, made once for each role; each is sent what changed since he was sent something. In one event loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from streams.dashboard.roles import Role


def frame(event: str, data: Mapping[str, Any], number: int | None = None) -> bytes:
    """One event of a stream. Its data is one line of JSON: no name in it can end it."""
    identity = "" if number is None else f"id: {number}\n"
    return f"{identity}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


class Board:
    """Bounded: of each part there is only the newest, however slowly somebody reads."""

    def __init__(self) -> None:
        self.number = 0  # of the newest change
        self.parts: dict[Role, dict[str, tuple[int, str, bytes]]] = {role: {} for role in Role}
        self.state = frame("state", {"fresh": False, "at": "", "error": None})
        self._changed = asyncio.Event()

    def put(self, sections: Mapping[Role, Mapping[str, str]]) -> None:
        """The newest look."""
        for role, parts in sections.items():
            mine = self.parts[role]
            for name, html in parts.items():
                if name not in mine or mine[name][1] != html:
                    self.number += 1
                    mine[name] = (self.number, html, frame("part", {"name": name, "html": html}, self.number))

    def tell(self, fresh: bool, at: str, error: str | None) -> None:
        """How the looking goes; everybody hears it."""
        self.state = frame("state", {"fresh": fresh, "at": at, "error": error})
        self._changed.set()
        self._changed = asyncio.Event()

    def shown(self, role: Role) -> dict[str, str]:
        """Name of a section -> its HTML."""
        return {name: html for name, (_, html, _) in self.parts[role].items()}

    def since(self, role: Role, number: int) -> tuple[bytes, int]:
        """(what changed after this number, and the state; the number now)."""
        changed = sorted((at, data) for at, _, data in self.parts[role].values() if at > number)
        return b"".join([*(data for _, data in changed), self.state]), self.number

    async def change(self) -> None:
        """Returns at the next word."""
        await self._changed.wait()
