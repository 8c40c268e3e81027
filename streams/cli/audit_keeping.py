"""For an operator: seal the log, hand it out, see who changed what, try the auditors."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from streams.cli.audit_reading import FILE, tiles_option, verifying
from streams.cli.show import confirm, json_option, network, print_json, say, table
from streams.words import counted, when


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
@click.argument("file", type=FILE)
@tiles_option
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
    records = write_bundle(topology, settings, file, tiles, verifying)
    say(f"{file}: {counted(records, 'record')}, {file.stat().st_size:,} bytes; icn audit verify {file} --key …")


@click.command()
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
    copy = load(source, partition)
    make(copy, fault, offset, private).write(target)
    at = copy.items[len(copy.items) // 2].offset if offset is None else offset
    place = f" (at {copy.manifest.topic}/{partition}/{at})" if FAULTS[fault].is_at_a_record else ""
    say(f"{target}: {FAULTS[fault].what}{place}; icn audit verify must find {FAULTS[fault].found}")
    if FAULTS[fault].signs and sealer_key is None:
        say(
            "signed with a key of nobody's, so its checkpoints are CORRUPT; --sealer-key FILE signs with the sealer's (keys/sealer.key)"
        )
