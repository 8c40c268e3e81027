"""For an auditor: verify a log, report what it says, cosign it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, progress, say, table
from streams.words import counted, when

FILE = click.Path(path_type=Path)
THERE = click.Path(exists=True, dir_okay=False, path_type=Path)

key_option = click.option(
    "--key", "keys", multiple=True, metavar="KEY|FILE", help="Verifier key, from anywhere but the log (repeat)."
)
anchor_option = click.option("--anchor", type=THERE, help="A checkpoint you accepted before, or a witness's.")
tiles_option = click.option("--tiles", type=FILE, help="The sealed entries' files, where they aren't on this machine.")


@click.command()
@click.argument("bundle", type=FILE, required=False)
@key_option
@anchor_option
@tiles_option
@click.option(
    "--keep", type=FILE, help="Keep the newest checkpoint here, if all is in order: the next audit's --anchor."
)
@click.option("--fast", is_flag=True, help="Integrity only: nothing is decoded, completeness not judged.")
@json_option
def verify(
    bundle: Path | None,
    keys: tuple[str, ...],
    anchor: Path | None,
    tiles: Path | None,
    keep: Path | None,
    fast: bool,
    as_json: bool,
) -> None:
    """Verify the log on the broker, or in a BUNDLE without any broker: every hash, chain, tree and checkpoint. Read only.

    Keys come from you: `icn audit key` prints them where the sealer runs. Of the log on the broker the newest checkpoint that was found
    in order is kept in the state folder, and the next audit must extend it; of a bundle, --keep and --anchor do the same.

    Exit code 0: clean. 1: a finding, with its place. 2: could not judge; an empty log is never clean.

    \b
    Example:
      icn audit verify
      icn audit verify log.icnaudit --key sealer.vkey --keep accepted.note
    """
    report = _audit(bundle, keys, anchor, tiles, not fast)
    if keep is not None and report.exit_code == 0 and report.results[0].newest_note is not None:
        keep.write_bytes(report.results[0].newest_note)
    if as_json:
        print_json(report.json())
    else:
        _print(report)
    sys.exit(report.exit_code)


def _audit(
    bundle: Path | None,
    keys: tuple[str, ...],
    anchor: Path | None,
    tiles: Path | None,
    decode: bool,
    visit: Any = None,
) -> Any:
    from streams.audit.audit import audit_bundle, audit_live
    from streams.audit.verify.bundle import Bundle
    from streams.errors import AuditError

    given = [_key(text) for text in keys]
    accepted = None if anchor is None else _note(anchor)
    if bundle is None:
        topology, settings = network()
        return audit_live(topology, settings, given, accepted, tiles, decode, verifying, visit)
    if not given:
        raise AuditError(
            "no verifier key: a bundle can't say whom to believe",
            "--key; icn audit key prints it where the sealer runs",
        )
    return audit_bundle(Bundle(bundle), given, accepted, decode, verifying, visit)


def require(*modules: str) -> None:
    """They are of the extra `judge`."""
    from importlib.util import find_spec

    from streams.errors import AuditError

    if missing := [name for name in modules if find_spec(name) is None]:
        hint = "scripts/setup judge in a checkout, or pip install 'icn-streams[judge]'"
        raise AuditError(f"a report needs {' and '.join(missing)}", hint)


def verifying(done: int, of: int) -> None:
    progress(f"verifying: {done:,} of {of:,} records")


def _key(text: str) -> Any:
    from streams.audit.verify.note import NoteError, parse_key
    from streams.errors import AuditError

    if "+" not in text and not Path(text).is_file():
        raise AuditError(f"--key: no file {text}", "icn audit key > sealer.vkey writes one where the sealer runs")
    try:
        return parse_key(Path(text).read_text() if Path(text).is_file() else text)
    except NoteError as error:
        raise AuditError(str(error), "icn audit key prints it where the sealer runs") from error


def _note(path: Path) -> bytes:
    """Whether it is believed is the verifier's to say; that it is one at all is the caller's."""
    from streams.audit.verify.note import NoteError, parse_checkpoint, parse_note
    from streams.errors import AuditError

    data = path.read_bytes()
    try:
        parse_checkpoint(parse_note(data).text)
    except NoteError as error:
        raise AuditError(
            f"--anchor {path} is no checkpoint: {error}", "icn audit verify --keep FILE keeps the newest one"
        ) from error
    return data


def _print(report: Any) -> None:
    from streams.audit.verify.findings import IN_WORDS

    click.echo(f"{report.of}, as of {when(report.at_ms)}")
    for key in report.keys:
        click.echo(f"believed: {key}")
    table(
        ("partition", "offsets", "records", "runs", "again", "checkpoints", "sealed", "not yet"),
        [
            (
                r.partition,
                f"{r.first_offset}..{r.last_offset}" if r.first_offset is not None else "-",
                r.records,
                r.runs,
                r.duplicates,
                r.checkpoints,
                r.sealed,
                r.unsealed,
            )
            for r in report.results
        ],
        right=(0, 2, 3, 4, 5, 6, 7),
    )
    for finding in report.findings:
        count = f" ({finding.count})" if finding.count > 1 else ""
        click.echo(f"{finding.kind} {finding.where}{count}: {IN_WORDS[finding.kind]}")
        for line in finding.detail.splitlines():
            click.echo(f"    {line}")
    for r in report.results:
        if r.unbelieved and not r.checkpoints:
            click.echo(
                f"none of the {counted(r.unbelieved, 'checkpoint')} is signed by a key that you gave: "
                "it is the key of another log, or all of them were forged"
            )
    click.echo(f"integrity: {report.integrity}    completeness: {report.completeness}")
    click.echo("what no audit can prove: that a producer told the truth when it wrote")


@click.command()
@click.argument("bundle", type=FILE, required=False)
@key_option
@anchor_option
@tiles_option
@click.option(
    "--schedule", metavar="NAME|T0_MS", help="Which run to judge, if the log has several (default: the newest)."
)
@click.option("--html", type=FILE, help="Write the report as one page, with pictures.")
@json_option
def report(
    bundle: Path | None,
    keys: tuple[str, ...],
    anchor: Path | None,
    tiles: Path | None,
    schedule: str | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Say how reliable the run was, on evidence that is verified first: the figure with its interval, or why there is none.

    What was promised is the schedule in the manifest of whoever emits the ticks; what isn't in the log counts as failed. Read only.

    Exit code 0: a figure. 1: the audit found something (a figure is given all the same, on the worst case). 2: no figure.

    \b
    Example:
      icn audit report
      icn audit report log.icnaudit --key sealer.vkey --html report.html
    """
    require("arch", *(("jinja2", "matplotlib") if html is not None else ()))
    from streams.audit.judge.document import as_json as document
    from streams.audit.judge.evidence import Evidence
    from streams.audit.judge.judge import judge
    from streams.audit.judge.page import page
    from streams.audit.judge.text import text
    from streams.errors import AuditError

    evidence = Evidence()
    found = _audit(bundle, keys, anchor, tiles, True, evidence.visit)
    told = judge(evidence, found, schedule)
    if html is not None:
        try:
            html.write_text(page(told, evidence), encoding="utf-8")
        except OSError as error:
            raise AuditError(f"--html {html}: {error.strerror}", "name a file in a folder that is there") from error
        say(f"written: {html}")
    if as_json:
        print_json(document(told))
    else:
        click.echo(text(told), nl=False)
    sys.exit(2 if told.figure.value is None else found.exit_code)


