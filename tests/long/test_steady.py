"""A run without faults: no process grows, none piles up open files, and no stage falls behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml

from streams.broker.local import LocalBroker
from streams.errors import BrokerError
from streams.settings import read_settings
from streams.topology import parse
from streams.watch.monitor import read_lag
from tests.support.network import wait_until
from tests.support.processes import clean_env, start_icn

MINUTES = float(os.environ.get("ICN_TEST_SOAK_MINUTES", "20"))
EVERY_S = 5.0
GROWS_MAX, GROWS_MIN_BYTES = 0.05, 8 << 20  # from the third quarter to the last: of its memory, or so much
FILES_MAX = (
    2  # more open in the last quarter than in the third, by the median: a collection or a segment may be under way
)
BROKER, BROKER_MAX_BYTES = "Apache Kafka", 900 << 20
LAG_MAX = 500  # events of one partition: what a few ticks bring


@dataclass
class Series:
    """Of one process."""

    rss_bytes: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def quarters(self, values: list[int]) -> tuple[float, float]:
        """Medians of the third and of the last."""
        length = len(values) // 4
        return float(np.median(values[-2 * length : -length])), float(np.median(values[-length:]))


@pytest.fixture
def soak(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    state = tmp_path / "state"
    command = ["--state", str(state), "soak", "--duration", f"{MINUTES * 60:g}s", "--cadence", "2s"]
    with (tmp_path / "soak.log").open("ab") as log:
        process = start_icn(command, clean_env(), log)
        try:
            yield process, state
        finally:
            process.kill()
            LocalBroker(state).stop()
            print((tmp_path / "soak.log").read_text()[-6000:])


def test_nothing_grows_and_nothing_falls_behind(soak: tuple[subprocess.Popen[bytes], Path]) -> None:
    process, state = soak
    kept = state / "soak.json"
    wait_until(lambda: kept.exists() and json.loads(kept.read_text())["t0_ms"], 120, "a schedule")
    ends_s = json.loads(kept.read_text())["t0_ms"] / 1000 + MINUTES * 60
    topology = parse(yaml.safe_load((state / "topology.yaml").read_text()))
    series: dict[str, Series] = defaultdict(Series)
    lags: list[int] = []
    while time.time() < ends_s - EVERY_S:
        time.sleep(EVERY_S)
        assert process.poll() is None, "it has ended"
        for name, one in everybody(process.pid, state).items():
            series[name].rss_bytes.append(one.memory_info().rss)
            series[name].files.append(one.num_fds())
        try:
            lags.append(
                max((one.lag or 0 for one in read_lag(read_settings(topology, {"ICN_STATE": str(state)}))), default=0)
            )
        except BrokerError:  # it is still starting
            continue
    assert process.wait(240) == 0
    report = json.loads((state / "report.json").read_text())

    most = max(len(one.files) for one in series.values())
    lasting = {name: one for name, one in series.items() if len(one.files) > 0.8 * most}
    table = [(n, *s.quarters(s.rss_bytes), *s.quarters(s.files)) for n, s in sorted(lasting.items())]
    for name, rss_before, rss, files_before, files in table:
        print(
            f"{name:44} {rss_before / 2**20:7.1f} -> {rss / 2**20:7.1f} MiB   {files_before:.0f} -> {files:.0f} files"
        )
    print(
        f"{most} samples; lag of a partition: at most {max(lags)} events, at the end {lags[-1]}; reliability {report['reliability']:.4f}"
    )
    assert len(table) >= 12, "all processes, from the beginning to the end"
    broker = next(row for row in table if row[0] == BROKER)
    assert broker[2] < BROKER_MAX_BYTES, "its heap is given to it, and taken page by page; it is no more than that"
    ours = [row for row in table if row is not broker]
    assert [row[0] for row in ours if row[2] - row[1] > max(GROWS_MIN_BYTES, GROWS_MAX * row[1])] == []
    assert [row[0] for row in table if row[4] - row[3] > FILES_MAX] == []
    assert max(lags) <= LAG_MAX
    assert [one["residual"] for one in report["conservation"]] == [0, 0, 0]


def everybody(pid: int, state: Path) -> dict[str, psutil.Process]:
    """Of the run, with its broker: what it was started as -> process."""
    found = {}
    if (broker := LocalBroker(state).pid()) is not None:
        found[BROKER] = psutil.Process(broker)
    main = psutil.Process(pid)
    for one in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            if one.pid == broker:
                continue
            found[" ".join(Path(word).name for word in one.cmdline()[2:6])] = one
    return found
