"""The events of windows on a real broker: what others put beside them, what retention takes, what is written while one looks."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from streams import codec
from streams.agents import s5_patterns
from streams.agents.s5_patterns import Patterns
from streams.agents.windows import digest_of
from streams.agents.windows_written import newest_window
from streams.replay.verify import Result
from streams.replay.windows import verify_windows
from streams.runtime.rules import rule_version
from tests.domain.test_window import said, vocabulary
from tests.support.fold import events_in_order
from tests.support.network import ROOT, Network, network

TEN_MIN_MS = 600_000
FIRST_MS = 1_795_471_800_000 // TEN_MIN_MS * TEN_MIN_MS


class Written:
    """Windows that end every ten minutes, 40 more texts of two topics in each; no worker: the process's parts, called in this one."""

    def __init__(self, net: Network) -> None:
        self.net, self.rng = net, random.Random(7)
        self.topics = [vocabulary(name, self.rng, 10) for name in ("mail", "leak")]
        self.producer = Producer(net.settings.librdkafka_producer())
        sample = json.loads((ROOT / "schemas/samples/decided.json").read_text())
        self.decided = codec.from_jsonable(codec.schema("decided"), sample)
        sample = json.loads((ROOT / "schemas/samples/artifact.json").read_text())
        self.artifact = codec.from_jsonable(codec.schema("artifact"), sample)
        self.encode = {name: codec.encoder(name) for name in ("decided", "artifact", "pattern", "window")}
        self.slot_ms, self.texts = FIRST_MS, 0
        self.process = self.taken_over()

    def taken_over(self) -> Patterns:
        process = Patterns(self.net.topology, self.net.settings)
        process.take_over()
        return process

    def next(self) -> None:
        for number in range(40):
            artifact = self.artifact | {"content": said(self.topics[number % 2], self.texts, self.rng).content}
            event = copy.deepcopy(self.decided) | {"decision": "UNIQUE", "artifact": self.encode["artifact"](artifact)}
            event["facts"] |= {"raw_ms": self.slot_ms - 1000, "artifact_id": f"a{self.texts}"}
            key = self.rng.randbytes(32)
            self.put("artifacts.decided", self.encode["decided"](event), key, partition=key[0] % 4)
            self.texts += 1
        self.process.make(self.slot_ms)
        self.slot_ms += TEN_MIN_MS

    def put(self, alias: str, value: bytes, key: bytes = b"", partition: int = 0) -> str:
        """Returns where it is."""
        at: list[Any] = []
        self.producer.produce(self.net.topic(alias), value, key, partition, on_delivery=lambda _, m: at.append(m))
        assert self.producer.flush(30) == 0
        return f"{at[0].topic()}/{at[0].partition()}/{at[0].offset()}"

    def read(self, alias: str) -> list[dict[str, Any]]:
        return events_in_order(self.net.settings, self.net.topic(alias))

    def prune(self, alias: str, before: int) -> None:
        """Delete the records in front of this offset, as retention does."""
        cut = TopicPartition(self.net.topic(alias), 0, before)
        admin = AdminClient(self.net.settings.librdkafka())  # kept: without it, nobody answers
        for future in admin.delete_records([cut]).values():
            future.result(30)

    def verify(self, **how: Any) -> Result:
        return verify_windows(self.net.topology, self.net.settings, rule_version(self.net.topology), **how)

    def judged(self) -> tuple[int, int, list[str]]:
        """(windows compared, left out, kinds of findings)."""
        result = self.verify()
        return result.batches, result.left_out, [finding.kind for finding in result.findings]


@pytest.fixture
def written(brokers: str, tmp_path: Path) -> Iterator[Written]:
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        made = Written(net)
        for _ in range(3):
            made.next()
        assert made.judged() == (3, 0, [])
        yield made


