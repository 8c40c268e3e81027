"""The two axes that analysts know (Admiralty): how reliable a source is, A to F, and how credible one artifact, 1 to 6. Pure."""

from __future__ import annotations

from streams.domain.reputation import Reputation, is_newcomer

GRADES = ((0.8, "A"), (0.65, "B"), (0.5, "C"), (0.3, "D"))
GRADES_IN_WORDS = {
    "A": "is completely reliable",
    "B": "is usually reliable",
    "C": "is fairly reliable",
    "D": "is not usually reliable",
    "E": "is unreliable",
    "F": "can't be judged yet",
}


def grade(node: Reputation) -> str:
    """Admiralty's source reliability: A completely, B usually, C fairly, D not usually, E not reliable; F can't be judged yet."""
    if is_newcomer(node):
        return "F"
    return next((letter for least, letter in GRADES if node.score >= least), "E")


CREDIBILITIES = {
    1: "confirmed by others",
    2: "probably true",
    3: "possibly true",
    4: "doubtful",
    5: "improbable",
    6: "can't be judged",
}


def credibility(principals: int, others: int, confirmed: int, refuted: int) -> int:
    """Admiralty's other axis, of one artifact [1..6]. principals: that corroborate it independently; others: nodes that merely repeat it;
    confirmed, refuted: verdicts that count."""
    if confirmed + refuted and refuted >= confirmed:
        return 5 if refuted > confirmed else 4
    if principals + bool(confirmed) >= 2:
        return 1
    if principals or confirmed:
        return 2
    return 3 if others else 6
