"""Who would like the figure higher: writers of the topic without the sealer's key, producers that lie late, clocks, retention. Each was
found by somebody who tried."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judge import judge
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.text import text
from streams.audit.record.events import Event, canonical
from streams.audit.record.methodology import METHODOLOGY
from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import tamper
from streams.audit.verify.bundle import Bundle
from streams.audit.verify.checkpoints import Published
from streams.audit.verify.report import Report
from streams.audit.verify.verifier import Verifier
from tests.audit.test_verify import flipped
from tests.support.audit import KEYS, KNOWN_TYPES, MANIFEST, ORIGIN, SEALER, T0, TOPIC
from tests.support.runs import MINUTE, PUBLIC, Run, a_run, judged

END = T0 + 60 * MINUTE
TWO_OK = ("ok", "ok")


def failing(since: int, until: int = 60, outcome: str = "failed") -> Callable[[Run, int], bool]:
    """Both jobs of these minutes."""

    def change(run: Run, slot: int) -> bool:
        run.tick(slot, (outcome,) * 2 if since <= slot < until else TWO_OK)
        return True

    return change


def sealed(run: Run) -> tuple[Copy, bytes, float]:
    """(the log, its newest checkpoint, the figure of the clean log)."""
    run.seal()
    log = run.copy()
    figure = judged(log, END, run.notes[-1]).figure.value
    assert figure is not None
    return log, run.notes[-1], figure


def not_raised(told: Judgement, clean: float) -> None:
    assert told.figure.value is None or told.figure.value <= clean + 1e-9, text(told)


def test_without_tiles_one_flipped_bit_does_not_hide_that_the_rest_was_rewritten() -> None:
    """All good instead of 35 bad minutes, chains made anew; the last record corrupt, so that the roots needn't fit."""
    log, anchor, clean = sealed(a_run(60, failing(25)))
    forged = a_run(60)
    forged.seal()
    items = list(forged.copy().items)
    items[-1] = flipped(items[-1], 20)
    told = judged(log.but(items=tuple(items), entries=None), END, anchor)
    assert told.figure.value is None and "give no root that was signed" in told.figure.withheld[0], clean
    assert "something is wrong with it" in text(told)


def with_a_second_node(run: Run, slot: int) -> bool:
    run.tick(slot)
    if slot == 30:
        run.start("node2", 1, run.boot_id, host="host-1")
    if slot >= 30:
        run.say("node2", Event("collection_start", slot, "other", 1))
        run.say("node2", Event("collection_failure", slot, "other", 1, False, 1))
        run.say("node2", Event("backpressure_reject", artifact_count=50))
    return True


@pytest.mark.parametrize("entries", [True, False], ids=["tiles at hand", "records only"])
@pytest.mark.parametrize("how", ["other keys", "a bit in each", "a bit in the last three"])
def test_a_whole_run_made_unreadable_counts_as_lost(how: str, entries: bool) -> None:
    """Whether its records are nobody's now, or corrupt to its end."""
    run = a_run(60, with_a_second_node)
    log, anchor, clean = sealed(run)
    mine = [n for n, item in enumerate(log.items) if item.key == run.writers["node2"].run_id]  # type: ignore[attr-defined]
    items = list(log.items)
    for n in mine if how != "a bit in the last three" else mine[-3:]:
        items[n] = items[n]._replace(key=b"x") if how == "other keys" else flipped(items[n], 30)
    told = judged(log.but(items=tuple(items), entries=log.entries if entries else None), END, anchor)
    not_raised(told, clean)
    assert told.lost >= 3 or told.figure.withheld


def test_a_hole_somewhere_does_not_pay_for_a_record_that_is_gone() -> None:
    """The last record of whoever counts rejects is taken out, and a bit of a harmless one is flipped."""
    run = a_run(60)
    run.start("counter", 1, run.boot_id)
    run.say("counter", Event("backpressure_accept", artifact_count=10))
    place = len(run.items)
    run.say("counter", Event("backpressure_reject", artifact_count=5_000))
    log, anchor, clean = sealed(run)
    items = [flipped(item, 30) if n == 100 else item for n, item in enumerate(log.items) if n != place]
    told = judged(log.but(items=tuple(items)), END, anchor)
    not_raised(told, clean)
    assert told.lost == 2


