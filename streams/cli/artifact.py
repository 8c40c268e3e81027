"""`icn artifact`: the life of one artifact."""

from __future__ import annotations

from typing import Any

import click

from streams.cli.show import clip, json_option, network, print_json, say, table
from streams.words import counted, when


@click.group()
def artifact() -> None:
    """Look at one artifact."""


@artifact.command()
@click.argument("wanted", metavar="ID|HASH")
@json_option
def show(wanted: str, as_json: bool) -> None:
    """Show its whole life with coordinates: sent, admitted, decided, receipts, sightings, scores; and the family of texts that nearly
    repeat it. HASH: the content's, the key of artifacts.decided. Exit code 1 if it is unknown.

    \b
    Example:
      icn artifact show 01a20a73-a527-7893-b6eb-7dbf6b42db83
    """
    from streams.errors import NotFoundError
    from streams.watch.family import family
    from streams.watch.records import life, rating

    topology, settings = network()
    wanted = wanted.removeprefix("phoenix_")  # a scenario's id
    steps = life(topology, settings, wanted, say)
    if not steps:
        raise NotFoundError(
            f'nothing known of artifact "{wanted}"',
            "it takes the whole id (icn top, icn phoenix tail); icn receipts --node NODE shows what was rejected",
        )
    for step in steps:
        step["event"].pop("artifact", None)  # the original bytes are the first step's event
    rated = rating(topology, settings, steps)
    hashes = {s["event"]["facts"]["dedup_hash"] for s in steps if s["step"] == "decided"}
    relatives = family(topology, settings, hashes)
    if as_json:
        print_json({"wanted": wanted, "rating": rated, "family": [r._asdict() for r in relatives], "steps": steps})
    else:
        if rated:
            click.echo(_rated(rated))
        table(
            ("time", "step", "artifact", "what", "at"),
            [
                (when(s["time_ms"]), s["step"], own, words, s["at"])
                for s in steps
                if s["step"] != "linked"  # the family says it shorter
                for own, words in _rows(s)
            ],
        )
        if relatives:
            links = sum(step["step"] == "linked" for step in steps)
            click.echo(
                f"\n{len(relatives)} texts that say nearly the same, by {counted(len({r.node_id for r in relatives}), 'node')}, the oldest "
                f"first; each beside the most similar one that was compared before it ({counted(links, 'link')} of this artifact: --json):"
            )
            table(
                ("seen", "artifact", "node", "nearly repeats"),
                [
                    (
                        when(r.seen_ms),
                        r.artifact_id,
                        r.node_id,
                        "" if r.similarity is None else f"{r.near_duplicate_of}, similarity {r.similarity:.3f}",
                    )
                    for r in relatives
                ],
            )


@artifact.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="How many, the largest first.")
@json_option
def families(limit: int, as_json: bool) -> None:
    """List the texts that were nearly repeated: how often, by how many nodes, since when. One node's alone may be a campaign.

    \b
    Example:
      icn artifact families --limit 5
    """
    from streams.errors import NotFoundError
    from streams.watch.family import all_families

    topology, settings = network()
    found = all_families(topology, settings)
    if as_json:
        print_json([one._asdict() for one in found[:limit]])
        return
    if not found:
        raise NotFoundError("no text nearly repeats another one so far", "is s4_near running? icn status")
    table(
        ("texts", "nodes", "first", "last", "the oldest of them", "its node"),
        [
            (
                one.texts,
                f"{one.nodes}" + (" one node's" if one.nodes == 1 else ""),
                when(one.first_ms),
                when(one.last_ms),
                one.artifact_id,
                one.node_id,
            )
            for one in found[:limit]
        ],
        right=(0,),
    )
    click.echo(f"{len(found)} {'family' if len(found) == 1 else 'families'} in all; icn artifact show tells of one")


def _rated(r: dict[str, Any]) -> str:
    from streams.domain.admiralty import CREDIBILITIES, GRADES_IN_WORDS

    said = [
        f"{counted(r['principals'], 'independent principal')} reported the same" if r["principals"] else "",
        f"repeated by {counted(r['repeated_by'], 'other node')}" if r["repeated_by"] else "",
        f"{r['confirmed']} confirmed, {r['refuted']} refuted" if r["confirmed"] + r["refuted"] else "",
    ]
    why = "; ".join(part for part in said if part) or "nobody else has said exactly this, and nobody judged it"
    return f"rated {r['grade']}{r['credibility']}: {r['node_id']} {GRADES_IN_WORDS[r['grade']]}; {CREDIBILITIES[r['credibility']]} ({why})"


def _rows(step: dict[str, Any]) -> list[tuple[str, str]]:
    """(artifact's own id, what happened to it); a receipt may tell of several."""
    event = step["event"]
    if step["step"] == "sent":
        return [
            (
                event["artifact_id"],
                f"by {event['node_id']}, confidence {event['confidence']:g}: {clip(event['content'], 60)}",
            )
        ]
    if step["step"] == "admitted":
        facts = event["facts"]
        reputation = f"reputation revision {facts['reputation_revision']} ({facts['effective_reputation']:g})"
        return [(facts["artifact_id"], f"{reputation}, {facts['node_hour_used']} used of the node's hour")]
    if step["step"] == "decided":
        facts = event["facts"]
        link = event["corroborates"]
        about = ""
        if link and link["independent"]:
            about = f", corroborates {link['artifact_id']} independently"
        elif link:
            about = f", the same content as {link['artifact_id']}, of the same node or source"
        counted = f"version {event['version']}, sighting {event['sightings']} of {event['canonical_id']}"
        return [(facts["artifact_id"], f"{event['decision']} by {facts['node_id']}: {counted}{about}")]
    if step["step"] == "receipt":
        told = f"{event['stage']} to {event['node_id']}"
        return [
            (o["artifact_id"], f"{told}: {o['outcome']}" + (f" ({o['reason']})" if o["reason"] else ""))
            for o in event["outcomes"]
        ]
    if step["step"] == "corroborated":
        whose = f"{event['by_node_id']} reported the same from another source, for {event['node_id']}"
        return [(event["artifact_id"], f"{whose} ({event['by_artifact_id']})")]
    if step["step"] == "judged":
        why = f": {clip(event['reason'], 60)}" if event["reason"] else ""
        return [
            (
                event["artifact_id"],
                f"{event['outcome']} by {event['judge']}, the claim was {event['confidence']:g}{why}",
            )
        ]
    if step["step"] == "voted":
        said = f"counts nothing ({event['ignored']})" if event["ignored"] else f"weighs {event['weight']:g}"
        return [(event["artifact_id"], f"{event['judge']}'s verdict {said} for {event['node_id']}")]
    if step["step"] == "refused":
        tried = "for good" if event["final"] else "for now"
        return [(event["artifact_id"], f"not fed, {tried}: {event['reason']}; rank {event['rank']}")]
    if step["step"] == "fed":
        return [
            (event["artifact_id"], f"fed as {event['scenario_id']}: rank {event['rank']}, novelty {event['novelty']:g}")
        ]
    terms = f"{event['threat_term']:g} + {event['opportunity_term']:g} + {event['confidence_term']:g}"
    score = f"score {event['score']:.4f} = ({terms}) × {event['effective_reputation']:g} × {event['decay']:.3f}"
    return [(event["canonical_id"], score)]
