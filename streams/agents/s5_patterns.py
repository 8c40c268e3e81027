"""Depth 5. artifacts.decided, a window at a time -> patterns, windows. No stage of Faust's: it looks at many texts at once.

A process of its own, woken by the ticks on `control`. Of several workers' the group's one member is at work, and a newer one fences it off.
It keeps nothing: a window's event says which offsets were read, and its patterns are found again from them and from the window before.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.agents.receipts import cloud_event
from streams.broker.topics import events, fold, watermarks
from streams.codec import Undecodable, decoder, encoder
from streams.domain.clusters import RUNS, STABLE
from streams.domain.shape import CONTENT_MAX, SHORT, Before, Said, Shape
from streams.errors import EXIT_FATAL, BrokerError, Fatal
from streams.registry_client import adopt_ids
from streams.runtime.rules import rule_version
from streams.runtime.worker import hold_on_to_lifeline, setup_logging
from streams.settings import Settings, read_settings
from streams.topology import Topology, load
from streams.units import duration_ms

if TYPE_CHECKING:
    from streams.domain.window import Window

log = logging.getLogger("icn.patterns")

STAGE = "s5_patterns"
CRITERION = f"the most of which each is found again by {RUNS} other seeds at a mean Jaccard similarity of {STABLE} or more (Hennig 2007)"
SLACK_MS = (
    60_000  # between an artifact's own broker's time and that of its decision, the other way round than it should be
)
POLL_S = 0.5
CHUNK = 1_000
LOOK_BACK = 20  # offsets of windows; a transaction's marker takes one too
COMPUTE_MAX_S = 900
TRANSACTION_TIMEOUT_MS = 60_000
FENCE_TIMEOUT_S = 60

Ranges = Mapping[int, tuple[int, int]]  # partition of artifacts.decided -> (first offset, the one behind the last)


@dataclass(frozen=True)
class Rules:
    """As topology.yaml has them. lists: of words, for the characteristics."""

    every_ms: int
    window_ms: int
    texts_max: int
    seed: int
    lists: Mapping[str, list[str]]

    @classmethod
    def of(cls, topology: Topology) -> Rules:
        given = topology.protocol["patterns"]
        return cls(
            duration_ms(given["every"]),
            duration_ms(given["window"]),
            given["texts_max"],
            given["seed"],
            given["characteristics"],
        )


def read_ranges(topology: Topology, settings: Settings, since_ms: int) -> Ranges:
    """All of artifacts.decided as of now, from this broker's time on. Raises BrokerError."""
    topic = topology.topic("artifacts.decided")
    consumer = Consumer(settings.librdkafka_reader())
    try:
        bounds = {p: watermarks(consumer, topic.name, p) for p in range(topic.partitions)}
        if topology.simulated:  # artifacts have the producers' time, their decisions the broker's
            return bounds
        asked = [TopicPartition(topic.name, p, max(0, since_ms)) for p in bounds]
        starts = {at.partition: at.offset for at in consumer.offsets_for_times(asked, timeout=30)}
        return {p: (max(low, starts[p]) if starts[p] >= 0 else end, end) for p, (low, end) in bounds.items()}
    except KafkaException as error:
        raise BrokerError(f"{topic.name}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def read_texts(
    topology: Topology, settings: Settings, ranges: Ranges, after_ms: int, upto_ms: int, most: int
) -> tuple[list[Said], int]:
    """The texts of a window, each once, of more than `most` those with the lowest content_hash; and how many there are."""
    decode, decode_artifact = decoder("decided"), decoder("artifact")
    name = topology.topic("artifacts.decided").name
    texts: dict[bytes, Said] = {}
    nodes: dict[bytes, Counter[str]] = {}
    seen: set[bytes] = set()  # of all texts, short
    starts, ends = ({p: r[side] for p, r in ranges.items()} for side in (0, 1))
    for message in fold(settings, name, start=starts, until=ends):
        try:
            event = decode(message.value() or b"")
            facts, key = event["facts"], message.key()
            if not after_ms < facts["raw_ms"] <= upto_ms:
                continue
            if event["artifact"] is not None and key[:SHORT] not in seen:
                seen.add(key[:SHORT])
                content = decode_artifact(event["artifact"])["content"][:CONTENT_MAX]
                texts[key] = Said(key, facts["artifact_id"], facts["raw_ms"], content, {}, facts["simulated"])
        except Undecodable:  # s3 and s4 have put it with the dead letters
            continue
        nodes.setdefault(key, Counter())[facts["node_id"]] += 1
        if len(texts) >= 2 * most:  # a window of any size in bounded memory
            texts = {key: texts[key] for key in sorted(texts)[:most]}
    return [texts[key]._replace(nodes=nodes[key]) for key in sorted(texts)[:most]], len(seen)


