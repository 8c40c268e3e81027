"""`icn audit`: the log of what happened, sealed, and verified by anybody."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import click

from streams.cli.show import confirm, json_option, network, print_json, progress, say, table
from streams.words import counted, when

FILE = click.Path(path_type=Path)


@click.group()
def audit() -> None:
    """Seal, verify and bundle the audit log; tamper with a copy of it."""


key_option = click.option(
    "--key", "keys", multiple=True, metavar="KEY|FILE", help="Verifier key, from anywhere but the log (repeat)."
)


@audit.command()
@click.argument("bundle", type=FILE, required=False)
@key_option
@click.option("--anchor", type=FILE, help="A checkpoint you accepted before, or a witness's.")
@click.option("--tiles", type=FILE, help="The sealed entries' files, where they aren't on this machine.")
@click.option("--fast", is_flag=True, help="Integrity only: nothing is decoded.")
@json_option
def verify(
    bundle: Path | None, keys: tuple[str, ...], anchor: Path | None, tiles: Path | None, fast: bool, as_json: bool
) -> None:
    """Verify the log on the broker, or in a BUNDLE without any broker: every hash, chain, tree and checkpoint. Read only.

    Keys come from you: `icn audit key` prints them where the sealer runs. The newest checkpoint that was found in order is kept in the
    state folder, and the next audit must extend it.

    Exit code 0: clean. 1: a finding, with its place. 2: could not judge; an empty log is never clean.

    \b
    Example:
      icn audit verify
      icn audit verify log.icnaudit --key "$(cat sealer.vkey)"
    """
    report = _audit(bundle, keys, anchor, tiles, not fast)
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
    accepted = None if anchor is None else anchor.read_bytes()
    if bundle is None:
        topology, settings = network()
        return audit_live(topology, settings, given, accepted, tiles, decode, _told, visit)
    if not given:
        raise AuditError(
            "no verifier key: a bundle can't say whom to believe",
            "--key; icn audit key prints it where the sealer runs",
        )
    return audit_bundle(Bundle(bundle), given, accepted, decode, _told, visit)


def _require(*modules: str) -> None:
    """They are of the extra `judge`."""
    from importlib.util import find_spec

    from streams.errors import AuditError

    if missing := [name for name in modules if find_spec(name) is None]:
        hint = "scripts/setup judge in a checkout, or pip install 'icn-streams[judge]'"
        raise AuditError(f"a report needs {' and '.join(missing)}", hint)


def _told(done: int, of: int) -> None:
    progress(f"verifying: {done:,} of {of:,} records")


def _key(text: str) -> Any:
    from streams.audit.verify.note import NoteError, parse_key
    from streams.errors import AuditError

    try:
        return parse_key(Path(text).read_text() if Path(text).is_file() else text)
    except NoteError as error:
        raise AuditError(str(error), "icn audit key prints it where the sealer runs") from error


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
    click.echo(f"integrity: {report.integrity}    completeness: {report.completeness}")
    click.echo("what no audit can prove: that a producer told the truth when it wrote")


@audit.command()
@click.argument("bundle", type=FILE, required=False)
@key_option
@click.option("--anchor", type=FILE, help="A checkpoint you accepted before, or a witness's.")
@click.option("--tiles", type=FILE, help="The sealed entries' files, where they aren't on this machine.")
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
    _require("arch", *(("jinja2", "matplotlib") if html is not None else ()))
    from streams.audit.judge.document import as_json as document
    from streams.audit.judge.evidence import Evidence
    from streams.audit.judge.judge import judge
    from streams.audit.judge.page import page
    from streams.audit.judge.text import text

    evidence = Evidence()
    found = _audit(bundle, keys, anchor, tiles, True, evidence.visit)
    told = judge(evidence, found, schedule)
    if html is not None:
        html.write_text(page(told, evidence), encoding="utf-8")
        say(f"written: {html}")
    if as_json:
        print_json(document(told))
    else:
        click.echo(text(told), nl=False)
    sys.exit(found.exit_code or (2 if told.figure.value is None else 0))


@audit.command()
@json_option
def key(as_json: bool) -> None:
    """Print the sealer's verifier keys, one for each partition. Give them to auditors by another way than the log.

    \b
    Example:
      icn audit key > sealer.vkey
    """
    from streams.audit.place import find_place
    from streams.audit.seal.keys import private_key
    from streams.audit.verify.note import log_key

    topology, settings = network()
    place, private = find_place(topology, settings), private_key(settings.state / "keys", "sealer")
    keys = [str(log_key(place.origin(partition), private)) for partition in range(place.partitions)]
    if as_json:
        print_json(keys)
    else:
        click.echo("\n".join(keys))


@audit.command()
@click.option("--last", default=50, show_default=True, type=click.IntRange(1), help="So many.")
@json_option
def actions(last: int, as_json: bool) -> None:
    """List what people changed: who, what, why, and where it is on record.

    \b
    Example:
      icn audit actions --last 5
    """
    from streams.audit.actions import operator_actions

    found = operator_actions(*network())[-last:]
    if as_json:
        print_json(found)
    else:
        table(
            ("time", "who", "what", "why", "at"),
            [(when(a["at_ms"]), a["who"], a["what"], a["why"] or "-", a["at"]) for a in found],
        )


@audit.command()
@click.argument("file", type=FILE)
@click.option("--tiles", type=FILE, help="The sealed entries' files, where they aren't on this machine.")
@click.option("--yes", is_flag=True, help="Overwrite without asking.")
def bundle(file: Path, tiles: Path | None, yes: bool) -> None:
    """Write the log, what was sealed of it and its checkpoints into one FILE, to be verified anywhere without a broker.

    \b
    Example:
      icn audit bundle log.icnaudit
    """
    from streams.audit.audit import write_bundle

    if file.exists() and not yes:
        confirm(f"{file} exists; overwrite it?")
    topology, settings = network()
    records = write_bundle(topology, settings, file, tiles, _told)
    say(f"{file}: {counted(records, 'record')}, {file.stat().st_size:,} bytes; icn audit verify {file} --key …")


@audit.command()
@click.argument("fault")
@click.argument("source", type=FILE)
@click.argument("target", type=FILE)
@click.option("--offset", type=int, help="Of the record (default: the middle one).")
@click.option("--partition", default=0, show_default=True)
@click.option("--sealer-key", type=FILE, help="A stolen key, to sign with.")
def tamper(fault: str, source: Path, target: Path, offset: int | None, partition: int, sealer_key: Path | None) -> None:
    """Make a FAULT in a copy of a bundle, to see whether `icn audit verify` finds it. `list` as FAULT lists them.

    \b
    Example:
      icn audit tamper chain log.icnaudit doctored.icnaudit
      icn audit tamper list - -
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from streams.audit.tampering.copy import load
    from streams.audit.tampering.tamper import FAULTS
    from streams.audit.tampering.tamper import tamper as make

    if fault == "list":
        table(("fault", "what is done", "what must be found"), [(name, f.what, f.found) for name, f in FAULTS.items()])
        return
    private = Ed25519PrivateKey.generate()
    if sealer_key is not None:
        private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sealer_key.read_text().strip()))
    make(load(source, partition), fault, offset, private).write(target)
    say(f"{target}: {FAULTS[fault].what}; icn audit verify must find {FAULTS[fault].found}")


@audit.command()
@click.option("--every", "every_s", default=60.0, show_default=True, help="Seconds between checkpoints.")
def seal(every_s: float) -> None:
    """Seal the log until Ctrl-C: a signed checkpoint every minute, or every 10,000 records. `icn up` does it, too.

    Run one for a deployment, away from those who can write the topic. Its key is <state>/keys/sealer.key.

    \b
    Example:
      icn audit seal --state /var/lib/icn-sealer
    """
    from streams.runtime.sealing import run

    topology, settings = network()
    sys.exit(run(topology, settings, every_s))


@audit.command()
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
    from streams.audit.audit import audit_bundle, audit_live
    from streams.audit.files import write_whole
    from streams.audit.seal.keys import private_key
    from streams.audit.verify.bundle import Bundle
    from streams.audit.verify.note import Note, cosign, parse_note, witness_key
    from streams.settings import read_settings
    from streams.topology import load

    given = [_key(text) for text in keys]
    before = note.read_bytes() if note.exists() else None
    if bundle is not None:
        settings = read_settings(load())
        report = audit_bundle(Bundle(bundle), given, before, True, _told)
    else:
        topology, settings = network()
        report = audit_live(topology, settings, given, before, None, True, _told)
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
