"""The judge: each figure is the one a person gets with a pencil, and no fault of the record ever raises it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.audit.judge.believed import believe
from streams.audit.judge.components import WEIGHTS, components, worst_ratios
from streams.audit.judge.composite import weighted
from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.slots import schedules, slots_of
from streams.audit.record.events import Event
from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import FAULTS, tamper
from streams.audit.verify.report import Report
from streams.errors import AuditError
from tests.support.audit import KEYS, KNOWN_TYPES, SEALER, T0
from tests.support.runs import MINUTE, Run, a_run


def values(told: Judgement) -> dict[str, float | None]:
    return {part.name: None if part.value is None else round(part.value, 6) for part in told.parts}


def residuals(told: Judgement) -> list[int]:
    return [equation.residual for equation in told.equations]


def test_a_run_in_which_nothing_happened_is_excellent_and_its_bound_is_the_rule_of_three() -> None:
    """Two hours: at most 3/2 of all hours are bad, so nothing is known yet. 72 hours: 95.8 %."""
    told = a_run(120).judged()
    assert values(told) == dict.fromkeys(WEIGHTS, 1.0)
    assert (told.figure.value, told.figure.low, told.figure.verdict) == (1.0, 0.0, "EXCELLENT")
    told = a_run(72 * 60).judged()
    assert told.figure.low == pytest.approx(1 - 2.996 / 72, abs=1e-4), "72 clean hours"
    assert told.outages == [] and residuals(told) == [0, 0, 0]


def test_the_figure_is_the_one_computed_by_hand() -> None:
    """100 minutes of two jobs: 10 without a tick, 4 failed jobs, 1 that never ended, 50 of 1,000 rejected; ticks 0 or 2 s late in turn."""

    def faults(run: Run, slot: int) -> bool:
        if 30 <= slot < 40:
            return True
        jobs = ("ok", "failed") if slot in (5, 6, 7, 8) else ("ok", "crashed") if slot == 50 else ("ok", "ok")
        run.tick(
            slot, jobs, late_ms=2_000 * (slot % 2), accepts=950 if slot == 60 else 0, rejects=50 if slot == 60 else 0
        )
        return True

    told = a_run(100, faults).judged()
    spread_s = (90 / 89) ** 0.5  # 45 times 0 s, 45 times 2 s: each 1 s from the mean
    by_hand = {
        "job_success": 175 / 180,
        "availability": 90 / 100,
        "gap_rate": 90 / 100,
        "drift_score": 1 / (1 + spread_s),
        "backpressure_rate": 950 / 1000,
    }
    assert values(told) == {name: round(value, 6) for name, value in by_hand.items()}
    figure = 0.45 * 175 / 180 + 0.25 * 0.9 + 0.10 * 0.9 + 0.10 / (1 + spread_s) + 0.10 * 0.95
    assert told.figure.value == pytest.approx(figure) and told.figure.verdict == "NEEDS IMPROVEMENT"
    assert [(o.first_slot, o.last_slot, o.lost) for o in told.outages] == [
        (5, 8, {"job_success": 4}),
        (30, 39, {"availability": 10, "gap_rate": 10}),
        (50, 50, {"job_success": 1}),
        (60, 60, {"backpressure_rate": 50}),
    ]
    assert told.overlap == {"job_success": 5, "availability + gap_rate": 10, "backpressure_rate": 1}
    assert residuals(told) == [0, 0, 0] and told.worst is not None and told.worst.name == "drift_score"


@pytest.mark.parametrize(
    ("outcome", "good", "of"),
    [
        ("ok", 10, 10),
        ("failed", 9, 10),
        ("empty", 9, 10),  # nothing found is no success
        ("unchanged", 9, 9),  # the source itself said so: in no rate
        ("retried", 10, 10),  # the last attempt decides, and the job is one
        ("crashed", 9, 10),  # no end is a failure
    ],
)
def test_a_job_counts_once_and_by_its_last_attempt(outcome: str, good: int, of: int) -> None:
    """Ten jobs, one of them so."""
    told = a_run(10, lambda run, slot: bool(run.tick(slot, (outcome,) if slot == 4 else ("ok",))) or True).judged()
    job_success = told.parts[0]
    assert (job_success.numerator, job_success.denominator) == (good, of)
    assert residuals(told) == [0, 0, 0]


def test_nobody_adds_a_job_to_what_was_promised() -> None:
    """A node's run tells of jobs that whoever emits the ticks never started, and of one that it did, with another end: the worst counts."""
    run = a_run(9)
    run.clock = 8 * MINUTE + 20
    run.say("scheduler", Event("tick_started", 8))
    for number in range(100):
        run.say("node", Event("collection_start", 8, f"mine-{number}", 1))
        run.say("node", Event("collection_success", 8, f"mine-{number}", 1, True, 10**9, 3))
    run.job(8, "ours", "ok")
    run.say("node", Event("collection_start", 8, "ours", 1))
    run.say("node", Event("collection_failure", 8, "ours", 1, False, 10**9))
    run.say("scheduler", Event("tick_completed", 8, success=True, duration_ns=10**9))
    job_success = run.judged().parts[0]
    assert (job_success.numerator, job_success.denominator) == (18, 19)


