"""Make each round of the feed again, from what it had read and what was fed before it, and compare byte for byte. Read only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from streams.agents.feeding import SOURCES, STAGE, Folder
from streams.agents.inbox import Inbox
from streams.agents.rounds import Event, Records, Rounds, Step, read_rounds
from streams.agents.s6_phoenix import begins_ms
from streams.agents.shelf import Shelf
from streams.replay.outputs import digest
from streams.replay.recomputation import Recomputation, place_of
from streams.replay.verify import Result
from streams.runtime.reread import as_record
from streams.runtime.stage import Message
from streams.secrets import deployment_secret


class _Rounds(Recomputation):
    """A round is a batch of the result; whatever it had read is an input. Those of another time are taken as they are."""

    stage, differs = STAGE, "not what the gate lets pass of what the round had read"

    def run(self) -> Result:
        with tempfile.TemporaryDirectory() as folder:
            self.shelf = Shelf(Path(folder))
            self.inbox = Inbox(self.topology, self.settings, STAGE, SOURCES)
            try:
                self._judge_all()
            finally:
                self.inbox.close()
                self.shelf.close()
        return self.result

    def _judge_all(self) -> None:
        self.folder = Folder(self.topology, deployment_secret(self.settings.state), self.rule, self.shelf)
        self.records = Records(self.topology)
        pruned_to_ms = self._pruned_to_ms()
        written = read_rounds(self.topology, self.settings, self.folder.feed.rules.novelty, 0)
        self._judge_before(written, pruned_to_ms)
        there, last_ms, is_true = self.inbox.ends(), 0, True
        for number, step in enumerate(written.steps):
            if number % 100 == 0:
                self.progress(f"{STAGE}: {number} of {len(written.steps)} rounds")
            if not step.may_follow(self.folder, last_ms, there):
                self._invent(step)
                continue
            last_ms = step.round["slot_ms"]
            letters = list(self.inbox.take(step.round["read"]))
            self.folder.fold(letters)
            is_known = pruned_to_ms is None or begins_ms(self.topology, self.folder, last_ms) > pruned_to_ms
            if (
                is_true
                and is_known
                and self.is_inside(step.place)
                and self.is_of_this_rule(place_of(step.place), step.round)
            ):
                is_true = self._judge(step, len(letters))
            else:
                self.result.left_out += not is_known
                self.result.follow += is_known and not is_true
                step.take(self.folder)
        for _, message in written.rest:
            self.find("INVENTED", place_of(message), "of no round that is there")

    def _judge_before(self, written: Rounds, pruned_to_ms: int | None) -> None:
        """While nothing is pruned there is nothing before the first round; and never without a seal."""
        for event, message in written.before:
            if pruned_to_ms is None or not self.folder.was_fed(event):
                self.find("INVENTED", place_of(message), "of no round that is there")
        if pruned_to_ms is not None:
            written.take_before(self.folder)

    def _pruned_to_ms(self) -> int | None:
        """Broker's time of the oldest record that is left where something is gone; None: nothing is."""
        gone = [key for key, low in self.inbox.read.items() if low]
        while gone and any(not self.inbox.waiting[key] for key in gone):
            if not self.inbox.poll(1):
                break
        return (
            max((self.inbox.waiting[key][0].timestamp for key in gone if self.inbox.waiting[key]), default=0)
            if gone
            else None
        )

    def _judge(self, step: Step, letters: int) -> bool:
        """Whether what it should have written is there, whatever else is. If not, those after it follow from what nobody should have fed:
        they can't be judged."""
        made = self.records.of(self.folder.round(step.round["slot_ms"], self.inbox.position()))
        self.result.batches += 1
        self.result.decided += letters
        place = place_of(step.place)
        found = len(self.result.findings)
        for alias, there in (("phoenix.feed", step.scenarios), ("phoenix.refused", step.refusals)):
            self._compare([message for to, message in made if to == alias], there, f"{place}: {alias}")
        self.same(place, _wanted(made[-1][1]), _digest(step.place))
        return all(finding.kind == "INVENTED" for finding in self.result.findings[found:])

    def _compare(self, made: list[Message], there: list[Event], place: str) -> None:
        """What is there beside what it made, or twice, was put there."""
        left = [(place_of(message), _digest(message)) for _, message in there]
        absent = []
        for number, message in enumerate(made):
            wanted = _wanted(message)
            if found := next((one for one in left if one[1] == wanted), None):
                left.remove(found)
                self.same(found[0], wanted, found[1])
            else:
                absent.append((f"{place}: {number}", wanted))
        for where, wanted in absent:
            at, there_is = left.pop(0) if left else (where, None)
            self.same(at, wanted, there_is)
        for at, _ in left:
            self.find("INVENTED", at, "its round did not make it")

    def _invent(self, step: Step) -> None:
        self.find(
            "INVENTED",
            place_of(step.place),
            "a round without the deployment's seal, before the last one, or one that says it had read what is not there",
        )
        for _, message in (*step.scenarios, *step.refusals):
            self.find("INVENTED", place_of(message), "of a round that is none")


def _wanted(message: Message) -> bytes:
    return digest(message["key"], message["value"], message.get("headers", ()))


def _digest(message: Any) -> bytes:
    record = as_record(message)
    return digest(record.key, record.value, record.headers or ())


verify_feed = _Rounds.verify