def before_of(patterns: list[dict[str, Any]]) -> list[Before]:
    """A window's patterns, as the next one follows them."""
    found = []
    for event in patterns:
        hashes = event["member_hashes"]
        members = frozenset(hashes[at : at + SHORT] for at in range(0, len(hashes), SHORT))
        shape = Shape({word["words"]: word["weight"] for word in event["centroid"]}, members)
        found.append(Before(event["pattern_id"], event["name"], event["born_ms"], shape))
    return found


def compute(
    topology: Topology, settings: Settings, ranges: Ranges, slot_ms: int, before: list[Before]
) -> tuple[Window, int]:
    """The window that ends there, and how many texts are in it. One thread: with more the last digits depend on their number."""
    from threadpoolctl import threadpool_limits

    from streams.domain.window import portray  # takes a second to import: not before it is needed

    rules = Rules.of(topology)
    texts, of = read_texts(topology, settings, ranges, slot_ms - rules.window_ms, slot_ms, rules.texts_max)
    with threadpool_limits(1):
        return portray(texts, before, slot_ms, rules.seed, rules.lists), of


def window_event(
    topology: Topology, window: Window, of: int, ranges: Ranges, slot_ms: int, before_ms: int | None, rule: bytes
) -> dict[str, Any]:
    rules = Rules.of(topology)
    return {
        "slot_ms": slot_ms,
        "window_ms": rules.window_ms,
        "before_ms": before_ms,
        "ranges": [{"partition": p, "start": start, "end": end} for p, (start, end) in sorted(ranges.items())],
        "of": of,
        "texts": len(window.texts),
        "patterns": len(window.patterns),
        "seed": rules.seed,
        "criterion": CRITERION,
        "tried": [{"patterns": k, "least_stability": worst} for k, worst in sorted(window.tried.items())],
        "changes": window.changes,
        "rule": rule,
    }


def newest_window(topology: Topology, settings: Settings) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The newest window's event, and its patterns'. Raises BrokerError."""
    window, written_ms = None, 0
    for event, message in events(settings, topology.topic("windows").name, "window", last=LOOK_BACK):
        window, written_ms = event, message.timestamp()[1]
    if window is None:
        return None, []
    told = events(settings, topology.topic("patterns").name, "pattern", since_ms=written_ms - SLACK_MS)
    return window, [event for event, _ in told if event["slot_ms"] == window["slot_ms"]]


def again(topology: Topology, settings: Settings, window: dict[str, Any]) -> Window:
    """The window of this event, found anew: with all that an explanation and a map need. Ids are not its concern."""
    ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
    return compute(topology, settings, ranges, window["slot_ms"], [])[0]


def window_now(topology: Topology, settings: Settings, now_ms: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a window that ends now would say, were it the first."""
    rule = rule_version(topology)
    ranges = read_ranges(topology, settings, now_ms - Rules.of(topology).window_ms - SLACK_MS)
    window, of = compute(topology, settings, ranges, now_ms, [])
    event = window_event(topology, window, of, ranges, now_ms, None, rule)
    return event, [pattern | {"rule": rule} for pattern in window.patterns]


def history(topology: Topology, settings: Settings, since_ms: int) -> list[dict[str, Any]]:
    """Every pattern of every window written since then, in order."""
    return [event for event, _ in events(settings, topology.topic("patterns").name, "pattern", since_ms=since_ms)]


