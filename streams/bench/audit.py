"""What the audit log costs: a call, its verification from a bundle, sealing. CPU time of one thread; memory of a process of its own.

Each nine times, in three processes: the fastest and the median are told.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from streams.audit.audit import KNOWN_TYPES
from streams.audit.layout import ENTRY, HASH_BYTES, Item, entry, first_link, preimage_start
from streams.audit.record.events import Event, Writer
from streams.audit.record.log import AuditLog
from streams.audit.seal.tiles import TileWriter
from streams.audit.verify.bundle import Bundle, BundleWriter, Manifest
from streams.audit.verify.verifier import Verifier
from streams.clock import Moment

TOPIC, RUN = "icn.metrics", bytes(range(16))
CALLS = 30_000
AT_ONCE = 1_000
ROUNDS, TIMES = 3, 3  # processes, and how often each does its work


def bench_audit(records: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All of it; records: in the bundle that is verified."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"{CALLS:,} calls of a logger …")
        call_us = _calls(Path(folder))
        file = Path(folder) / "log.icnaudit"
        say(f"a bundle of {records:,} records …")
        _write(file, records)
        found: dict[str, Any] = {"records": records, "call_us_median": call_us[0], "call_us_p99": call_us[1]}
        works: dict[str, tuple[Any, ...]] = {
            "hashes": (_hashes, max(records, AT_ONCE)),
            "integrity": (_verify, str(file), ()),
            "full": (_verify, str(file), KNOWN_TYPES),
            "seal": (_seal, str(file), folder),
        }
        rounds = [
            {name: _round(number, name, work, say) for name, work in works.items()} for number in range(1, ROUNDS + 1)
        ]
    for name in works:
        speeds = [speed for one in rounds for speed in one[name]["per_cpu_s"]]
        found[f"{name}_per_cpu_s"], found[f"{name}_per_cpu_s_median"] = max(speeds), statistics.median(speeds)
        found[f"{name}_rss_mib"] = max(one[name]["rss_mib"] for one in rounds)
        found[f"{name}_rss_before_mib"] = max(one[name]["rss_before_mib"] for one in rounds)
    found["integrity_of_hashes"] = found["integrity_per_cpu_s"] / found["hashes_per_cpu_s"]
    return found


def _round(number: int, name: str, work: tuple[Any, ...], say: Callable[[str], None]) -> dict[str, Any]:
    """What else the machine does only ever takes time, so the fastest is what the code costs."""
    say(f"round {number} of {ROUNDS}: {name} …")
    return _in_a_process(*work)


def _calls(folder: Path) -> tuple[float, float]:
    """(median, 99 %) of the caller's CPU [µs]."""
    taken = []
    with AuditLog(folder, "bench", TOPIC, manifest={}, methodology={}, producer=None) as log:
        for number in range(CALLS):
            began = time.thread_time_ns()
            log.write(Event("tick_completed", number, "job", 1, True, 1_000_000, 3))
            taken.append((time.thread_time_ns() - began) / 1000)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]


def _items(records: int) -> Iterator[Item]:
    writer, at = (
        Writer(TOPIC, "bench", RUN, bytes(16), first_link(RUN, b"{}")),
        Moment(1_800_000_000 * 10**9, 10**15, 10**15),
    )
    for number in range(records):
        event = Event("tick_completed", number, "job", 1, True, 1_000_000, 3)
        value = writer.record(event if number else Event("process_start", payload={"manifest": "{}"}), at, "SYNCED")
        writer.advance(value)
        yield Item(number, 1, at.wall_ns // 1_000_000 + number, RUN, value)


def _write(file: Path, records: int) -> None:
    writer = BundleWriter(file, Manifest(TOPIC, "bench", "bench", 0, {0: (0, records)}))
    writer.records(0, _items(records))
    writer.entries(0, (entry(TOPIC, 0, *item) for item in _items(records)))
    writer.notes(0, ())
    writer.close()


def _hashes(records: int) -> int:
    """What no verifier in Python can be faster than: a record's hash, its leaf's and one node's, in a bare loop."""
    values = [item.value or b"" for item in _items(AT_ONCE)]
    start, leaf, node = preimage_start(TOPIC, RUN), bytes(1 + ENTRY.size), bytes(1 + 2 * HASH_BYTES)
    for _ in range(records // AT_ONCE):
        for value in values:
            sha256(start + value[:-32]).digest()
            sha256(leaf).digest()
            sha256(node).digest()
    return records // AT_ONCE * AT_ONCE


def _verify(file: str, types: tuple[str, ...]) -> int:
    bundle = Bundle(Path(file))
    verifier = Verifier(TOPIC, 0, bundle.manifest.origin(0), (), (), bundle.entries(0), None, 0, types)
    verifier.feed(bundle.items(0))
    result = verifier.finish()
    assert [finding.kind for finding in result.findings] == ["UNANCHORED"]
    return result.records


def _seal(file: str, folder: str) -> int:
    tiles, batch, done = TileWriter(Path(folder) / "tiles", 0), list[bytes](), 0
    for item in Bundle(Path(file)).items(0):
        batch.append(entry(TOPIC, 0, *item))
        if len(batch) == AT_ONCE:
            tiles.extend(batch)
            done, batch = done + len(batch), []
    tiles.extend(batch)
    tiles.flush()
    return done + len(batch)


def _in_a_process(work: Callable[..., int], *arguments: Any) -> dict[str, Any]:
    """records per CPU second, each time, and the memory that the process came to."""
    receive, send = multiprocessing.Pipe(False)
    process = multiprocessing.get_context("spawn").Process(target=_measured, args=(send, work, arguments))
    process.start()
    send.close()  # so that a process that dies is an end, and not a wait for ever
    found: dict[str, Any] = receive.recv()
    process.join()
    return found


def _measured(send: Any, work: Callable[..., int], arguments: tuple[Any, ...]) -> None:
    before, per_s = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, []
    for _ in range(TIMES):
        began = time.process_time()
        done = work(*arguments)
        per_s.append(done / (time.process_time() - began))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    send.send({"per_cpu_s": per_s, "rss_mib": rss / 1024, "rss_before_mib": before / 1024})
