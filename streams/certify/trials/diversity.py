"""How many different contents there are in effect in an hour's feed, and in what urgency alone would have fed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from streams.certify.checks import Checks
from streams.certify.flood import DOMAINS, FIRST_MS, Fed, flood
from streams.certify.stand import Stand
from streams.domain.ticks import HOUR_MS

MORE = 1.2  # times
NODE_SHARE_MAX = 0.25


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """The measure is scikit-learn's TF-IDF and the Vendi score (Friedman and Dieng 2023), not the feed's own."""
    made = flood(stand, checks, rng)
    fed, urgent = ([one for one in of if one.slot_ms < FIRST_MS + HOUR_MS] for of in (made.fed, made.urgent))
    ours, theirs = vendi(fed, urgent)
    says = "more diverse than by urgency alone"
    checks.count(
        says, len(fed), [] if ours >= MORE * theirs else [f"{ours:.1f} and {theirs:.1f}"],
        f"Vendi score {ours:.1f}, of the most urgent ones {theirs:.1f}",
    )  # fmt: skip
    domains = Counter(one.domain for one in fed)
    wrong = [] if len(domains) == DOMAINS else [f"{len(domains)} of {DOMAINS}"]
    checks.count("each domain that has something is fed in the hour", DOMAINS, wrong, f"{len(domains)} domains")
    for name, of in (
        ("node", Counter(one.node for one in fed)),
        ("content type", Counter(one.content_type for one in fed)),
    ):
        most, count = of.most_common(1)[0]
        limit = NODE_SHARE_MAX if name == "node" else 0.6
        checks.holds(f"no {name} has most of it", count <= limit * len(fed), f"{most}: {count} of {len(fed)}")
    checks.evidence += [at for _, at in made.scenarios[-3:]]


def vendi(*groups: Sequence[Fed]) -> list[float]:
    """Of each group's texts: the effective number of different ones [1..n], by cosines of TF-IDF."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = TfidfVectorizer(sublinear_tf=True).fit_transform([one.text for group in groups for one in group]).toarray()
    found, at = [], 0
    for group in groups:
        of = rows[at : at + len(group)]
        at += len(group)
        shares = np.linalg.eigvalsh(of @ of.T / max(1, len(of)))
        shares = shares[shares > 1e-12]
        found.append(float(np.exp(-np.sum(shares * np.log(shares)))))
    return found
