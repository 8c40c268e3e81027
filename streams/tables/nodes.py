"""nodes (s1): node_id -> registration. Folded from control's node_registered events; the highest generation holds."""

from __future__ import annotations

import json
from typing import NamedTuple

from streams.runtime.stage import Table


class Node(NamedTuple):
    """A registered node."""

    principal: str
    generation: int  # of its token, from 1
    registered_ms: int
    capacity: int
    capabilities: tuple[str, ...]


def _unpack(data: bytes) -> Node:
    principal, generation, registered_ms, capacity, capabilities = json.loads(data)
    return Node(principal, generation, registered_ms, capacity, tuple(capabilities))


NODES: Table[Node] = Table("nodes", b"\x01", lambda node: json.dumps(node).encode(), _unpack)