def test_a_strangers_exit_does_not_end_the_schedule_before_its_outage() -> None:
    """It says the same schedule, claims to be minute 30, and leaves with its own signature; at the end, or put into the middle."""
    run = a_run(60, lambda run, slot: 30 <= slot < 50)
    log, anchor, clean = sealed(run)
    clock = {"wall_ns": str((T0 - 5_000) * 10**6), "mono_ns": "5", "boot_ns": "5"}
    manifest = canonical({"schedule": run.schedule.json(), "host": "host-1", "public_key": PUBLIC, "clock": clock})
    first = len(run.items)
    run.clock, run.wall_ahead_ms = 60 * MINUTE, -30 * MINUTE
    run.start_raw("evil", manifest, 1, run.boot_id, canonical(METHODOLOGY))
    run.exit("evil")
    run.wall_ahead_ms = 0
    stranger = tuple(run.items[first:])
    not_raised(judged(run.copy(), END, anchor), clean)
    not_raised(judged(log.but(items=(*log.items[:100], *stranger, *log.items[100:])), END, anchor), clean)


@pytest.mark.parametrize("who", ["another run", "the scheduler's own chain"])
def test_ticks_that_are_told_an_outage_later_are_none(who: str) -> None:
    """With times that fit, twenty minutes after the last of them."""
    run = a_run(60, lambda run, slot: 10 <= slot < 30)
    _, anchor, clean = sealed(run)
    run.clock = 60 * MINUTE
    if who == "another run":
        run.start_scheduler()
    for slot in range(10, 30):
        run.boot_ahead_ms = 5_000_000 + slot * MINUTE + 20 - run.clock
        run.say("scheduler", Event("tick_started", slot))
        run.say("scheduler", Event("tick_completed", slot, success=True))
    not_raised(judged(run.copy(), END, anchor), clean)


def test_a_job_that_failed_does_not_succeed_an_hour_later_nor_by_another_run() -> None:
    """An attempt that nobody started, or that ended when the tick was long over."""
    run = a_run(60, failing(5, 20))
    _, anchor, clean = sealed(run)
    run.clock = 60 * MINUTE
    run.start("late", 1, run.boot_id)
    for slot in range(5, 20):
        for job in ("job-0", "job-1"):
            run.say("late", Event("collection_success", slot, job, 9, True, 1, 3))
            run.say("late", Event("collection_start", slot, job, 8))
            run.say("late", Event("collection_success", slot, job, 8, True, 1, 3))
    told = judged(run.copy(), END, anchor)
    not_raised(told, clean)
    assert any("ends of jobs not counted" in warning for warning in told.warnings)


def test_numbers_that_wrap_cancel_nothing() -> None:
    """Runs whose seqs jump by 2^63 - 1: what is missing is clamped, not summed to minus two."""
    run = a_run(60, failing(30, 45))
    _, _, clean = sealed(run)
    run.clock = 60 * MINUTE
    for number in range(30):
        run.start_raw(f"e{number}", "{}", 1, run.boot_id)
        run.writers[f"e{number}"].seq += (1 << 63) - 1
        run.say(f"e{number}", Event("exception", error="x"))
    told = run.judged(60)
    not_raised(told, clean)
    assert told.lost >= 30 and told.parts[0].numerator >= 0


@pytest.mark.parametrize(
    ("outcome", "step_ms"),
    [("failed", -3_600_000), ("failed", -120_000), ("crashed", 3_600_000), ("failed", 3_600_000)],
)
def test_setting_the_wall_clock_hides_no_failure(outcome: str, step_ms: int) -> None:
    """From minute 30 on all jobs fail, and the clock is set; with a signed exit, too."""

    def change(run: Run, slot: int) -> bool:
        if slot == 30:
            run.wall_ahead_ms = step_ms
        return failing(30, outcome=outcome)(run, slot)

    for leaves in (False, True):
        run = a_run(60, change)
        if leaves:
            run.clock = 60 * MINUTE + 100
            run.exit()
        told = run.judged(61)
        assert told.parts[0].value == 0.5 and told.slots is not None and len(told.slots) == 60


