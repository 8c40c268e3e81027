"""What is checked event by event, from what each says that it had read: what the coordinator's steps and the windows have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from streams.replay.verify import Finding, Result
from streams.settings import Settings
from streams.topology import Topology

Span = tuple[int | None, int | None]  # [from, to) of broker time


class Recomputation(ABC):
    """stage: whose events they are; differs: what is told of one that is not what is made again."""

    stage: ClassVar[str]
    differs: ClassVar[str]

    def __init__(
        self, topology: Topology, settings: Settings, rule: bytes, span: Span, progress: Callable[[str], None]
    ) -> None:
        self.topology, self.settings, self.rule = topology, settings, rule
        self.start, self.end = span
        self.progress, self.result = progress, Result(self.stage)

    @classmethod
    def verify(
        cls,
        topology: Topology,
        settings: Settings,
        rule: bytes,
        from_ms: int | None = None,
        to_ms: int | None = None,
        progress: Callable[[str], None] = lambda _: None,
    ) -> Result:
        """Of what was recorded in [from, to) of broker time. Raises BrokerError."""
        return cls(topology, settings, rule, (from_ms, to_ms), progress).run()

    @abstractmethod
    def run(self) -> Result: ...

    def is_inside(self, message: Any) -> bool:
        at_ms = message.timestamp()[1]
        return (self.start is None or at_ms >= self.start) and (self.end is None or at_ms < self.end)

    def is_of_this_rule(self, place: str, event: Mapping[str, Any]) -> bool:
        """What another rule made can't be judged."""
        if event["rule"] == self.rule:
            return True
        self.find(
            "OTHER_RULE",
            place,
            f"made under rule version {event['rule'].hex()}, this code and topology are {self.rule.hex()}: "
            "verify with the release and protocol settings of then",
        )
        return False

    def same(self, place: str, recomputed: bytes, there: bytes | None) -> None:
        self.result.compared += 1
        if recomputed != there:
            self.find("MISSING" if there is None else "DIFFERS", place, self.differs)

    def find(self, kind: str, where: str, detail: str) -> None:
        self.result.findings.append(Finding(kind, where, detail))


def place_of(message: Any) -> str:
    return f"{message.topic()}/{message.partition()}/{message.offset()}"