def test_forged_records_are_found_and_stop_nobody(written: Written) -> None:
    """Each is told at its place, no true one is; the process that starts after them goes on."""
    windows, patterns = written.read("windows"), written.read("patterns")
    true, pattern = windows[-1], patterns[-1]
    later_ms, digest = true["slot_ms"] + TEN_MIN_MS, digest_of(written.encode["pattern"](pattern))
    forged = set()

    def put(alias: str, value: bytes) -> None:
        forged.add(written.put(alias, value))

    def window(**change: Any) -> None:
        made = true | {"slot_ms": later_ms, "before_ms": true["slot_ms"], "patterns": 0, "digests": b""} | change
        put("windows", written.encode["window"](made))

    def named(change: dict[str, Any]) -> bytes:
        value = written.encode["pattern"](pattern | {"slot_ms": later_ms} | change)
        put("patterns", value)
        return digest_of(value)

    assert len({one["pattern_id"] for one in patterns}) >= 2
    put("patterns", b"no pattern")
    put("windows", b"no window")
    put("patterns", written.encode["pattern"](pattern))  # said again
    heavy = [{"words": word["words"], "weight": 1.7e308} for word in pattern["centroid"]]
    names = [
        named({"centroid": heavy}),
        named({"centroid": [{"words": "mail0", "weight": float("nan")}]}),
        *(named({"name": random.Random(n).randbytes(300_000).hex(), "centroid": []}) for n in range(3)),
    ]
    window(ranges=[{"partition": 99, "start": 0, "end": 1}], digests=b"".join(names), patterns=5)  # s5 follows this one
    window(ranges=[])
    window(slot_ms=true["slot_ms"] + 1)
    window(slot_ms=true["slot_ms"])
    window(slot_ms=true["slot_ms"], digests=b"x" * 16)
    window(slot_ms=4_000_000_000_000 // TEN_MIN_MS * TEN_MIN_MS)
    window(slot_ms=-TEN_MIN_MS, before_ms=None)
    window(slot_ms=1 << 62, ranges=[], rule=b"another.")
    window(slot_ms=777, digests=digest)
    for number in range(1_001):
        named({"slot_ms": 777, "name": f"{number}"})

    newest, own = newest_window(written.net.topology, written.net.settings)
    assert newest is not None and (newest["slot_ms"], len(own)) == (later_ms, 5)
    written.process = written.taken_over()
    written.slot_ms += TEN_MIN_MS
    written.next()
    result = written.verify()
    assert {finding.where for finding in result.findings} == forged
    assert {finding.kind for finding in result.findings} == {"INVENTED"} and result.batches == 4
    print(f"\n{len(forged)} forged records, all found; 4 windows, {result.compared} events compared")


def test_a_window_that_leaves_out_texts_is_found(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patterns are those of its texts, so only where it begins says that some are missing."""
    ranges = {one["partition"]: (one["start"], one["end"]) for one in written.read("windows")[-1]["ranges"]}
    late = ranges | {0: (ranges[0][1] - 2, ranges[0][1])}
    monkeypatch.setattr(s5_patterns, "read_ranges", lambda *_: late)
    written.process.make(written.slot_ms)
    (finding,) = written.verify().findings
    assert (finding.kind, finding.detail) == ("DIFFERS", "it leaves out texts of its time, in partitions [0]")


@pytest.mark.parametrize(
    ("alias", "windows_cut"),
    [("patterns", 1), ("windows", 2)],
)
def test_what_retention_took_is_not_judged_and_nothing_else_is_found(
    written: Written, alias: str, windows_cut: int
) -> None:
    """The topics are cut at different times: patterns without their window, and windows without their patterns."""
    first = [m for m in written.read("patterns") if m["slot_ms"] < FIRST_MS + windows_cut * TEN_MIN_MS]
    # behind each transaction lies a marker
    written.prune(alias, len(first) - 1 + windows_cut if alias == "patterns" else 2 * windows_cut)
    compared, left_out, kinds = written.judged()
    assert kinds == []
    assert compared == 3 - windows_cut - 1, "a window can't be judged without those that it follows"
    assert left_out == (windows_cut + 1 if alias == "patterns" else 1)


def test_a_window_that_is_written_while_one_looks_is_for_the_next_time(written: Written) -> None:
    once = iter([written.next])

    def meanwhile(_: str) -> None:
        next(once, lambda: None)()

    result = written.verify(progress=meanwhile)
    assert (result.batches, result.findings) == (3, [])
    assert written.judged() == (4, 0, [])
