"""What a supervisor does with a child that ends: real processes, each a line of Python."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.runtime import supervisor as supervising
from streams.runtime.supervisor import Supervisor
from tests.support.network import wait_until

CHILD = """
import sys, time
from pathlib import Path
starts = Path(__file__).with_suffix(".starts")
with starts.open("a") as file:
    file.write("x")
time.sleep({first} if starts.read_text() == "x" else {later})
sys.exit({code})
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(supervising, "WORKED_S", 1.0)
    monkeypatch.setattr(supervising, "RESTART_PAUSE_S", 0.05)
    yield tmp_path


def child(folder: Path, code: int, first_s: float, later_s: float) -> Supervisor:
    (folder / "child.py").write_text(CHILD.format(code=code, first=first_s, later=later_s))
    made = Supervisor({"child": ["child"]})
    made.start()
    return made


def starts(folder: Path) -> int:
    path = folder / "child.starts"
    return len(path.read_text()) if path.exists() else 0


def looked_after(supervisor: Supervisor) -> int | None:
    """A hundredth of a second's worth."""
    time.sleep(0.01)
    return supervisor.look_after()


def test_what_can_not_start_at_all_ends_everything(folder: Path) -> None:
    """Exit code 2 says: a mistake that a restart does not mend."""
    supervisor = child(folder, code=2, first_s=0, later_s=0)
    assert wait_until(lambda: looked_after(supervisor), 20, "a code") == 2
    assert starts(folder) == 1


def test_what_has_worked_before_is_tried_again_whatever_it_says(folder: Path) -> None:
    """A node that is killed while the broker is away can't start either, for a while: that ends no run."""
    supervisor = child(folder, code=2, first_s=2, later_s=0)
    codes = set[int | None]()
    wait_until(lambda: (codes.add(looked_after(supervisor)), starts(folder) >= 4)[1], 30, "three restarts")
    supervisor.stop(1)
    assert codes == {None}


@pytest.mark.parametrize("code", [0, 1, 70])
def test_what_ends_otherwise_is_started_again(folder: Path, code: int) -> None:
    supervisor = child(folder, code=code, first_s=0, later_s=0)
    wait_until(lambda: (looked_after(supervisor), starts(folder) >= 3)[1], 30, "two restarts")
    assert supervisor.failures_ever["child"] >= 2
    supervisor.stop(1)
