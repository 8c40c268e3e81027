"""Ten nodes send the same contents, each in a spelling of its own, and ten texts that differ in one word."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from streams.certify.checks import Checks
from streams.certify.stand import Stand
from streams.certify.truth import check_decisions
from streams.sdk.decision import Decision

CONTENTS, REPEATS, WORDS = 40, 3, 200
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda text: text,
    str.upper,
    str.title,
    lambda text: f"  {text}\n",
    lambda text: text.replace(" ", "\t"),
    lambda text: text.replace(" ", "\u00a0\u2003"),
    lambda text: text.replace("fi", "\ufb01"),  # one character
    lambda text: "".join(chr(ord(c) + 0xFEE0) if c.isalnum() and c.isascii() else c for c in text),  # full width
    lambda text: text.replace("s", "\u017f"),  # the long one
    lambda text: text.replace(" ", "\r\n\r\n"),
)


def run(stand: Stand, checks: Checks, rng: random.Random) -> None:
    """The same ids again, too: what was sent already is no sighting."""
    nodes = [f"poison-{number}" for number in range(len(SPELLINGS))]
    stand.register(*nodes)
    texts = [f"Files of shipment {number} first seen {rng.randrange(10**9)}" for number in range(CONTENTS)]
    words = [f"word{rng.randrange(10**6)}" for _ in range(WORDS)]
    alike = [" ".join([*words[:at], f"secret{at}", *words[at + 1 :]]) for at in range(len(SPELLINGS))]
    told, again = dict[str, Decision](), list[Decision]()

    def send(name: str, spelling: Callable[[str], str], secret: str) -> None:
        with stand.node(name) as node:
            made = [{"content": spelling(text), "source": "poison"} for text in texts for _ in range(REPEATS)]
            futures = node.submit_many([*made, {"content": secret, "source": "poison"}])
            told.update({future.artifact_id: future.result(120) for future in futures})
            same = [one | {"artifact_id": each.artifact_id} for each, one in zip(futures[:5], made, strict=False)]
            again.extend(future.result(60) for future in node.submit_many(same))

    with ThreadPoolExecutor(len(nodes)) as pool:
        list(pool.map(send, nodes, SPELLINGS, alike))
    stand.settled()
    decided = [(event, at) for event, at in stand.read("artifacts.decided") if event["facts"]["artifact_id"] in told]
    check_decisions(checks, [event for event, _ in decided], told, CONTENTS + len(alike))
    by_id = {event["facts"]["artifact_id"]: event for event, _ in decided}
    for artifact_id, decision in told.items():
        event = by_id.get(artifact_id, {"decision": "lost", "canonical_id": None})
        checks.same(
            "each node is told what was decided",
            (decision.outcome, decision.canonical_id),
            (event["decision"].lower(), event["canonical_id"]),
            artifact_id,
        )
    secrets = [event for event, _ in decided if event["artifact"] and b"secret" in event["artifact"]]
    checks.same("texts that differ in one word are all kept", len(secrets), len(alike))
    for decision in again:
        checks.same("the same id again is no sighting", decision.outcome, "resent", decision.artifact_id)
    checks.evidence += [at for _, at in decided[:3]]
