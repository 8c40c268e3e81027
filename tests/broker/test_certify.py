"""`icn certify` as a stranger runs it: a trial, its control, a fault of the matrix, and the certificate."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.support.processes import clean_env


def icn(state: Path, *arguments: str, brokers: str = "") -> subprocess.CompletedProcess[str]:
    env = clean_env() | {"ICN_STATE": str(state)} | ({"ICN_BROKERS": brokers} if brokers else {})
    command = [sys.executable, "-m", "streams", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=600, check=False)


def test_a_trial_holds_its_control_is_noticed_and_both_are_signed(brokers: str, tmp_path: Path) -> None:
    """Of the adversary: with signatures that nobody checks, what it forges is admitted, and the trial says so."""
    html, state = tmp_path / "report.html", tmp_path / "state"
    done = icn(state, "certify", "adversary", "--controls", "--json", "--html", str(html), brokers=brokers)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout)
    (result,), (control,) = made["results"], made["controls"]
    assert result["passed"] and result["facts"] > 800 and result["faults"] == 320
    assert control["caught"] and control["caught_by"] == "none of it is admitted"
    print(f"\n{result['facts']} facts; its control: {control['told']}")
    assert "Noticed" in html.read_text()

    path = state / "certify" / "certificate.json"
    told = icn(state, "certify", "--check", str(path))
    assert told.returncode == 1 and "not tried:" in told.stdout, "one of twelve"
    only = json.loads(path.read_text())
    path.write_text(json.dumps(only | {"seed": only["seed"] + 1}))
    assert "its signature does not fit" in icn(state, "certify", "--check", str(path)).stdout


def test_a_fault_of_the_matrix_loses_nothing(tmp_path: Path) -> None:
    """The network is cut twice, once for longer than a session; on a broker of its own, behind a proxy."""
    done = icn(tmp_path, "certify", "matrix", "cut", "--json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["passed"] and cell["faults"] == 2 and cell["facts"] > 1000
    print(f"\n{cell['faults']} faults, {cell['facts']} facts, healed after {cell['healed_s']} s")


def test_what_can_not_be_meant_is_said_in_one_sentence(tmp_path: Path) -> None:
    for arguments, said in (
        (("certify", "meteor"), 'no trial is called "meteor"'),
        (("certify", "matrix", "meteor"), 'no fault is called "meteor"'),
        (("certify", "soak", "--duration", "soon"), "--duration"),
        (("certify", "soak", "cut"), 'soak takes no "cut"'),
        (("certify", "--check", str(tmp_path / "none.json")), "can't read"),
    ):
        done = icn(tmp_path, *arguments)
        assert (done.returncode, said in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
    listed = icn(tmp_path, "certify", "--list").stdout
    assert (
        "12 conservation:" in listed and "false if" in listed and "control: The dedup key has the node in it." in listed
    )
