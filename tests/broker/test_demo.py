"""The README's first command, as a stranger calls it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.network import ROOT


def test_the_demo_runs_from_the_first_line_to_the_last(tmp_path: Path) -> None:
    """A broker of its own, six nodes, a node that claims too much, the top list, what repeats what, the patterns, the audit, the lag;
    nothing is left behind."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ICN_")} | {"ICN_STATE": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-m", "streams", "demo"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    for line in (
        "quota_exceeded, retry after",
        "inflation_detected",
        "Top priorities: score =",
        "texts nearly repeat each other",
        "What they speak of",
        "The feed: what a trainer learns from",
        " scenarios, votes: ",
        "residual 0",
        "identical: every output is what its inputs give, byte for byte",
    ):
        assert line in done.stdout, line
    assert not (tmp_path / "state" / "demo").exists()
