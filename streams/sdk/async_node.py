"""A node for asyncio."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from streams.sdk.decision import Decision
from streams.sdk.node import Node


class AsyncNode:
    """The same for asyncio: `decision = await node.submit(content=…)`."""

    def __init__(self, node_id: str, **options: Any) -> None:
        self._node_id, self._options = node_id, options
        self.node: Node

    async def __aenter__(self) -> AsyncNode:
        self.node = await asyncio.to_thread(Node, self._node_id, **self._options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.node.close, 30 if error is None else 1)

    async def submit(self, content: str, **fields: Any) -> Decision:
        """Send one artifact and wait for its decision. Several at a time: asyncio.gather."""
        submission = await asyncio.to_thread(self.node.submit, content, **fields)
        return await asyncio.wrap_future(submission)
