"""`icn produce`: send artifacts from files."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, say, table
from streams.units import human_ms


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--node", "node_id", required=True, help="Registered node to send as.")
@click.option("--token", help="Its token, where it isn't in the state folder.")
@click.option("--wait", is_flag=True, help="Where a quota stops it, wait for the next hour and go on.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds to wait for the last decisions.")
@json_option
def produce(
    files: tuple[str, ...], node_id: str, token: str | None, wait: bool, timeout_s: float, as_json: bool
) -> None:
    """Send artifacts and say what became of each.

    FILE: .jsonl, .json, .csv (columns named like fields; others become metadata), any text file, a folder of text files, or - for JSONL on
    standard input. Exit code 1 where something was not accepted; `retry_after` says when a quota lets the rest in. Nothing is lost:
    what has no decision stays in the node's outbox and is sent by the next `icn produce` of the node.

    \b
    Example:
      echo '{"content": "SHIPSHAPE seen in the wild", "confidence": 0.8}' | icn produce - --node node-7
    """
    from streams.errors import ArtifactError
    from streams.sdk import Node
    from streams.sdk.files import read_artifacts

    network()
    invalid: list[dict[str, str]] = []
    submissions = []
    started = time.monotonic()
    with Node(node_id, token=token, on_quota="wait" if wait else "resolve") as node:
        submissions += node.recovered
        if node.recovered:
            say(f"{len(node.recovered)} artifacts from an earlier run are in the outbox; sending them again")
        for path in files:
            for where, fields in read_artifacts(path):
                try:
                    submissions.append(node.submit(**({"content": None} | fields)))
                except ArtifactError as error:
                    invalid.append({"where": where, "reason": str(error.args[0]), "hint": error.hint})
                if len(submissions) % 5000 == 0 and submissions:
                    say(f"  {len(submissions)} sent, {sum(s.done() for s in submissions)} decided")
        left = node.flush(None if wait else timeout_s)
    decisions = [s.result() for s in submissions if s.done()]
    outcomes = Counter(d.outcome for d in decisions)
    reasons = Counter((d.reason or "", d.detail or "") for d in decisions if not d.accepted)
    retry = max((d.retry_after_ms for d in decisions if d.retry_after_ms is not None), default=None)
    last = max(decisions, key=lambda d: d.artifact_id, default=None)
    summary: dict[str, Any] = {
        "node": node_id,
        "accepted": {k: outcomes[k] for k in ("unique", "upgraded", "duplicate", "resent") if outcomes[k]},
        "rejected": [
            {"artifact_id": d.artifact_id, "reason": d.reason, "detail": d.detail} for d in decisions if not d.accepted
        ],
        "invalid": invalid,
        "undecided": left,
        "retry_after": None if retry is None else round(retry / 1000),
        "quota_left": None if last is None else last.quota_left,
        "suggestions": sorted({s for d in decisions for s in d.suggestions}),
        "seconds": round(time.monotonic() - started, 3),
    }
    if as_json:
        print_json(summary)
    else:
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
        for bad in invalid[:5]:
            click.echo(f"  {bad['where']}: {bad['reason']}")
        for suggestion in summary["suggestions"]:
            click.echo(f"  suggestion: {suggestion}")
        if retry is not None:
            click.echo(f"  retry_after: {human_ms(retry)} (or --wait)")
    refused = any(not d.accepted for d in decisions)
    sys.exit(1 if refused or invalid or left else 0)