class Patterns:
    """Writes a window's patterns, all of them or none. Raises Fatal, BrokerError."""

    def __init__(self, topology: Topology, settings: Settings) -> None:
        self.topology, self.settings = topology, settings
        self.rules, self.rule = Rules.of(topology), rule_version(topology)
        self.encode_pattern, self.encode_window = encoder("pattern"), encoder("window")
        self.producer: Producer | None = None
        self.slot_ms: int | None = None  # of the newest window
        self.patterns: list[dict[str, Any]] = []

    def take_over(self) -> None:
        """Fence off whoever was before, and go on from what it has written."""
        self.producer = Producer(
            self.settings.librdkafka_producer(
                **{
                    "client.id": "icn-patterns",
                    "transactional.id": f"{self.topology.deployment}-{STAGE}",
                    "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                }
            )
        )
        try:
            self.producer.init_transactions(FENCE_TIMEOUT_S)
        except KafkaException as error:
            raise Fatal(f"can't take over {STAGE}: {error.args[0].str()}") from error
        window, self.patterns = newest_window(self.topology, self.settings)
        self.slot_ms = window["slot_ms"] if window else None

    def is_due(self, slot_ms: int) -> bool:
        return slot_ms % self.rules.every_ms == 0 and (self.slot_ms is None or slot_ms > self.slot_ms)

    def make(self, slot_ms: int) -> Window:
        """The window that ends there."""
        ranges = read_ranges(self.topology, self.settings, slot_ms - self.rules.window_ms - SLACK_MS)
        window, of = compute(self.topology, self.settings, ranges, slot_ms, before_of(self.patterns))
        event = window_event(self.topology, window, of, ranges, slot_ms, self.slot_ms, self.rule)
        patterns = [pattern | {"rule": self.rule} for pattern in window.patterns]
        self._commit(event, patterns)
        self.slot_ms, self.patterns = slot_ms, patterns
        return window

    def _commit(self, window: dict[str, Any], patterns: list[dict[str, Any]]) -> None:
        assert self.producer is not None
        topics = {alias: self.topology.topic(alias).name for alias in ("patterns", "windows")}
        try:
            self.producer.begin_transaction()
            for pattern in patterns:
                identity = f"{STAGE}:{pattern['slot_ms']}:{pattern['pattern_id']}:{self.rule.hex()}"
                self.producer.produce(
                    topics["patterns"],
                    self.encode_pattern(pattern),
                    pattern["pattern_id"].encode(),
                    headers=cloud_event("icn.pattern", f"/{self.topology.deployment}/{STAGE}", identity),
                )
            self.producer.produce(topics["windows"], self.encode_window(window), STAGE.encode())
            self.producer.commit_transaction()
        except (KafkaException, BufferError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else "the output queue is full"
            raise Fatal(f"{STAGE}: window {window['slot_ms']} not committed: {reason}") from error


class Watch:
    """Waits for ticks as the one member of its group that has control's partition; of several that are due, the newest is told."""

    def __init__(self, topology: Topology, settings: Settings, on_assigned: Callable[[], None]) -> None:
        self.decode, self.on_assigned = decoder("control"), on_assigned
        self.consumer = Consumer(
            settings.librdkafka_reader(
                **{
                    "client.id": "icn-patterns",
                    "group.id": topology.windows[STAGE].group,
                    "auto.offset.reset": "earliest",
                    "max.poll.interval.ms": COMPUTE_MAX_S * 1000,
                    "enable.auto.commit": False,
                }
            )
        )
        self.is_mine = False
        name = topology.topic("control").name
        self.consumer.subscribe([name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self.is_mine = any(at.partition == 0 for at in partitions)  # ticks are on every partition
        if self.is_mine:
            self.on_assigned()

    def _revoked(self, *_: Any) -> None:
        self.is_mine = False

    def due(self, is_due: Callable[[int], bool], timeout_s: float) -> int | None:
        """The newest slot that is due, once everything that is there is read."""
        found: int | None = None
        while messages := self.consumer.consume(CHUNK, timeout_s if found is None else 0.1):
            for message in messages:
                if message.error() is not None or message.partition() != 0:
                    continue
                try:
                    event = self.decode(message.value() or b"")
                except Undecodable:
                    continue
                if event["kind"] == "tick" and is_due(event["slot_ms"]):
                    found = max(found or 0, event["slot_ms"])
        return found if self.is_mine else None

    def commit(self) -> None:
        """For the lag figure: what is due is known from the newest window."""
        try:
            self.consumer.commit(asynchronous=True)
        except KafkaException as error:
            if error.args[0].code() != KafkaError._NO_OFFSET:
                log.info("offsets not committed: %s", error.args[0].str())


def run() -> int:
    """Until SIGTERM. Exit codes: 0 stopped, 1 no broker (try again), 70 fatal (restart me)."""
    hold_on_to_lifeline()
    setup_logging()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        topology = load()
        settings = read_settings(topology)
        adopt_ids(topology, settings)
        patterns = Patterns(topology, settings)
        watch = Watch(topology, settings, patterns.take_over)
        while not stop.is_set():
            slot_ms = watch.due(patterns.is_due, POLL_S)
            if slot_ms is not None:
                began = time.monotonic()
                window = patterns.make(slot_ms)
                took_s = time.monotonic() - began
                log.info("patterns: %d of %d texts, in %.1f s", len(window.patterns), len(window.texts), took_s)
            watch.commit()
        watch.consumer.close()
    except BrokerError as error:  # it may come back: the supervisor tries again
        log.warning("patterns: %s", error)
        return 1
    except Fatal as error:
        log.error("patterns: %s", error)
        return EXIT_FATAL
    return 0


if __name__ == "__main__":
    sys.exit(run())
