"""A trainer that learns online what an urgent threat reads like, and votes on what it is fed.

    icn judge register trainer-1 --principal lab --weight 0.3
    python -m streams.examples.trainer trainer-1

It learns from each scenario after it has judged it, so what it says is always of what it has not seen. Where it knows too little it says so
(unclear). Its model is its own; only what it acknowledges and its verdicts are on topics.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from streams.sdk import Phoenix, Scenario

LEARNED_MIN = 5  # scenarios of either kind before it dares to judge
URGENT = 7.0  # difficulty
SURE = 0.7  # of what it thinks, before it contradicts a node


@dataclass(frozen=True)
class Lesson:
    """What came of one scenario. surprise: how wrong it was before it learned [0..1]; None: it knew too little to guess."""

    scenario: Scenario
    outcome: str
    weight: float
    surprise: float | None


class Learner:
    """Hashed words, logistic regression, one step a scenario."""

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.linear_model import SGDClassifier

        self.words = HashingVectorizer(n_features=1 << 16, alternate_sign=False)
        self.model = SGDClassifier(loss="log_loss", random_state=1)
        self.seen = {False: 0, True: 0}

    def guess(self, scenario: Scenario) -> float | None:
        """Probability that it is urgent; None: too little was learned."""
        if min(self.seen.values()) < LEARNED_MIN:
            return None
        return float(self.model.predict_proba(self._row(scenario))[0, 1])

    def learn(self, scenario: Scenario) -> None:
        urgent = scenario.difficulty >= URGENT
        self.model.partial_fit(self._row(scenario), [urgent], classes=[False, True])
        self.seen[urgent] += 1

    def _row(self, scenario: Scenario) -> Any:
        return self.words.transform([scenario.input])


def train(feed: Phoenix, learner: Learner) -> Iterator[Lesson]:
    """Of each scenario: judge, learn, acknowledge."""
    for scenario in feed:
        guessed, claimed = learner.guess(scenario), scenario.difficulty >= URGENT
        agrees = None if guessed is None else guessed if claimed else 1 - guessed
        if agrees is None or 1 - SURE < agrees < SURE:
            outcome, weight = "unclear", 1.0
            scenario.unclear(reason="not enough is known of texts like it")
        elif agrees >= SURE:
            outcome, weight = "confirmed", agrees
            scenario.confirm(weight=weight, reason="reads like what it is claimed to be")
        else:
            outcome, weight = "refuted", 1 - agrees
            scenario.refute(weight=weight, reason="reads unlike what it is claimed to be")
        learner.learn(scenario)
        scenario.acknowledge()
        yield Lesson(scenario, outcome, weight, None if agrees is None else 1 - agrees)


def main(judge: str, say: Callable[[str], None] = print) -> None:
    with Phoenix(group="urgency", judge=judge) as feed:
        for number, lesson in enumerate(train(feed, Learner()), 1):
            scenario = lesson.scenario
            say(
                f"{number:4} {lesson.outcome:9} {scenario.difficulty:4.1f} {scenario.domain[:24]:24} {scenario.input[:50]!r}"
            )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m streams.examples.trainer JUDGE   (icn judge register JUDGE first)")
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1])
