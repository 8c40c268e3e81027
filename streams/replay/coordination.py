"""Take the coordinator's steps again, each with what it had read, and compare what they make with what is on the topics. Read only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from streams.agents.coordinator import SOURCES, STAGE, Folder, take
from streams.agents.inbox import Inbox
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.replay.verify import Finding, Result
from streams.secrets import deployment_secret
from streams.settings import Settings
from streams.topology import Topology

AHEAD_MAX = 1_000  # records: an intruder's, before the one that is looked for
MADE = {"assignments": "assignment", "collections": "collection"}


def verify_coordinator(
    topology: Topology,
    settings: Settings,
    rule: bytes,
    from_ms: int | None = None,
    to_ms: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """All steps are taken; those recorded in [from, to) of broker time are compared. A step is a batch of the result.

    Raises BrokerError.
    """
    return _Steps(topology, settings, rule, (from_ms, to_ms), progress).run()


class _Steps:
    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        rule: bytes,
        window: tuple[int | None, int | None],
        progress: Callable[[str], None],
    ) -> None:
        self.topology, self.settings, self.rule = topology, settings, rule
        self.start, self.end = window
        self.progress, self.result = progress, Result(STAGE)
        self.folder = Folder(topology, deployment_secret(settings.state), rule)
        self.encode = {alias: encoder(schema) for alias, schema in {**MADE, "ticks": "tick"}.items()}

    def run(self) -> Result:
        ticks = list(fold(self.settings, self.topology.topic("ticks").name))
        if not ticks:
            return self.result
        inbox = Inbox(self.topology, self.settings, SOURCES)
        try:
            if ticks[0].offset() or any(inbox.read.values()):
                self.result.left_out = len(ticks)  # a fold from the beginning, which is gone
            else:
                self._take(ticks, inbox)
        finally:
            inbox.close()
        return self.result

    def _take(self, ticks: list[Any], inbox: Inbox) -> None:
        decode = decoder("tick")
        ends = inbox.ends()
        written = {alias: deque(fold(self.settings, self.topology.topic(alias).name)) for alias in MADE}
        for number, message in enumerate(ticks):
            if number % 1000 == 0:
                self.progress(f"{STAGE}: {number} of {len(ticks)} steps")
            place = _place(message)
            try:
                step = decode(message.value() or b"")
            except Undecodable as error:
                self._find("INVENTED", place, f"no step of the coordinator: {error}")
                continue
            if step["rule"] != self.rule:
                self._find(
                    "OTHER_RULE",
                    place,
                    f"made under rule version {step['rule'].hex()}, this code and topology are {self.rule.hex()}: "
                    "verify with the release and protocol settings of then",
                )
                return
            if any(offset > ends.get(key, 0) for key, offset in step["read"].items()):
                self._find("INVENTED", place, "it says that it had read what is not there")
                continue
            letters = list(inbox.take(step["read"]))
            self.folder.fold(letters, lambda source, event: None)
            made = take(self.folder.core, step)
            self.result.batches += 1
            self.result.decided += len(letters)
            at_ms = message.timestamp()[1]
            inside = (self.start is None or at_ms >= self.start) and (self.end is None or at_ms < self.end)
            tick = {**made.tick, "schedule": step["schedule"], "read": inbox.position(), "rule": step["rule"]}
            self._same(inside, place, self.encode["ticks"](tick), message.value())
            for alias, outputs in (("assignments", made.assignments), ("collections", made.collections)):
                for output in outputs:
                    self._compare(inside, f"{place}: {alias}", self.encode[alias](output), written[alias])
        for alias, rest in written.items():
            for there in rest:
                self._find("INVENTED", _place(there), f"no step made it ({alias})")

    def _compare(self, inside: bool, place: str, recomputed: bytes, written: deque[Any]) -> None:
        """With the next one that is there. Where that is another, and this one follows soon, the others were put between."""
        ahead = [there.value() for there in islice(written, AHEAD_MAX)]
        for _ in range(ahead.index(recomputed) if recomputed in ahead else 0):
            self._find("INVENTED", _place(written.popleft()), "no step made it")
        there = written.popleft() if written else None
        self._same(
            inside, place if there is None else _place(there), recomputed, None if there is None else there.value()
        )

    def _same(self, inside: bool, place: str, recomputed: bytes, there: bytes | None) -> None:
        self.result.compared += inside
        if inside and recomputed != there:
            kind = "MISSING" if there is None else "DIFFERS"
            self._find(kind, place, "not what the step makes of what it had read")

    def _find(self, kind: str, where: str, detail: str) -> None:
        self.result.findings.append(Finding(kind, where, detail))


def _place(message: Any) -> str:
    return f"{message.topic()}/{message.partition()}/{message.offset()}"
