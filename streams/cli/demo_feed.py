"""The demo's last act: the best of what has come is fed to a trainer, who learns from it and votes."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import click

from streams.cli.show import clip, say, table
from streams.errors import IcnError

TRAINER = "trainer"
WEIGHT = 0.3  # of its votes
MINUTE_MS = 60_000
WAIT_S = 60
ENOUGH = 15  # scenarios: five of each kind are learned before the trainer judges
IDLE_S = 5


def show_feed(topology: Any, settings: Any) -> None:
    """Two minutes of the feed, and a trainer that reads them."""
    from streams.broker.registrations import in_force, register_judge
    from streams.examples.trainer import Learner, train
    from streams.sdk import Phoenix

    click.echo(
        click.style("\nThe feed: what a trainer learns from, and what it says of it (icn phoenix tail)", bold=True)
    )
    made = register_judge(topology, settings, TRAINER, principal="lab", weight=WEIGHT)
    in_force(topology, settings, made["partition"], made["offset"], 20, "s3_reputation")
    say("waiting for the feed …")
    fed = _tick(topology, settings, 0) + _tick(topology, settings, 1)
    if fed < ENOUGH:  # what came in this minute has its turn in the next one
        left_s = (MINUTE_MS - time.time_ns() // 1_000_000 % MINUTE_MS) / 1000
        say(f"the trainer needs more to judge by: the feed's next minute begins in {left_s:.0f} s …")
        time.sleep(left_s)
        _tick(topology, settings, 1)
    with Phoenix(settings.brokers, "demo", judge=TRAINER, idle_s=IDLE_S) as feed:
        lessons = list(train(feed, Learner()))
    table(
        ("rank", "score", "novelty", "domain", "node", "input", "the trainer says"),
        [
            (
                one.scenario.event["rank"],
                f"{one.scenario.event['score']:.4f}",
                f"{one.scenario.novelty:.2f}",
                clip(one.scenario.domain, 24),
                one.scenario.event["node_id"],
                clip(one.scenario.input, 40),
                one.outcome,
            )
            for one in lessons
        ],
        right=(0, 1, 2),
    )
    click.echo(f"{len(lessons)} scenarios, {_votes(topology, settings, len(lessons))}")


def _tick(topology: Any, settings: Any, minute: int) -> int:
    """That of this minute, or of the next, early: nobody waits for it here. How many it fed. Raises IcnError."""
    from streams.agents.ticks import write_slot
    from streams.watch.phoenix import newest_round

    slot_ms = (time.time_ns() // 1_000_000 // MINUTE_MS + minute) * MINUTE_MS
    write_slot(topology, settings, slot_ms)
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        newest = newest_round(topology, settings)
        if newest is not None and newest["slot_ms"] >= slot_ms:
            return int(newest["fed"])
        time.sleep(0.2)
    raise IcnError(f"s6_phoenix made no round within {WAIT_S} s", "see the worker's log (icn demo --keep keeps it)")


def _votes(topology: Any, settings: Any, expected: int) -> str:
    """What came of the trainer's verdicts, once s3 has taken them."""
    from streams.broker.topics import events

    deadline = time.monotonic() + 10
    while True:
        votes = [e for e, _ in events(settings, topology.topic("votes").name, "vote") if e["judge"] == TRAINER]
        if len(votes) >= expected or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    counts = Counter(vote["ignored"] or f"{vote['outcome']}, counted" for vote in votes)
    return "votes: " + ", ".join(f"{count} {name}" for name, count in counts.most_common())
