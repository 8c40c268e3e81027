"""`icn produce`: send artifacts from files."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.units import human_ms
from streams.words import counted

if TYPE_CHECKING:
    from streams.sdk import Decision, Submission

INVALID_SHOWN = 20


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--node", "node_id", required=True, help="Registered node to send as.")
@click.option("--token", help="Its token, where it isn't in the state folder.")
@click.option("--wait", is_flag=True, help="Where a quota stops it, wait for the next hour and go on.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait for the last decisions.")
@click.option("-v", "--verbose", is_flag=True, help="A line for each artifact.")
@json_option
def produce(
    files: tuple[str, ...],
    node_id: str,
    token: str | None,
    wait: bool,
    timeout_s: float,
    verbose: bool,
    as_json: bool,
) -> None:
    """Send artifacts and say what became of each.

    FILE: .jsonl, .json, .csv (columns named like fields; others become metadata), any text file, a folder of text files, or - for JSONL on
    standard input. What can't be read or would be rejected is told with its line and not sent; the rest is. Exit code 1 where something
    was not accepted; `retry_after` says when a quota lets the rest in. Nothing is lost: what has no decision stays in the node's outbox
    and is sent by the next `icn produce` of the node.

    \b
    Example:
      echo '{"content": "SHIPSHAPE seen in the wild", "confidence": 0.8}' | icn produce - --node node-7
    """
    from streams.errors import ArtifactError, BrokerError, ContractError, IcnError, OutboxError
    from streams.sdk import Node
    from streams.sdk.files import read_artifacts

    for path in files:
        if path != "-" and not Path(path).exists():
            raise IcnError(f"there is no {path}", "nothing was sent; - reads JSONL from standard input")
    network()
    invalid: list[dict[str, str]] = []
    submissions: list[tuple[str, Submission]] = []
    started = time.monotonic()
    with Node(node_id, token=token, on_quota="wait" if wait else "resolve") as node:
        submissions += [("outbox", submission) for submission in node.recovered]
        if node.recovered:
            say(f"sending again {counted(len(node.recovered), 'artifact')} of an earlier run, from the outbox")
        for path in files:
            for where, fields in read_artifacts(path):
                try:
                    if isinstance(fields, ArtifactError):
                        raise fields
                    submissions += [(where, sent) for sent in node.submit_many([fields])]
                except (BrokerError, ContractError, OutboxError):
                    raise
                except IcnError as error:  # also an id that is under way with other content
                    invalid.append({"where": where, "reason": str(error.args[0]), "hint": error.hint})
                if len(submissions) % 5000 == 0 and submissions:
                    say(f"  {len(submissions)} sent, {sum(s.done() for _, s in submissions)} decided")
        node.flush(None if wait else timeout_s)
        node.close(0)
        unheard = node.status == "unheard"
    artifacts = [_told(where, submission) for where, submission in submissions]
    decisions = [decision for _, s in submissions if (decision := _decision(s))]
    left = len(submissions) - len(decisions)
    outcomes = Counter(d.outcome for d in decisions)
    reasons = Counter((d.reason or "", d.detail or "") for d in decisions if not d.accepted)
    retry = max((d.retry_after_ms for d in decisions if d.retry_after_ms is not None), default=None)
    last = max(decisions, key=lambda d: d.artifact_id, default=None)
    summary: dict[str, Any] = {
        "node": node_id,
        "counts": dict(Counter(a["outcome"] for a in artifacts)) | {"invalid": len(invalid)},
        "artifacts": artifacts,
        "accepted": {k: outcomes[k] for k in ("unique", "upgraded", "duplicate", "resent") if outcomes[k]},
        "rejected": [
            {"artifact_id": d.artifact_id, "reason": d.reason, "detail": d.detail} for d in decisions if not d.accepted
        ],
        "invalid": invalid,
        "undecided": left,
        "unheard": unheard,
        "retry_after": None if retry is None else round(retry / 1000),
        "quota_left": None if last is None else last.quota_left,
        "suggestions": sorted({s for d in decisions for s in d.suggestions}),
        "seconds": round(time.monotonic() - started, 3),
    }
    if as_json:
        print_json(summary)
    else:
        if verbose:
            _show_each(artifacts)
        table(
            ("outcome", "artifacts"),
            [
                *outcomes.items(),
                *([("undecided, in the outbox", left)] if left else []),
                *([("invalid, not sent", len(invalid))] if invalid else []),
            ],
            right=(1,),
        )
        for (reason, detail), number in reasons.most_common(5):
            click.echo(f"  {number} × {reason}: {detail}")
        for bad in invalid if verbose else invalid[:INVALID_SHOWN]:
            click.echo(f"  {bad['where']}: {bad['reason']}")
        if len(invalid) > INVALID_SHOWN and not verbose:
            click.echo(f"  … and {len(invalid) - INVALID_SHOWN} more not sent (-v)")
        for suggestion in summary["suggestions"]:
            click.echo(f"  suggestion: {suggestion}")
        if left:
            click.echo(f"  {_why_undecided(unheard, node_id)}")
        if retry is not None:
            click.echo(f"  retry_after: {human_ms(retry)} (or --wait)")
    refused = any(not d.accepted for d in decisions)
    sys.exit(1 if refused or invalid or left else 0)


def _why_undecided(unheard: bool, node_id: str) -> str:
    if unheard:
        return (
            f"no receipt though it was sent again: is the token of {node_id} in force (icn node list, icn dlq list)? "
            "is s1 running (icn status)?"
        )
    return "not decided in time; the next icn produce or Node of this id goes on with it. Are the stages running (icn status)?"


def _decision(submission: Submission) -> Decision | None:
    """None: it came to none before the node was closed, and is in the outbox."""
    return submission.result() if submission.done() and submission.exception() is None else None


def _told(where: str, submission: Submission) -> dict[str, Any]:
    """One artifact for --json: what became of it."""
    decision = _decision(submission)
    return {
        "where": where,
        "artifact_id": submission.artifact_id,
        "outcome": decision.outcome if decision else "undecided",
        "reason": decision.reason if decision else None,
        "canonical_id": decision.canonical_id if decision else None,
        "version": decision.version if decision else None,
    }


def _show_each(artifacts: list[dict[str, Any]]) -> None:
    table(
        ("where", "artifact", "outcome", "canonical", "version"),
        [
            (
                a["where"],
                a["artifact_id"],
                f"{a['outcome']}: {a['reason']}" if a["reason"] else a["outcome"],
                a["canonical_id"] or "-",
                a["version"] or "-",
            )
            for a in artifacts
        ],
        right=(4,),
    )
    click.echo()
