"""Who gives verdicts, how many, and what one weighs. Pure."""

from __future__ import annotations

from typing import NamedTuple

from streams.domain.priority import published
from streams.domain.reputation import HOUR_MS, Rules


class Judge(NamedTuple):
    """Who gives verdicts: a person, a trainer, or a node. Hours are broker time's; a clock that goes back stays in the later hour."""

    principal: str
    generation: int  # of its token
    weight: float  # as registered [0..1]
    hour: int  # hours since 1970, UTC
    votes: tuple[int, ...]  # in this hour and the 23 before it, newest first
    suspicious_until: int  # hour; a vote over the limit moves it


def new_judge(principal: str, generation: int, weight: float) -> Judge:
    """One that has not voted yet."""
    return Judge(principal, generation, weight, 0, (0,) * 24, 0)


def vote(rules: Rules, judge: Judge, at_ms: int) -> tuple[Judge, bool]:
    """The judge after one more vote, and whether that is within its limits."""
    hour = max(judge.hour, at_ms // HOUR_MS)
    passed = min(24, hour - judge.hour)
    votes = (*(0,) * passed, *judge.votes)[:24]
    votes = (votes[0] + 1, *votes[1:])
    within = votes[0] <= rules.votes_per_hour and sum(votes) <= rules.votes_per_day
    until = judge.suspicious_until if within else hour + rules.clean_hours
    return judge._replace(hour=hour, votes=votes, suspicious_until=until), within


def vote_weight(judge: Judge, of_node: float | None) -> float:
    """What one of its votes weighs [0..1]. `of_node`: its effective score, where the judge is a node."""
    weight = judge.weight * (1.0 if of_node is None else of_node)
    return published(weight * (0.5 if judge.hour < judge.suspicious_until else 1.0))