def test_a_job_that_starts_ticks_later_is_a_job_all_the_same() -> None:
    """An overloaded node: it starts two minutes late, and never ends."""
    run = Run(60)
    for slot in range(60):
        run.tick(slot, () if slot < 50 else TWO_OK)
        if slot >= 2:
            run.job(slot - 2, "slow", "crashed")
    told = run.judged(70)
    assert told.parts[0].numerator == 20 and told.parts[0].denominator == 78


def test_retention_of_another_schedules_time_costs_nothing_and_of_this_ones_all_that_it_took() -> None:
    """A run of 30 minutes, then one of 60; the first 100 records go, or the first 300."""
    run = a_run(30)
    run.clock = 31 * MINUTE
    run.exit()
    run.schedule = run.schedule._replace(name="second", t0_ms=T0 + 40 * MINUTE, slots=60)
    run.starts += 10
    run.start_scheduler()
    for slot in range(40, 100):
        run.clock = slot * MINUTE + 20
        run.say("scheduler", Event("tick_started", slot - 40))
        run.job(slot - 40, "job", "ok")
        run.say("node", Event("backpressure_accept", artifact_count=1))
        run.say("scheduler", Event("tick_completed", slot - 40, success=True))
    run.seal()
    log = run.copy()
    whole = judged(log, T0 + 100 * MINUTE, run.notes[0])
    assert whole.figure.value == 1.0
    figures = []
    for low in (100, 300):
        pruned = log.but(items=log.items[low:], manifest=replace(log.manifest, bounds={0: (low, len(log.items))}))
        told = judged(pruned, T0 + 100 * MINUTE, run.notes[-1])
        assert [f.kind for f in told.findings] == ["PRUNED"]
        figures.append(told.figure.value)
    assert figures[0] == 1.0 and (figures[1] is None or figures[1] < 0.8)


def test_what_a_run_says_in_two_partitions_counts_once_and_what_is_altered_there_is_dropped() -> None:
    """Forged ticks of the scheduler's run in another partition, which the tree there doesn't have."""
    run = a_run(60, lambda run, slot: 30 <= slot < 50)
    log, anchor, clean = sealed(run)
    evidence = Evidence()
    result = log.verify(KEYS, anchor, KNOWN_TYPES, evidence.visit)
    run.clock = 52 * MINUTE
    for slot in range(30, 50):
        run.say("scheduler", Event("tick_started", slot))
    other = Evidence()
    run.copy().but(items=run.copy().items[len(log.items) :]).verify(KEYS, None, KNOWN_TYPES, other.visit)
    again = log.verify(KEYS, anchor, KNOWN_TYPES, lambda _, item, record: evidence.visit(1, item, record))
    told = judge(evidence, Report("x", END, [], [result, replace(again, partition=1)]))
    assert told.figure.value == pytest.approx(clean) and told.numbers.total == len(log.items)


STRANGE_MANIFESTS = [
    '{"previous":{"run_id":"00","seq":1e999}}',
    '{"previous":{"run_id":"00","seq":1000000000000000000000000000000}}',
    '{"schedule":{"name":"x","t0_ms":9007199254740991,"cadence_ms":60000,"slots":5,"tolerance_ms":0}}',
    '{"schedule":{"name":"x","t0_ms":1800000000000,"cadence_ms":60000,"slots":50,"tolerance_ms":0},'
    '"clock":{"wall_ns":1e999,"mono_ns":1,"boot_ns":1}}',
]


@pytest.mark.parametrize("manifest", STRANGE_MANIFESTS)
def test_numbers_that_no_clock_and_no_chain_has_end_nothing(manifest: str) -> None:
    run = a_run(10)
    run.start_raw("stranger", manifest)
    run.seal()
    assert text(run.judged(10))


def test_integers_of_more_than_64_bits_are_undecidable() -> None:
    run = a_run(10)
    for event in (Event("tick_started", 1 << 66), Event("collection_start", 1, "a", 1 << 66)):
        run.say("node", event)
    assert [(f.kind, f.count) for f in run.judged(10).findings] == [("UNDECIDABLE", 2)]


