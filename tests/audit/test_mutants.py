"""Who verifies the verifier: each of its checks is taken out in turn, and the corpus must notice."""

from __future__ import annotations

import types
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from streams.audit.layout import Item
from streams.audit.tampering import copy
from streams.audit.tampering.copy import Copy
from streams.audit.verify import chain, checkpoints, clocks, envelope, note, sealed, verifier
from tests.audit.test_verify import (
    ANCHOR,
    CORPUS,
    FIRST_AUDITS,
    LOG,
    TICK,
    found,
    made,
    pruned_log,
    with_item,
)
from tests.support.audit import KEYS, KNOWN_TYPES, ORIGIN, SEALER, a_log
from tests.support.runs import Run

WITNESS = note.witness_key("audit.example/w1", SEALER)

# (module, what is in it, what is put there instead): each takes one check out
MUTANTS: list[tuple[str, ModuleType, str, str]] = [
    ("record_hash is not compared", chain, "if claimed != hashed:", "if False:"),
    ("links are not compared", chain, "if run.last_hash is not None and value[PREV] != run.last_hash:", "if False:"),
    ("the first link may hang on any manifest", chain, "run.last_hash = first_link(key, manifest.encode())", "pass"),
    ("holes in seq are not told", chain, "run.gaps.append(Gap(run.next_seq, seq - 1, offset))", "pass"),
    ("a run may begin anywhere", chain, "run.gaps = [Gap(0, seq - 1, offset)]", "pass"),
    ("nobody asks how the run before ended", chain, "self._previous.append((*named, offset))", "pass"),
    ("another record of the same seq is a duplicate", chain, "if known == hashed:", "if True:"),
    ("what is sent twice counts twice", chain, "self.duplicates += 1", "self.counted(item)"),
    ("corrupt records leave holes, too", chain, "if len(mine) < missing:", "if True:"),
    ("what was sealed is not compared", sealed, "list(islice(ahead, len(entries))) == entries:", "True:"),
    ("what is sealed and gone is not told", sealed, "= sealed\n        self._grow()", "= sealed\n        self._gone = {}"),
    ("the broker's time is not compared", sealed, "if sealed.offset == here.offset:\n", "if False:\n"),
    ("places are not compared", sealed, "    self._moved.append(here.offset)\n                return", "    pass\n                return"),
    ("the tail is not told", sealed, "if tail:", "if False:"),
    ("retention is a fault", sealed, "while self._ahead and _sealed(self._ahead[0]).offset < self.low:", "while False:"),
    ("signatures are not verified", checkpoints, "verify(note, self.key)", "pass"),
    ("any log's checkpoint will do", checkpoints, "if checkpoint.origin != self.origin:", "if False:"),
    ("roots are not compared", checkpoints, "roots.get(c.size) != c.root]", "False]"),
    ("a checkpoint may be larger than the log", checkpoints, "if beyond:", "if False:"),
    ("old checkpoints may be said again", checkpoints, "if signed.size < largest:", "if False:"),
    ("two histories are none", checkpoints, "if other is not None:", "if False:"),
    ("what a seal tells of is not looked for", checkpoints, "self._unpublished.append((offset, size))", "pass"),
    ("the auditor's last note is not asked", checkpoints, "[*self.notes, self.anchor]", "self.notes"),
    ("unknown types are passed over", envelope, "if not 0 < number < len(types):", "if False:"),
    ("bytes between fields and trailer are passed over", envelope, "if at != len(value) - TRAILER_BYTES:", "if False:"),
    ("a key's id is not compared", note, "if key.id != id_:", "if False:"),
    ("foreign messages are no finding", verifier, 'self.findings.mark("UNDECIDABLE", offset, told)', "pass"),
    ("a set clock is not told", clocks, "if abs(moved) >", "if False and 0 >"),
    ("sleep is not told", clocks, "if abs(asleep) > STEP_NS:", "if False:"),
    ("a reboot is not told", clocks, "if before is not None and before != boot_id", "if False"),
    ("a steered clock is a set one", clocks, "> STEP_NS + SLEWED_PER_NS * (boot_ns - before[2])", "> STEP_NS"),
    ("every process tells the same step", clocks, "if same and after < upto:", "if False:"),
    ("what was altered tells of clocks", clocks, "if c.before not in doubtful and c.offset not in doubtful", ""),
    ("a log that can't be placed tells of clocks", clocks, "if self.findings.somewhere():", "if False:"),
    ("anybody's anchor will do", checkpoints, "and not self._is_witnessed(anchor):", "and False:"),
    ("a record may say another run than its key", verifier, 'if record["run_id"] != key:', "if False:"),
]  # fmt: skip


