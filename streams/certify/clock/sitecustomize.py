"""A wall clock that a test can set: on PYTHONPATH, what Python takes for the time of day is ahead by the seconds in a file.

The boot clock, the monotonic one and whatever is no Python (Kafka, its client) go on as they were, as if another machine had been set.
"""

import os
import time
from pathlib import Path

_time_ns, _file, _ahead, _read_at = time.time_ns, Path(os.environ["TEST_CLOCK"]), 0, 0.0


def ahead_ns() -> int:
    """As the file says; read now and then."""
    global _ahead, _read_at
    if time.monotonic() - _read_at > 0.05:
        _read_at = time.monotonic()
        with _file.open() as said:
            _ahead = int(float(said.read() or 0) * 1e9)
    return _ahead


time.time_ns = lambda: _time_ns() + ahead_ns()
time.time = lambda: time.time_ns() / 1e9
