"""LIME (Ribeiro et al. 2016) for patterns: what it says of the same question that is answered exactly. It draws words at random, so it
differs a little with the seed; kept for those who want to compare."""

from __future__ import annotations

from typing import Any

from streams.domain.patterns import Patterns
from streams.errors import IcnError

SAMPLES = 1_000
TERMS = 10


def lime_of(found: Patterns, text: int, why: int, not_: int, seed: int = 1) -> list[tuple[str, float]]:
    """(word, weight), the weightiest first: of nearer to `why` than to `not_`, as a probability of its own making: (1 + margin) / 2."""
    try:
        from lime.lime_text import LimeTextExplainer
    except ImportError as error:
        raise IcnError("LIME is not installed", "pip install 'icn-streams[lime]'") from error

    import numpy as np

    def nearer(texts: list[str]) -> Any:
        cosines = found.cosines(texts)
        share = (1 + cosines[:, why] - cosines[:, not_]) / 2
        return np.column_stack([1 - share, share])

    explainer = LimeTextExplainer(split_expression=str.split, bow=True, random_state=seed)
    told = explainer.explain_instance(
        " ".join(found.said.said_in(text)), nearer, num_features=TERMS, num_samples=SAMPLES
    )
    return [(word, float(weight)) for word, weight in told.as_list()]
