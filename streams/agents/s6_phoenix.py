"""Depth 6. artifacts.decided, priorities, reputation.log, patterns -> phoenix.feed, phoenix.refused, phoenix.rounds. Woken by the ticks on
`control`.

Its state is a fold of those topics. A round says what was read before it, so a new process takes the same steps again, and goes on.
"""

from __future__ import annotations

import sys
import time

from streams.agents.feeding import SOURCES, STAGE, Folder, Made, rules_in
from streams.agents.inbox import Inbox
from streams.agents.rounds import Records, read_rounds
from streams.agents.shelf import Shelf
from streams.agents.windows import SLACK_MS
from streams.agents.woken import Writer, run
from streams.broker.topics import fold
from streams.runtime.rules import rule_version
from streams.secrets import deployment_secret
from streams.settings import Settings
from streams.topology import Topology

NEWEST = 100  # offsets, the last ones; a transaction's marker takes one too
LATE_MAX = 2  # rounds: a tick that is older feeds nothing, or what was fed at once would be of several hours
# read from when it begins to matter; of nodes all that was ever thought does
TIMED = ("patterns", "windows", "artifacts.decided", "priorities")


class Phoenix:
    """Feeds, a round at a time: all of it or nothing. Raises Fatal, BrokerError."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.rule, self.secret = rule_version(topology), deployment_secret(settings.state)
        self.records = Records(topology)
        self.every_ms = rules_in(topology).every_ms
        self.slot_ms = 0  # of the newest round
        self.shelf: Shelf | None = None

    def take_over(self) -> None:
        """Fence off whoever was before, and take its steps again."""
        self.writer = Writer(self.topology, self.settings, STAGE)
        if self.shelf is not None:
            self.shelf.close()
        self.shelf = Shelf(self.settings.state / "scratch")
        self.folder = Folder(self.topology, self.secret, self.rule, self.shelf)
        since_ms = begins_ms(self.topology, self.folder, self._now_ms())
        self.inbox = Inbox(self.topology, self.settings, STAGE, SOURCES, dict.fromkeys(TIMED, since_ms))
        self.slot_ms = 0
        there = self.inbox.ends()
        written = read_rounds(self.topology, self.settings, self.folder.feed.rules.novelty, since_ms)
        written.take_before(self.folder)
        for step in written.steps:
            if step.may_follow(self.folder, self.slot_ms, there):
                self.folder.fold(self.inbox.take(step.round["read"]))
                step.take(self.folder)
                self.slot_ms = step.round["slot_ms"]

    def _now_ms(self) -> int:
        """Not later than the broker has it: who begins to read too late has not heard what is RED."""
        control = self.topology.topic("control").name
        newest = [message.timestamp()[1] for message in fold(self.settings, control, last=NEWEST)]
        return min([time.time_ns() // 1_000_000, *newest[-1:]])

    def is_due(self, slot_ms: int) -> bool:
        if slot_ms % self.every_ms or slot_ms <= self.slot_ms:
            return False
        return self.topology.simulated or time.time_ns() // 1_000_000 - slot_ms <= LATE_MAX * self.every_ms

    def turn(self, slots_ms: list[int]) -> str | None:
        """In simulated time every slot is one; else only the newest is now."""
        fed = sum(
            len(self.make(slot_ms).scenarios) for slot_ms in (slots_ms if self.topology.simulated else slots_ms[-1:])
        )
        return f"{fed} fed" if fed else None

    def make(self, slot_ms: int) -> Made:
        """The round of that minute."""
        self.inbox.catch_up()
        self.folder.fold(self.inbox.take())
        made = self.folder.round(slot_ms, self.inbox.position())
        self.writer.commit(slot_ms, self.records.of(made))
        self.slot_ms = slot_ms
        return made


def begins_ms(topology: Topology, folder: Folder, at_ms: int) -> int:
    """From when on it must be read to know what matters then; in simulated time, which the topics' own times say nothing of, from 0."""
    return 0 if topology.simulated else max(0, folder.feed.waiting.begins_ms(at_ms) - SLACK_MS)


if __name__ == "__main__":
    sys.exit(run(STAGE, Phoenix))
