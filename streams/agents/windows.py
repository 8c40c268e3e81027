"""What a window of texts is read from, and what its event says: for s5_patterns, which writes it, and for whoever finds it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.broker.topics import events, fold, watermarks
from streams.codec import Undecodable, decoder
from streams.domain.clusters import RUNS, STABLE
from streams.domain.shape import CONTENT_MAX, SHORT, Before, Said, Shape
from streams.errors import BrokerError
from streams.runtime.rules import rule_version
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms

if TYPE_CHECKING:
    from streams.domain.window import Window

CRITERION = f"the most of which each is found again by {RUNS} other seeds at a mean Jaccard similarity of {STABLE} or more (Hennig 2007)"
SLACK_MS = (
    60_000  # between an artifact's own broker's time and that of its decision, the other way round than it should be
)
HASH_BYTES = 32  # of a content_hash, the key
LOOK_BACK = 20  # offsets of windows; a transaction's marker takes one too

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
            if key is None or len(key) != HASH_BYTES:
                continue
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
    import sklearn.cluster
    import sklearn.decomposition
    import sklearn.feature_extraction.text  # noqa: F401  # only what is loaded has its threads limited
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
