"""A stage's process with a stopwatch around the parts of a batch: where the CPU microseconds of a record go.

    python -m streams.bench.profile s2_dedup OUT.json       as `python -m streams.runtime.worker s2_dedup 0`

Parts are CPU time of the threads that decide and commit; `other threads` is the rest of the process: fetching and parsing, the loop,
librdkafka and RocksDB. The stopwatches cost some tenths of a microsecond a record themselves.
"""

from __future__ import annotations

import functools
import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from streams.runtime import checkpoint, worker
from streams.runtime.checkpoint import Checkpoint
from streams.runtime.runner import Runner
from streams.runtime.stage import Stage
from streams.runtime.store import Store

# a part holds those below it that are indented more
PARTS = ("process", "  decide", "    look up rows", "  commit", "    pack rows", "    produce", "    write the store")


class Stopwatch:
    """CPU seconds by part, of all threads."""

    def __init__(self, out: Path) -> None:
        self.out, self.lock = out, threading.Lock()
        self.seconds: dict[str, float] = defaultdict(float)
        self.records = 0

    def around(self, part: str, function: Any) -> Any:
        """The same function, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                with self.lock:
                    self.seconds[part] += time.thread_time() - started

        return timed

    def process(self, function: Any) -> Any:
        """Runner.process, timed; what was seen so far is in the file after each batch, since a worker may end at any time."""
        timed = self.around("process", function)

        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> int:
            decided: int = timed(*args, **kwargs)
            with self.lock:
                self.records += decided
                other = time.process_time() - self.start - self.seconds["process"]
                parts = {part: self.seconds[part.strip()] for part in PARTS} | {"other threads": other}
                found = {"records": self.records, "cpu_us": {p: s / self.records * 1e6 for p, s in parts.items()}}
                self.out.write_text(json.dumps(found))
            return decided

        return counted

    def install(self) -> None:
        """Put the stopwatches in."""
        self.start = time.process_time()
        Store.get_many = self.around("look up rows", Store.get_many)  # type: ignore[method-assign]
        Store.write = self.around("write the store", Store.write)  # type: ignore[method-assign]
        Checkpoint.commit = self.around("commit", Checkpoint.commit)  # type: ignore[method-assign]
        Checkpoint._transact = self.around("produce", Checkpoint._transact)  # type: ignore[method-assign]
        checkpoint._changes = self.around("pack rows", checkpoint._changes)
        Runner.process = self.process(Runner.process)  # type: ignore[method-assign]
        load = worker.load_stage

        def load_timed(*args: Any) -> tuple[Stage, bytes]:
            stage, rule = load(*args)
            return Stage(stage.agent, stage.tables, self.around("decide", stage.decide)), rule

        worker.load_stage = load_timed  # type: ignore[assignment]


if __name__ == "__main__":
    Stopwatch(Path(sys.argv[2])).install()
    sys.exit(worker.run(sys.argv[1], 0))