def put_in(monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str) -> None:
    """The module with one place changed, where the verifier uses it."""
    source = Path(str(module.__file__)).read_text()
    assert source.count(old) == 1, f"{old!r} is {source.count(old)} times in {module.__name__}"
    mutant = types.ModuleType(module.__name__)
    exec(compile(source.replace(old, new), str(module.__file__), "exec"), mutant.__dict__)
    for name, kept in vars(module).items():  # what is raised must be what is caught
        if isinstance(kept, type) and issubclass(kept, Exception):
            setattr(mutant, name, kept)
    users = {
        chain: [(verifier, "Chain")],
        sealed: [(verifier, "SealedOrder")],
        checkpoints: [(verifier, "Checkpoints")],
        verifier: [(copy, "Verifier")],
        clocks: [(verifier, "Clocks")],
        envelope: [(verifier, "read"), (chain, "read")],
        note: [(note, "parse_key")],
    }
    for user, name in users[module]:
        monkeypatch.setattr(user, name, getattr(mutant, name))


def noticed() -> str | None:
    """The first fixture of the corpus that comes out otherwise than it should; None: all are as ever."""
    for name, log in (("the clean log", LOG), ("without tiles", LOG.but(entries=None))):
        if log.verify(KEYS, ANCHOR, KNOWN_TYPES).findings:
            return name
    for what, fault, kind, where in CORPUS:
        findings = found(fault(LOG), None if what in FIRST_AUDITS else ANCHOR)
        if {f.kind for f in findings} != {kind} or (where != "*" and findings[0].where != where):
            return what
    twice = made("duplicate")(LOG).verify(KEYS, ANCHOR, KNOWN_TYPES)
    if ([f.kind for f in twice.findings], twice.records) != (["DUPLICATE"], len(LOG.items)):
        return "a record twice"
    if [f.kind for f in pruned_log().verify(KEYS, ANCHOR, KNOWN_TYPES).findings] != ["PRUNED"]:
        return "what retention took"
    told = a_log_of_clocks().verify(KEYS, None, KNOWN_TYPES).findings
    if sorted((f.kind, f.count) for f in told) != [(k, 1) for k in ("CLOCK_STEP", "REBOOT", "SUSPEND", "UNANCHORED")]:
        return "clocks: a step that two saw, sleep, a reboot, and a clock that is steered"
    if [f.kind for f in LOG.verify((*KEYS, WITNESS), ANCHOR, KNOWN_TYPES).findings] != ["CORRUPT"]:
        return "an anchor that the witness has not cosigned"
    for fault in ("chain", "tree"):  # of clocks that were made up nothing is told
        if {f.kind for f in made(fault)(LOG).verify(KEYS, ANCHOR, KNOWN_TYPES).findings} != {"ALTERED"}:
            return f"{fault}: and no clock is told of"
    for what, log, kind in more_faults():
        if {f.kind for f in found(log, None)} != {kind}:
            return what
    try:
        note.parse_key("sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8")
    except note.NoteError:
        return None
    return "a key with another's id"


