"""`icn audit report`: from a bundle, without a broker; the same bytes for the same log; a stranger's names do no harm."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from streams.audit.judge.evidence import Evidence
from streams.audit.judge.judge import judge
from streams.audit.judge.judgement import Judgement
from streams.audit.judge.page import page
from streams.audit.judge.text import text
from streams.audit.record.events import Event
from streams.audit.record.methodology import FORMULA
from streams.audit.tampering.copy import Copy
from streams.audit.tampering.tamper import tamper
from streams.audit.verify.report import Report
from tests.support.audit import KEYS, KNOWN_TYPES, MANIFEST, SEALER, T0
from tests.support.network import ROOT
from tests.support.runs import MINUTE, Run, a_run, write_sample

HOSTILE = "<script>alert('x')</script>"


def with_outage(run: Run, slot: int) -> bool:
    if slot == 30:
        run.say("node", Event("exception", error=HOSTILE))
    return slot in (30, 31)


RUN = a_run(90, with_outage)
RUN.seal()
ANCHOR = RUN.notes[-2]


def a_bundle(folder: Path, log: Copy | None = None) -> Path:
    """The run as a file, frozen when its schedule was over."""
    log = RUN.copy() if log is None else log
    manifest = replace(MANIFEST, made_ms=T0 + 90 * MINUTE, bounds={0: (0, len(log.items))})
    log.but(manifest=manifest).write(folder / "log.icnaudit")
    (folder / "anchor.note").write_bytes(ANCHOR)
    return folder / "log.icnaudit"


def report(bundle: Path, *arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """`icn audit report` as an auditor calls it."""
    return subprocess.run(
        [sys.executable, "-m", "streams", "audit", "report", str(bundle), "--key", str(KEYS[0]), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
        env={k: v for k, v in os.environ.items() if not k.startswith("ICN_")},
    )


def judged() -> tuple[Judgement, Evidence]:
    evidence = Evidence()
    result = RUN.copy().verify(KEYS, ANCHOR, KNOWN_TYPES, evidence.visit)
    return judge(evidence, Report("x", T0 + 90 * MINUTE, [], [result])), evidence


def test_an_auditor_gets_the_figure_from_a_bundle_and_the_first_page_has_what_they_would_ask(tmp_path: Path) -> None:
    """Exit 0; the formula verbatim; figure and bound on one line; eleven answers before anything else."""
    done = report(a_bundle(tmp_path), "--anchor", str(tmp_path / "anchor.note"))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("reliability: 99.22 %, 95 % interval ") and lines[0].endswith(
        ": EXCELLENT; too few outages to tell, see the interval"
    )
    assert lines[1] == f"formula v1: {FORMULA}"
    asked = [line for line in lines if line.startswith("? ")]
    assert len(asked) == 11 and lines.index(asked[-1]) < lines.index("conservation:")
    assert any("was sealed before the run began" in line for line in asked)
    assert "  90 ticks expected = 88 started + 2 missed    residual 0" in lines


def test_json_has_everything_and_no_nan(tmp_path: Path) -> None:
    done = report(a_bundle(tmp_path), "--anchor", str(tmp_path / "anchor.note"), "--json")
    told = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (told["slots"], told["verdict"], told["hours"]) == (90, "EXCELLENT", {"judged": 1.5, "planned": 1.5})
    assert [c["name"] for c in told["components"]] == [
        "job_success", "availability", "gap_rate", "drift_score", "backpressure_rate",
    ]  # fmt: skip
    assert told["outages"][0]["lost"] == {"availability": 2, "gap_rate": 2} and HOSTILE in told["outages"][0]["said"][0]
    assert told["numbers"]["total"] == told["types"]["seal"] + sum(n for t, n in told["types"].items() if t != "seal")
    assert set(told["numbers"]) == {
        "total", "successful", "failed", "success_rate", "mean_s", "median_s", "p95_s", "per_hour", "longest_gap_s",
    }  # fmt: skip


def test_a_log_with_a_finding_has_exit_code_1_and_an_empty_one_2(tmp_path: Path) -> None:
    doctored = report(a_bundle(tmp_path, tamper(RUN.copy(), "flip", 50, SEALER)), "--json")
    assert doctored.returncode == 1 and json.loads(doctored.stdout)["lost"] == 1
    empty = report(a_bundle(tmp_path, RUN.copy().but(items=(), entries=(), notes=())))
    assert empty.returncode == 2 and "verdict WITHHELD" in empty.stdout
    missing = report(a_bundle(tmp_path), "--schedule", "nosuch")
    assert missing.returncode == 2 and 'no schedule "nosuch"' in missing.stderr and "Traceback" not in missing.stderr


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(tmp_path: Path) -> None:
    """As after `scripts/demo`, which needs no statistics."""
    without = "import sys; sys.modules['arch'] = None; from streams.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "audit", "report", str(a_bundle(tmp_path)), "--key", str(KEYS[0])],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and "a report needs arch" in done.stderr and "scripts/setup judge" in done.stderr


def test_the_page_needs_nothing_else_and_a_strangers_names_are_text(tmp_path: Path) -> None:
    """Five pictures; no scripts, no links to elsewhere; what a log says is escaped."""
    done = report(a_bundle(tmp_path), "--html", str(tmp_path / "report.html"))
    text_of = (tmp_path / "report.html").read_text()
    assert done.returncode == 0 and text_of.count("<svg") == 5
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Reader().feed(text_of)
    assert not [tag for tag, _ in tags if tag in ("script", "link", "iframe", "img", "object")]
    assert not [
        a
        for _, at in tags
        for name, a in at.items()
        if name in ("src", "href", "xlink:href") and not (a or "").startswith("#")
    ]
    assert HOSTILE not in text_of and "&lt;script&gt;" in text_of


def test_the_same_log_gives_the_same_bytes_from_the_topic_and_from_the_bundle(tmp_path: Path) -> None:
    """Text and page, twice."""
    first, second = judged(), judged()
    assert text(first[0]) == text(second[0]) and page(*first) == page(*second)
    bundle = a_bundle(tmp_path)
    once, again = (report(bundle, "--json", "--anchor", str(tmp_path / "anchor.note")).stdout for _ in range(2))
    assert once == again and json.loads(once)["reliability"] == first[0].figure.value
    assert json.loads(once)["low"] == first[0].figure.low


def test_what_is_in_the_log_beside_the_schedule_that_is_judged_is_named() -> None:
    """The newest is judged; another one is named, and can be asked for."""
    run = a_run(30)
    run.clock = 31 * MINUTE
    run.exit()
    run.schedule = run.schedule._replace(name="second", t0_ms=T0 + 40 * MINUTE)
    run.starts += 10
    run.start_scheduler()
    for slot in range(40, 70):
        run.clock = slot * MINUTE
        run.say("scheduler", Event("tick_started", slot - 40))
        run.say("scheduler", Event("tick_completed", slot - 40, success=True, duration_ns=10**9))
    run.seal()
    evidence = Evidence()
    result = run.copy().verify(KEYS, None, KNOWN_TYPES, evidence.visit)
    for wanted, name, other in ((None, "second", "soak"), ("soak", "soak", "second")):
        told = judge(evidence, Report("x", T0 + 70 * MINUTE, [], [result]), wanted)
        assert told.schedule is not None and told.schedule.name == name and told.others[0].startswith(other)
        assert [part.value for part in told.parts[1:3]] == [1.0, 1.0]


def test_the_sample_in_the_docs_is_what_the_code_makes_and_the_docs_show_its_report(tmp_path: Path) -> None:
    """Byte for byte; each line of the report that docs/reliability.md quotes."""
    write_sample(tmp_path)
    kept = ROOT / "docs" / "samples"
    for name in ("run.icnaudit", "sealer.vkey", "kept.note"):
        assert (tmp_path / name).read_bytes() == (kept / name).read_bytes(), f"python -m tests.support.runs {kept}"
    done = report(Path("run.icnaudit"), "--anchor", "kept.note", cwd=kept)
    quoted = (
        (ROOT / "docs" / "reliability.md")
        .read_text()
        .split("```\n$ cd docs/samples")[1]
        .split("```")[0]
        .splitlines()[2:]
    )
    said = done.stdout.splitlines()
    assert len(quoted) > 30 and [line for line in quoted if line not in said and line != "…"] == []


@pytest.mark.parametrize(
    "manifest",
    [
        "[" * 100_000,
        '{"clock":{"wall_ns":"' + "9" * 4_000 + '","mono_ns":"1","boot_ns":"1"}}',
        '{"schedule":{"name":"x","t0_ms":0,"cadence_ms":1,"slots":null,"tolerance_ms":0}}',
        '{"schedule":{"name":"\\u001b[2J","t0_ms":0,"cadence_ms":60000,"slots":5,"tolerance_ms":0}}',
        '{"schedule":{"name":"x","t0_ms":-1,"cadence_ms":0,"slots":1e9,"tolerance_ms":"a"}}',
        '{"schedule":7,"host":["\\u001b[2J"],"simulated":"yes","public_key":3}',
        "null",
    ],
    ids=[
        "deep",
        "large numbers",
        "too many slots",
        "a name that clears the screen",
        "impossible",
        "other types",
        "null",
    ],
)
def test_a_manifest_that_means_harm_is_no_manifest_or_a_clear_error(tmp_path: Path, manifest: str) -> None:
    """No traceback, no escape sequences on the terminal, no memory for ever."""
    run = a_run(10)
    run.start_raw("stranger", manifest)
    run.say("stranger", Event("exception", error="\x1b[2J\nreliability: 100.00 %"))
    run.say("stranger", Event("tick_started", (1 << 62) - 1))
    run.say("stranger", Event("collection_start", 3, "\x1b[2J", (1 << 62) - 1))
    run.say("stranger", Event("backpressure_accept", artifact_count=(1 << 62) - 1))
    run.seal()
    done = report(a_bundle(tmp_path, run.copy()))
    assert done.returncode in (0, 1, 2) and "Traceback" not in done.stderr and "\x1b" not in done.stdout + done.stderr
    assert not [line for line in done.stdout.splitlines()[1:] if line.startswith("reliability")]
