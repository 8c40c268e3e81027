"""Take the coordinator's steps again, each with what it had read, and compare what they make with what is on the topics. Read only."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

from streams.agents.coordinator import SOURCES, STAGE, Folder, take
from streams.agents.inbox import Inbox
from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.replay.recomputation import Recomputation, place_of
from streams.replay.verify import Result
from streams.secrets import deployment_secret

AHEAD_MAX = 1_000  # records: an intruder's, before the one that is looked for
MADE = {"assignments": "assignment", "collections": "collection"}


class _Steps(Recomputation):
    """A step is a batch of the result. All are taken; those of the time are compared."""

    stage, differs = STAGE, "not what the step makes of what it had read"

    def run(self) -> Result:
        ticks = list(fold(self.settings, self.topology.topic("ticks").name))
        if not ticks:
            return self.result
        self.folder = Folder(self.topology, deployment_secret(self.settings.state), self.rule)
        self.encode = {alias: encoder(schema) for alias, schema in {**MADE, "ticks": "tick"}.items()}
        inbox = Inbox(self.topology, self.settings, STAGE, SOURCES)
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
            place = place_of(message)
            try:
                step = decode(message.value() or b"")
            except Undecodable as error:
                self.find("INVENTED", place, f"no step of the coordinator: {error}")
                continue
            if not self.is_of_this_rule(place, step):
                return
            if any(offset > ends.get(key, 0) for key, offset in step["read"].items()):
                self.find("INVENTED", place, "it says that it had read what is not there")
                continue
            letters = list(inbox.take(step["read"]))
            self.folder.fold(letters, lambda source, event: None)
            made = take(self.folder.core, step)
            self.result.batches += 1
            self.result.decided += len(letters)
            inside = self.is_inside(message)
            tick = {**made.tick, "schedule": step["schedule"], "read": inbox.position(), "rule": step["rule"]}
            if inside:
                self.same(place, self.encode["ticks"](tick), message.value())
            for alias, outputs in (("assignments", made.assignments), ("collections", made.collections)):
                for output in outputs:
                    self._compare(inside, f"{place}: {alias}", self.encode[alias](output), written[alias])
        for alias, rest in written.items():
            for there in rest:
                self.find("INVENTED", place_of(there), f"no step made it ({alias})")

    def _compare(self, inside: bool, place: str, recomputed: bytes, written: deque[Any]) -> None:
        """With the next one that is there. Where that is another, and this one follows soon, the others were put between."""
        ahead = [there.value() for there in islice(written, AHEAD_MAX)]
        for _ in range(ahead.index(recomputed) if recomputed in ahead else 0):
            self.find("INVENTED", place_of(written.popleft()), "no step made it")
        there = written.popleft() if written else None
        if inside:
            self.same(place if there is None else place_of(there), recomputed, None if there is None else there.value())


verify_coordinator = _Steps.verify