def test_a_job_that_has_just_begun_is_in_no_rate_yet() -> None:
    """Started 10 s before the cut: it still has time. The same job an hour later has failed."""
    run = a_run(9)
    run.clock = 9 * MINUTE
    run.say("scheduler", Event("tick_started", 8))
    run.clock = 9 * MINUTE - 10_000
    run.job(8, "late", "crashed")
    now, later = run.judged(9), run.judged(69)
    assert now.slots is not None and (now.slots.jobs.censored, now.parts[0].denominator) == (1, 18)
    assert later.slots is not None and (later.slots.jobs.censored, later.parts[0].denominator) == (0, 19)


def test_no_evidence_is_bad_evidence() -> None:
    """A scheduler that never said a word after its start: every slot is missed, and the rest can't be judged."""
    told = Run(60).judged()
    assert values(told) == {
        "job_success": None,
        "availability": 0.0,
        "gap_rate": 0.0,
        "drift_score": None,
        "backpressure_rate": None,
    }
    assert (told.figure.value, told.figure.verdict) == (None, "WITHHELD")
    assert told.figure.withheld == [
        f"{name}: NOT EVALUABLE" for name in ("job_success", "drift_score", "backpressure_rate")
    ]


def test_a_crash_is_down_until_the_next_start_and_the_schedule_goes_on() -> None:
    """Killed in minute 20, started again in minute 25: five slots, one outage, and no slot is squeezed in afterwards."""

    def crash(run: Run, slot: int) -> bool:
        if slot == 25:
            run.clock = 25 * MINUTE - 30_000
            run.start_scheduler()
        return 20 <= slot < 25

    told = a_run(60, crash).judged()
    assert values(told)["availability"] == values(told)["gap_rate"] == round(55 / 60, 6)
    assert [(o.first_slot, o.last_slot) for o in told.outages] == [(20, 24)]
    assert "scheduler said nothing more, and no exit" in told.outages[0].said
    assert "whoever emits the ticks ended without an exit 1 time" in told.warnings


def test_a_run_that_was_stopped_is_judged_as_far_as_it_came_and_says_so() -> None:
    """A signed exit after 30 of 60 minutes; one that isn't signed by the run's key is a crash, and the rest of the schedule is down."""
    run = a_run(30)
    run.schedule = run.schedule  # the manifest promised as many
    half = Run(60)
    for slot in range(30):
        half.tick(slot)
    half.clock = 30 * MINUTE + 1_000
    half.exit()
    told = half.judged()
    assert told.coverage == (0.5, 1.0) and values(told)["availability"] == 1.0
    assert "stopped by a signed exit after 30 of 60 ticks: the other 30 are in no figure" in told.warnings
    forged = Run(60)
    for slot in range(30):
        forged.tick(slot)
    forged.say("scheduler", Event("process_exit", payload={"code": 0, "signature": bytes(64)}))
    told = forged.judged()
    assert told.coverage == (1.0, 1.0) and values(told)["availability"] == 0.5


def test_a_tick_that_starts_when_the_next_is_due_was_missed() -> None:
    told = a_run(20, lambda run, slot: bool(run.tick(slot, late_ms=61_000 if slot == 19 else 0)) or True).judged(21)
    assert residuals(told) == [0, 0, 0] and values(told)["availability"] == 0.95
    assert values(told)["gap_rate"] == 0.95 and told.slots is not None and told.slots.ticks.too_late == 1


def test_setting_the_wall_clock_changes_no_figure() -> None:
    """An hour back in minute 30: lateness is of the boot clock, and the step is told once, though three processes saw it."""

    def step(run: Run, slot: int) -> bool:
        if slot == 30:
            run.wall_ahead_ms = -3_600_000
        return False

    clean, told = a_run(60).judged(), a_run(60, step).judged()
    assert values(told)["drift_score"] == values(clean)["drift_score"] == 1.0
    assert [(f.kind, f.detail) for f in told.findings] == [("CLOCK_STEP", "the wall clock went by -3600.0 s")]


def test_sleep_is_an_outage_and_is_told_as_sleep() -> None:
    """The machine sleeps through five minutes: the boot clock goes on, so the slots are missed."""

    def sleep(run: Run, slot: int) -> bool:
        if slot == 15:
            run.slept_ms += 5 * MINUTE
        return 10 <= slot < 15

    told = a_run(60, sleep).judged()
    assert [(f.kind, f.detail) for f in told.findings] == [("SUSPEND", "asleep for 300.0 s")]
    assert values(told)["availability"] == round(55 / 60, 6) and values(told)["drift_score"] == 1.0


