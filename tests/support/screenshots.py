"""The pictures of the page in docs: a network that runs, real texts, and the same browser that tests it.

python -m tests.support.screenshots FOLDER
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from streams.broker.registrations import register
from streams.cli.galaxies import load_galaxies
from streams.sdk import Node
from streams.settings import read_settings
from streams.topology import load
from tests.support.browser import browser, scheme, size

EACH = 60  # artifacts of each node
TEN_MIN_S = 600
ICN = [sys.executable, "-m", "streams"]
SHOTS = (("light", 1400), ("dark", 1400), ("phone", 390))


def shoot(page: Any, folder: Path) -> list[Path]:
    """The whole page as it is now: light, dark, and as wide as a phone."""
    made = []
    for name, wide in SHOTS:
        scheme(page, "dark" if name == "dark" else "light")
        size(page, wide, 900)
        time.sleep(0.5)  # colours fade over
        size(page, wide, int(page.execute_script("return document.documentElement.scrollHeight")))
        made.append(folder / f"dashboard-{name}.png")
        assert page.save_screenshot(str(made[-1]))
    return made


def _fill(state: Path) -> None:
    """Artifacts of every node, some of them twice."""
    os.environ["ICN_STATE"] = str(state)
    topology = load()
    settings = read_settings(topology)
    for name, fields in load_galaxies().items():
        register(topology, settings, name, principal=f"{name}-team")
        with Node(name, topology=topology) as node:
            told = [node.submit(**{k: v for k, v in one.items() if k != "artifact_id"}) for one in fields[:EACH]]
            told += [node.submit(**{k: v for k, v in one.items() if k != "artifact_id"}) for one in fields[:5]]
            for future in told:
                future.result(120)


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as state:
        env = os.environ | {"ICN_STATE": state}
        with (Path(state) / "up.log").open("wb") as log:
            up = subprocess.Popen([*ICN, "up"], env=env, stderr=log)
            page_of = None
            try:
                until = time.monotonic() + 180
                while (
                    not (Path(state) / "broker").exists()
                    or subprocess.run([*ICN, "check"], env=env, capture_output=True).returncode
                ):
                    assert time.monotonic() < until, (
                        "the network does not start: " + (Path(state) / "up.log").read_text()[-2000:]
                    )
                    time.sleep(2)
                _fill(Path(state))
                page_of = subprocess.Popen([*ICN, "dashboard", "--listen", "127.0.0.1:8059"], env=env)
                wait_s = (
                    TEN_MIN_S - time.time() % TEN_MIN_S + 45
                )  # the next window of patterns, and a round of the feed
                print(f"a window of patterns in {wait_s:.0f} s …", flush=True)
                time.sleep(wait_s)
                with browser() as page:
                    page.get("http://127.0.0.1:8059/")
                    time.sleep(5)
                    for path in shoot(page, folder):
                        print(path)
            finally:
                for process in (page_of, up):
                    if process is not None:
                        process.terminate()
                        process.wait(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
