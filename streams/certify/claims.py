"""What is claimed, how each claim could be false, and the broken part by which its trial shows that it would notice. Data."""

from __future__ import annotations

from typing import NamedTuple

NOW, SIMULATED = "now", "simulated"  # whose time: the broker's, or what the nodes say (hours pass in seconds)


class Claim(NamedTuple):
    """name: also of the file in trials/. stands: the kinds of deployment it is tried on. broken: of streams/certify/broken.py; caught_by:
    the check that must fail then."""

    number: int
    name: str
    title: str
    says: str
    false_if: str
    stands: tuple[str, ...]
    broken: str
    caught_by: str


CLAIMS = (
    Claim(
        1, "poison", "duplicate poison",
        "However often, by whomever and in whatever spelling a content is sent, it is one artifact; what differs in one word is kept.",
        "a repeat becomes an artifact of its own, a sighting is lost or counted twice, or a text that is nearly the same is dropped",
        (NOW,), "key_per_node", "one artifact of each content",
    ),
    Claim(
        2, "adversary", "adversarial node",
        "What is forged, malformed or out of range never enters, leaves a dead letter with its reason, and stops nobody else.",
        "one record of the adversary's is admitted, vanishes without a letter, or an honest node is refused meanwhile",
        (NOW,), "no_signatures", "none of it is admitted",
    ),
    Claim(
        3, "race", "race",
        "Nodes that send at once while workers come and go: each artifact is decided once, as if one worker had done it all.",
        "after a rebalance an artifact is missing, decided twice, or judged a duplicate of itself",
        (NOW,), "decides_again", "each is decided once",
    ),
    Claim(
        4, "saturation", "Phoenix saturation",
        "10,000 artifacts an hour: at most 100 scenarios in any 60 minutes, none twice, also when the feed is killed.",
        "there are 60 minutes with more than 100, a content is fed twice, or urgency is given away",
        (SIMULATED,), "forgets_the_feed", "at most 100 in any 60 minutes",
    ),
    Claim(
        5, "blackout", "blackout",
        "kill -9 of any stage in mid-batch loses nothing and doubles nothing.",
        "what was acknowledged is not in the stream, or the folded result is another one than without the kill",
        (NOW,), "commits_before_flush", "each is decided once",
    ),
    Claim(
        6, "backpressure", "backpressure",
        "A node that may send 1,000 an hour and sends 1,500 gets exactly 1,000 in; it is told which are not, and when to try again.",
        "1,001 enter, or 999, or one is refused without a word; also when the intake is killed in between",
        (SIMULATED,), "forgets_the_count", "exactly 1,000 of 1,500 are accepted",
    ),
    Claim(
        7, "reputation", "reputation poisoning",
        "A node that claims more than is true is at the floor once that is shown, and all it reported sinks; friends don't help.",
        "it keeps its score or its ranks, its accomplices lift it, or votes that nobody may give count",
        (NOW,), "no_fast_channel", "the boaster is at the floor",
    ),
    Claim(
        8, "diversity", "diversity",
        "What is fed is not all of one kind: more different contents in effect than by urgency alone, every domain within an hour.",
        "the feed is no more diverse than the most urgent ones, or a domain that has something gets nothing",
        (SIMULATED,), "by_urgency_alone", "more diverse than by urgency alone",
    ),
    Claim(
        9, "explanation", "explainability",
        "Every score, share and step can be recomputed from what is published beside it.",
        "factors don't multiply to the score, shares don't add up to the margin, or a coordinate doesn't hold what is said to be there",
        (SIMULATED,), "tells_another_score", "the factors make the score",
    ),
    Claim(
        10, "determinism", "immutability and determinism",
        "Whoever replays the topics gets the same decisions, byte for byte, each time; what was written stays as it was.",
        "a recomputed output has another byte, two replays differ, or bytes that were read before have changed",
        (NOW, SIMULATED), "looks_at_the_clock", "replay gives the same bytes",
    ),
    Claim(
        11, "tampering", "tamper",
        "Every tampering is found, with its kind and place; where there is none, none is found.",
        "a change passes, is found somewhere else, or an untouched log is accused",
        (NOW,), "verifies_without_hashes", "each tampering is found",
    ),
    Claim(
        12, "conservation", "conservation",
        "submitted = unique + upgraded + duplicate + rejected + dead-lettered + resent + in flight.",
        "an artifact is in none of them, or in two",
        (NOW, SIMULATED), "drops_silently", "the residual is 0",
    ),
)  # fmt: skip
BY_NAME = {claim.name: claim for claim in CLAIMS}