@cache
def a_log_of_clocks() -> Copy:
    """Two processes see the wall clock go back an hour, and sleep; a third starts on another boot; in between a clock is steered."""
    run = Run(40)
    for slot in range(40):
        if slot == 5:
            run.wall_ahead_ms = -3_600_000
        if slot == 10:
            run.slept_ms = 90_000
        if slot == 12:  # a day and a half of silence, steered by less than 500 ppm
            run.boot_ahead_ms += 130_000_000
            run.wall_ahead_ms += 130_000_000 + 60_000
        if slot == 20:
            run.boot_id, run.boot_ahead_ms = bytes(15) + b"\x02", 0.0
            for number, name in enumerate(("sealer", "scheduler", "node"), 7):
                run.start(name, number, run.boot_id)
        run.tick(slot, ("ok",))
    run.seal()
    return run.copy()


def more_faults() -> list[tuple[str, Copy, str]]:
    """What only a writer can do wrong, and what only shows without tiles."""
    bare = LOG.but(entries=None)
    return [
        ("another manifest under the same chain", writer_lies(0, manifest=True), "ALTERED"),
        ("two records of one seq", bare.but(items=(*bare.items, forged(LOG.items[TICK]))), "FORKED"),
        ("bytes between fields and trailer", writer_lies(TICK, padding=b"\0"), "UNDECIDABLE"),
        ("another run in the fields than in the key", writer_lies(TICK, run=True), "ALTERED"),
        ("one changed, no tiles", made("chain")(bare), "ALTERED"),
        ("a checkpoint of another log", LOG.but(notes=(*a_log(origin="icn/audit/c/icn.metrics/other/0").notes,)), "CORRUPT"),
        ("a checkpoint that says another log, signed by this one's key", LOG.but(notes=(*LOG.notes, of_another_log())), "CORRUPT"),
        ("time changed beside a record twice", made("duplicate", TICK + 4)(made("time")(LOG)), "ALTERED"),
        ("all records one place later", LOG.but(items=tuple(i._replace(offset=i.offset + 1) for i in LOG.items)), "ALTERED"),
        ("a run that begins at 1", bare.but(items=bare.items[1:]), "MISSING"),
        ("a corrupt record of nobody", with_item(bare, 0, LOG.items[0]._replace(key=bytes(16))), "CORRUPT"),
    ]  # fmt: skip


def of_another_log() -> bytes:
    """The right key's signature under a text that names another log."""
    last = note.parse_checkpoint(note.parse_note(LOG.notes[-1]).text)
    text = last._replace(origin="icn/audit/other").text
    return str(note.Note(text, (note.sign(text, ORIGIN, SEALER),))).encode()


def forged(item: Item) -> Item:
    """The same seq with another field, at the end of the log."""
    from streams.audit.tampering.tamper import rewrite

    log = LOG.but(items=(item,))
    return rewrite(log, 0, lambda v: v[:60] + bytes([v[60] ^ 1]) + v[61:]).items[0]._replace(offset=len(LOG.items))


def writer_lies(at: int, manifest: bool = False, padding: bytes = b"", run: bool = False) -> Copy:
    """A log, its tiles not at hand, in which one record is odd from the start; all hashes and links fit."""
    from streams.audit.layout import record_hash

    def lie(item: Item) -> Item:
        if item.offset != at:
            return item
        assert item.value is not None and item.key is not None
        value = item.value
        if manifest:  # a digit in the manifest; prev_hash stays that of the true one
            value = value.replace(b'"previous":null', b'"previous":nulx'.replace(b"nulx", b"[  ]"), 1)
        if run:
            value = value.replace(item.key, bytes(16), 1)
        value = value[:-72] + padding + value[-72:]
        return item._replace(value=value[:-32] + record_hash(LOG.manifest.topic, item.key, value))

    return a_log(change=lie).but(entries=None)


def test_the_corpus_is_as_it_should_be_with_the_verifier_as_it_is() -> None:
    """Else nothing below means anything."""
    assert noticed() is None


@pytest.mark.parametrize(("what", "module", "old", "new"), MUTANTS, ids=[row[0] for row in MUTANTS])
def test_a_check_that_is_taken_out_is_noticed(
    what: str, module: ModuleType, old: str, new: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of what notices what is printed by `-s`."""
    put_in(monkeypatch, module, old, new)

    by = noticed()
    print(f"\n{what}: {by}")
    assert by is not None