@click.command()
@click.argument("note", type=FILE)
@key_option
@click.option("--name", required=True, help="Of the witness, for example audit.example/w1.")
@click.option("--bundle", type=FILE, help="Where the records are; else the broker's.")
def witness(note: Path, keys: tuple[str, ...], name: str, bundle: Path | None) -> None:
    """Verify the log, and if it is clean and extends NOTE, cosign its newest checkpoint into NOTE, with a key of its own.

    NOTE is what the witness remembers: keep it on another machine than the sealer's. The first time it doesn't exist.

    \b
    Example:
      icn audit witness w1.note --name audit.example/w1 --key sealer.vkey
    """
    from streams.audit.files import write_whole
    from streams.audit.seal.keys import private_key
    from streams.audit.verify.note import Note, cosign, parse_note, witness_key
    from streams.settings import read_settings
    from streams.topology import load

    settings = read_settings(load())
    report = _audit(bundle, keys, note if note.exists() else None, None, True)
    newest = report.results[0].newest_note if report.results else None
    if report.exit_code or newest is None:
        _print(report)
        say("not cosigned")
        sys.exit(report.exit_code or 2)
    private = private_key(settings.state / "keys", "witness")
    own = parse_note(newest)
    signed = Note(own.text, (*own.signatures, cosign(own.text, name, private, int(time.time()))))
    write_whole(note, str(signed).encode())
    click.echo(str(witness_key(name, private)))
    say(f"{note}: cosigned {own.text.splitlines()[1]} entries")
