"""A witness on another machine: it cosigns what extends what it cosigned before, and nothing else, whoever has the sealer's key."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import tamper
from streams.audit.verify.note import Note, cosign, parse_checkpoint, parse_key, parse_note, verify, witness_key
from tests.support.audit import KEYS, KNOWN_TYPES, MANIFEST, SEALER, T0
from tests.support.runs import MINUTE, a_run

NAME = "audit.example/w1"
RUN = a_run(60)
RUN.seal()
LOG = RUN.copy()
SIZES = [parse_checkpoint(parse_note(note).text).size for note in RUN.notes]


def as_file(log: Copy, path: Path) -> Path:
    manifest = replace(MANIFEST, made_ms=T0 + 60 * MINUTE, bounds={0: (0, len(log.items))})
    log.but(manifest=manifest).write(path)
    return path


def until(number: int) -> Copy:
    """The log as it was when its checkpoint of this number came out."""
    size = SIZES[number]
    return LOG.but(items=LOG.items[:size], entries=(LOG.entries or ())[:size], notes=LOG.notes[: number + 1])


def witness(folder: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    """`icn audit witness`, with a state folder of its own."""
    return subprocess.run(
        [
            sys.executable, "-m", "streams", "audit", "witness", str(folder / "w1.note"), "--name", NAME,
            "--key", str(KEYS[0]), "--bundle", str(bundle),
        ],
        capture_output=True, text=True, timeout=60, check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("ICN_")} | {"ICN_STATE": str(folder / "state")},
    )  # fmt: skip


def test_a_witness_cosigns_a_log_that_grows_and_not_one_that_was_rewritten(tmp_path: Path) -> None:
    """Twice as it should be; then a history that the stolen key signed: not cosigned, and what it remembers stays."""
    first = witness(tmp_path, as_file(until(1), tmp_path / "1"))
    assert first.returncode == 0, first.stderr
    key = parse_key(first.stdout)
    note = parse_note((tmp_path / "w1.note").read_bytes())
    assert verify(note, key) and verify(note, KEYS[0]) is None and parse_checkpoint(note.text).size == SIZES[1]
    second = witness(tmp_path, as_file(LOG, tmp_path / "2"))
    kept = (tmp_path / "w1.note").read_bytes()
    assert (
        second.returncode == 0
        and second.stdout == first.stdout
        and parse_checkpoint(parse_note(kept).text).size == SIZES[-1]
    )
    for number, fault in enumerate(("sign", "cut-all", "delete")):
        refused = witness(tmp_path, as_file(tamper(LOG, fault, 50, SEALER), tmp_path / f"doctored{number}"))
        assert refused.returncode == 1 and "not cosigned" in refused.stderr, fault
        assert (tmp_path / "w1.note").read_bytes() == kept


@pytest.mark.parametrize("who", ["nobody", "somebody else"])
def test_an_anchor_counts_only_if_the_witness_has_cosigned_it_where_its_key_is_given(who: str) -> None:
    """Whoever has the sealer's key can make a note; not the witness's word for it."""
    mine, thief = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = (*KEYS, witness_key(NAME, mine))
    own = parse_note(LOG.notes[1])
    good = Note(own.text, (*own.signatures, cosign(own.text, NAME, mine, 1_800_000_000)))
    bad = own if who == "nobody" else Note(own.text, (*own.signatures, cosign(own.text, NAME, thief, 1_800_000_000)))
    assert [f.kind for f in LOG.verify(keys, str(good).encode(), KNOWN_TYPES).findings] == []
    found = LOG.verify(keys, str(bad).encode(), KNOWN_TYPES).findings
    assert [(f.kind, f.where) for f in found] == [("CORRUPT", "anchor")]
