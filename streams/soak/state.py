"""What a run is, and what it has promised, kept in its state folder: whoever starts again there goes on with it, after a kill -9 too."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from streams.audit.files import write_whole
from streams.errors import IcnError
from streams.topology import Topology, parse

FILE = "soak.json"


@dataclass
class Run:
    """duration_ms None: without an end. deployment: prefix of its topics, its own. t0_ms: of the schedule, once it is kept. made_up: its
    sources are ours, so its load is simulated."""

    duration_ms: int | None
    cadence_ms: int
    deployment: str
    fleet: str | None
    made_up: bool
    t0_ms: int | None = None
    is_over: bool = False

    @property
    def slots(self) -> int | None:
        return None if self.duration_ms is None else max(1, self.duration_ms // self.cadence_ms)


def resume_or_begin(state: Path, duration_ms: int | None, cadence_ms: int, fleet: Path | None) -> Run:
    """The run that this folder is in the middle of, if it is the same; else a new one. Raises IcnError: the folder is another's."""
    path = state / FILE
    if path.exists():
        kept = _read(path)
        given = str(fleet.absolute()) if fleet else None
        if kept.is_over:
            raise IcnError(f"{state} holds a run that is over", "its report is there; --state FOLDER begins another")
        if (kept.duration_ms, kept.cadence_ms, kept.fleet) != (duration_ms, cadence_ms, given):
            raise IcnError(
                f"{state} is in the middle of another run: {_words(kept)}",
                "the same --duration, --cadence and --fleet go on with it; --state FOLDER begins another",
            )
        return kept
    if state.exists() and any(state.iterdir()):
        raise IcnError(f"{state} is not empty: a run begins on clean state", "--state FOLDER names another")
    run = Run(
        duration_ms,
        cadence_ms,
        f"soak{secrets.token_hex(4)}",
        str(fleet.absolute()) if fleet else None,
        fleet is None,
    )
    keep(state, run)
    return run


def keep(state: Path, run: Run) -> None:
    write_whole(state / FILE, json.dumps(asdict(run), indent=2).encode())


def _read(path: Path) -> Run:
    try:
        return Run(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise IcnError(f"{path} is damaged: {error}", "--state FOLDER begins another run") from error


def _words(run: Run) -> str:
    much = "without an end" if run.duration_ms is None else f"--duration {run.duration_ms // 1000}s"
    return f"{much} --cadence {run.cadence_ms}ms" + (f" --fleet {run.fleet}" if run.fleet else "")


def topology_of(state: Path, run: Run, given: Topology) -> Topology:
    """The network's file, with this run's name and cadence; kept beside the rest, so that every command finds it."""
    path = state / "topology.yaml"
    if not path.exists():
        raw: dict[str, Any] = yaml.safe_load(Path(given.source).read_text())
        raw["deployment"] = run.deployment
        raw["protocol"]["coordination"]["cadence"] = f"{run.cadence_ms}ms"
        write_whole(path, yaml.safe_dump(raw, sort_keys=False).encode())
    return parse(yaml.safe_load(path.read_text()), str(path))
