"""A command of ours as a process that a test can hurt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

import psutil


def clean_env() -> dict[str, str]:
    """Of this process, without what says where another network is."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ICN_")}


def start_icn(arguments: Sequence[str], env: dict[str, str], log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "streams", *arguments], env=env, stdout=log, stderr=log, start_new_session=True
    )


def kill_child(pid: int, *words: str) -> None:
    """-9 for the process below this one whose command line has these words."""
    for child in psutil.Process(pid).children(recursive=True):
        if all(any(word in part for part in child.cmdline()) for word in words):
            child.kill()
            return
    raise AssertionError(f"no process {words}")