def test_after_a_reboot_the_schedule_is_anchored_anew() -> None:
    """Another boot id, a boot clock from 0: ticks are as punctual as before, and the reboot is told."""

    def reboot(run: Run, slot: int) -> bool:
        if slot == 13:
            run.clock = 13 * MINUTE - 20_000
            run.boot_id, run.boot_ahead_ms = bytes(15) + b"\x02", -run.clock + 30_000
            run.start_scheduler()
            run.start("node", 2, run.boot_id, host="host-1")
            run.start("sealer", 2, run.boot_id)
        return 10 <= slot < 13

    told = a_run(60, reboot).judged()
    assert [f.kind for f in told.findings] == ["REBOOT"]
    assert values(told)["drift_score"] == 1.0 and values(told)["gap_rate"] == round(57 / 60, 6)


# -- what no fault of the record may do -------------------------------------


def point(log: Copy, slots: int, anchor: bytes) -> float:
    """The headline without its interval; -1: withheld."""
    evidence = Evidence()
    result = log.verify(KEYS, anchor, KNOWN_TYPES, evidence.visit)
    believed = believe(evidence, Report("-", 0, [], [result]))
    known = schedules(believed)
    if believed.withheld or not known:
        return -1.0
    schedule = max(known, key=lambda one: one.t0_ms)
    there = slots_of(schedule, known[schedule], evidence, believed, T0 + slots * MINUTE)
    figure = weighted([part.value for part in components(there, worst_ratios(there))])
    return -1.0 if figure is None else figure


def unhappy(run: Run, slot: int) -> bool:
    """A bit of everything: what a forger would like to lose."""
    if slot == 4:
        return True
    jobs = {2: ("ok", "failed", "failed"), 5: ("empty",), 6: ("crashed", "ok")}.get(slot, ("ok",))
    run.tick(slot, jobs, late_ms=20_000 if slot == 7 else 30 * slot, rejects=300 if slot == 3 else 0)
    return True


UNHAPPY = a_run(9, unhappy)
UNHAPPY.seal()
LOG, ANCHOR = UNHAPPY.copy(), UNHAPPY.notes[-1]  # the auditor has kept the newest checkpoint
CLEAN = point(LOG, 9, ANCHOR)


def test_no_fault_at_any_place_raises_the_figure() -> None:
    """Each fault that `icn audit tamper` knows, at each record, with a key of the forger's and with the sealer's."""
    tried = 0
    for fault in FAULTS:
        for key in (Ed25519PrivateKey.generate(), SEALER):
            for offset in range(1, len(LOG.items) - 1):
                try:
                    doctored = tamper(LOG, fault, offset, key)
                except AuditError:  # the last record of its run can't change places
                    continue
                assert point(doctored, 9, ANCHOR) <= CLEAN + 1e-12, f"{fault} at {offset}"
                tried += 1
    assert tried > 28 * (len(LOG.items) - 3)
    print(f"\n{tried} faults, none raised {CLEAN:.4f}")


def test_taking_any_two_records_out_raises_nothing() -> None:
    """Neighbours, and the end of the log from any place on."""
    for offset in range(1, len(LOG.items) - 2):
        assert point(LOG.but(items=(*LOG.items[:offset], *LOG.items[offset + 2 :])), 9, ANCHOR) <= CLEAN + 1e-12
        assert point(LOG.but(items=LOG.items[:offset]), 9, ANCHOR) <= CLEAN + 1e-12


def test_what_is_missing_counts_as_the_worst_and_the_best_case_stands_beside_it() -> None:
    """One record of a tick is gone: a job may have failed, and the slot is down; at best nothing happened."""
    run = a_run(120)
    clean = run.judged()
    offset = 301
    told = a_run(120).judged(change=lambda log: log.but(items=(*log.items[:offset], *log.items[offset + 1 :])))
    assert told.lost == 1 and clean.lost == 0
    assert told.figure.value is not None and clean.figure.value is not None and told.figure.best is not None
    assert told.figure.value < clean.figure.value and told.figure.best <= 1.0
    assert any("1 record gone" in warning for warning in told.warnings)


def test_two_signed_histories_leave_nothing_to_judge() -> None:
    told = a_run(30).judged(change=lambda log: tamper(log, "fork", 40, SEALER))
    assert told.figure.value is None and any("FORKED" in why for why in told.figure.withheld)


def test_the_same_log_gives_the_same_report_and_another_seed_is_not_to_be_had() -> None:
    """The bootstrap's seed is of the root: byte for byte the same, whoever runs it."""
    first, second = (a_run(90, unhappy_later).judged() for _ in range(2))
    assert (first.figure.seed, first.figure.resamples_sha256) == (second.figure.seed, second.figure.resamples_sha256)
    assert (first.figure.low, first.figure.high) == (second.figure.low, second.figure.high)
    other = a_run(91, unhappy_later).judged()
    assert other.figure.seed != first.figure.seed


def unhappy_later(run: Run, slot: int) -> bool:
    return slot in (30, 31, 50)


def test_simulated_load_is_told_first() -> None:
    run = a_run(20)
    told = replace(run.judged(), simulated=True)
    from streams.audit.judge.text import text

    assert text(told).startswith("SIMULATED LOAD")
