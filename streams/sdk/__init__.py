"""What a node's author imports.

from streams.sdk import Node

with Node("node-7") as node:
    future = node.submit(content="SHIPSHAPE seen in the wild", source="https://example.org/1", confidence=0.8)
    print(future.result().outcome)   # unique, upgraded, duplicate, rejected, …
"""

from streams.sdk.async_node import AsyncNode
from streams.sdk.decision import Decision, Submission
from streams.sdk.judge import Judge, Vote
from streams.sdk.node import Node
from streams.sdk.phoenix import Phoenix, Scenario

__all__ = ["AsyncNode", "Decision", "Judge", "Node", "Phoenix", "Scenario", "Submission", "Vote"]