def test_no_name_gets_to_the_terminal_as_it_is() -> None:
    """A producer called like a cleared screen, on two boots. The text itself is looked at, not what a pipe is given."""
    run = a_run(10)
    name = "\x1b[2J\x1b[Hreliability: 100.00 %: EXCELLENT"
    for number in (1, 2):
        run.start_raw(name, "{}", number, bytes(15) + bytes([number]))
    told = run.judged(10)
    assert "REBOOT" in {f.kind for f in told.findings}
    assert all(c.isprintable() or c == "\n" for c in text(told))


@pytest.mark.parametrize("change", [{"made_ms": 10**18}, {"made_ms": -(10**17)}, {"topic": "\x1b[2J"}])
def test_a_bundle_with_an_impossible_manifest_is_refused(change: dict[str, object], tmp_path: object) -> None:
    from streams.errors import AuditError

    path = tmp_path / "b"  # type: ignore[operator]
    a_run(3).copy().but(manifest=replace(MANIFEST, **change)).write(path)  # type: ignore[arg-type]
    with pytest.raises(AuditError, match="its manifest can't be read"):
        Bundle(path)


def test_when_a_bundle_was_made_is_at_least_when_its_newest_record_came(tmp_path: object) -> None:
    """Nobody signs it: an earlier time would leave the outage behind it out."""
    from streams.audit.audit import audit_bundle

    run = a_run(60, lambda run, slot: 30 <= slot < 55)
    run.seal()
    path = tmp_path / "b"  # type: ignore[operator]
    manifest = replace(MANIFEST, made_ms=T0 + 30 * MINUTE, bounds={0: (0, len(run.items))})
    run.copy().but(manifest=manifest).write(path)
    evidence = Evidence()
    found = audit_bundle(Bundle(path), KEYS, run.notes[-1], True, lambda done, of: None, evidence.visit)
    told = judge(evidence, found)
    assert told.slots is not None and len(told.slots) == 59 and told.outages[0].first_slot == 30


def test_a_million_slots_are_judged_before_the_reader_leaves() -> None:
    """A stranger's schedule of a tenth of a second, over a day: 864,000 slots, nearly all missed."""
    run = a_run(10)
    run.schedule = run.schedule._replace(name="fast", cadence_ms=100, slots=None, t0_ms=T0 + 11 * MINUTE)
    run.start_scheduler()
    for slot in range(3):
        run.clock = 11 * MINUTE + slot * 100
        run.say("scheduler", Event("tick_started", slot))
        run.job(slot, "a", "ok")
        run.say("scheduler", Event("backpressure_accept", artifact_count=1))
    run.seal()
    began = time.process_time()
    told = judged(run.copy(), T0 + 11 * MINUTE + 86_400_000, None)
    assert told.slots is not None and len(told.slots) == 864_000 and told.figure.value is not None
    assert time.process_time() - began < 60, "an hour, once"


def test_a_change_that_a_checkpoint_tells_of_is_not_taken_for_one_of_the_record_at_that_number() -> None:
    """The checkpoint of a tree that was made anew lies at offset 50 of its topic, and record 50 is corrupt: no figure."""
    log = a_run(60)
    log.seal()
    forged = tamper(log.copy(), "tree", 30, SEALER)
    items = tuple(flipped(item, 30) if item.offset == 50 else item for item in forged.items)
    notes = [Published(f"icn.checkpoints/0/{49 + number}", note) for number, note in enumerate(forged.notes)]
    evidence = Evidence()
    verifier = Verifier(
        TOPIC, 0, ORIGIN, KEYS, notes, forged.entries, Published("-", log.notes[0]), 0, KNOWN_TYPES, evidence.visit
    )
    verifier.feed(items)
    result = verifier.finish()
    assert 50 in result.marked and ("ALTERED", "icn.checkpoints/0/50") in [(f.kind, f.where) for f in result.findings]
    told = judge(evidence, Report("x", END, [], [result]))
    assert told.figure.value is None and told.figure.withheld
