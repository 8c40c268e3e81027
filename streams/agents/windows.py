"""What a window of texts is read from, and what its event says: for s5_patterns, which writes it, and for whoever finds it again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from streams.agents.receipts import cloud_event
from streams.broker.topics import fold, watermarks
from streams.codec import Undecodable, decoder, encoder
from streams.domain.clusters import COPIES_ALIKE, COPIES_STABLE, FINEST, RUNS, STABLE
from streams.domain.sample import Lowest
from streams.domain.shape import CONTENT_MAX, SHORT, Before, Said, Shape
from streams.errors import BrokerError
from streams.runtime.rules import rule_version
from streams.settings import Settings
from streams.topology import Topology
from streams.units import duration_ms

if TYPE_CHECKING:
    from streams.domain.window import Window

CRITERION = (
    f"the most of which each is found again by {RUNS} other seeds at a mean Jaccard similarity of {STABLE} or more (Hennig 2007); and near "
    f"copies, of a mean cosine to their middle of {COPIES_ALIKE} or more, found again at {COPIES_STABLE} or more, within a pattern"
)
SLACK_MS = (
    60_000  # between an artifact's own broker's time and that of its decision, the other way round than it should be
)
HASH_BYTES = 32  # of a content_hash, the key
DIGEST_BYTES = 16
NAMES_MAX = 50_000  # characters of a pattern's id, name and words: a true one has a fifth of that

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


def read_ranges(topology: Topology, settings: Settings, slot_ms: int) -> Ranges:
    """All of artifacts.decided as of now, from the beginning of the window that ends there. Raises BrokerError."""
    topic = topology.topic("artifacts.decided")
    consumer = Consumer(settings.librdkafka_reader())
    try:
        bounds = {p: watermarks(consumer, topic.name, p) for p in range(topic.partitions)}
        starts = starts_since(consumer, topology, slot_ms, bounds)
        return {p: (starts[p], end) for p, (_, end) in bounds.items()}
    except KafkaException as error:
        raise BrokerError(f"{topic.name}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def starts_since(
    consumer: Consumer, topology: Topology, slot_ms: int, bounds: Mapping[int, tuple[int, int]]
) -> dict[int, int]:
    """partition -> the offset that the window which ends there begins at, within the bounds. Raises KafkaException."""
    if topology.simulated:  # artifacts have the producers' time, their decisions the broker's
        return {p: low for p, (low, _) in bounds.items()}
    name, since_ms = topology.topic("artifacts.decided").name, slot_ms - Rules.of(topology).window_ms - SLACK_MS
    asked = [TopicPartition(name, p, max(0, since_ms)) for p in bounds]
    starts = {at.partition: at.offset for at in consumer.offsets_for_times(asked, timeout=30)}
    return {p: max(low, starts[p]) if starts[p] >= 0 else end for p, (low, end) in bounds.items()}


def read_texts(
    topology: Topology, settings: Settings, ranges: Ranges, after_ms: int, upto_ms: int, most: int
) -> tuple[list[Said], int]:
    """The texts of a window, each once, of more than there is room for those with the lowest content_hash; and how many there are."""
    decode, decode_artifact = decoder("decided"), decoder("artifact")
    name = topology.topic("artifacts.decided").name
    kept = Lowest(most)
    starts, ends = ({p: r[side] for p, r in ranges.items()} for side in (0, 1))
    for message in fold(settings, name, start=starts, until=ends):
        try:
            event = decode(message.value() or b"")
            facts, key = event["facts"], message.key()
            if key is None or len(key) != HASH_BYTES:
                continue
            if not after_ms < facts["raw_ms"] <= upto_ms:
                continue
            if event["artifact"] is not None and not kept.has(key):
                content = decode_artifact(event["artifact"])["content"][:CONTENT_MAX]
                kept.add(Said(key, facts["artifact_id"], facts["raw_ms"], content, {}, facts["simulated"]))
        except Undecodable:  # s3 and s4 have put it with the dead letters
            continue
        kept.reported(key, facts["node_id"])
    return kept.texts(), kept.of


def before_of(patterns: list[dict[str, Any]]) -> list[Before]:
    """A window's patterns, as the next one follows them. Of forged ones none that would stop it."""
    found = []
    for event in patterns[:FINEST]:
        weights = [word["weight"] for word in event["centroid"]]
        names = event["pattern_id"], event["name"], *(word["words"] for word in event["centroid"])
        if not all(0 < weight <= 1 for weight in weights) or sum(map(len, names)) > NAMES_MAX:
            continue
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
    import sklearn.decomposition  # noqa: F401  # only what is loaded has its threads limited
    from threadpoolctl import threadpool_limits

    from streams.domain.window import portray  # takes a second to import: not before it is needed

    rules = Rules.of(topology)
    texts, of = read_texts(topology, settings, ranges, slot_ms - rules.window_ms, slot_ms, rules.texts_max)
    with threadpool_limits(1):
        return portray(texts, before, slot_ms, rules.seed, rules.lists), of


def window_event(
    topology: Topology,
    window: Window,
    of: int,
    ranges: Ranges,
    slot_ms: int,
    before_ms: int | None,
    rule: bytes,
    values: Iterable[bytes],
) -> dict[str, Any]:
    """values: its patterns', as they are written."""
    rules = Rules.of(topology)
    return {
        "slot_ms": slot_ms,
        "window_ms": rules.window_ms,
        "before_ms": before_ms,
        "ranges": [{"partition": p, "start": start, "end": end} for p, (start, end) in sorted(ranges.items())],
        "of": of,
        "texts": len(window.texts),
        "patterns": len(window.patterns),
        "digests": b"".join(map(digest_of, values)),
        "seed": rules.seed,
        "criterion": CRITERION,
        "tried": [{"patterns": k, "least_stability": worst} for k, worst in sorted(window.tried.items())],
        "changes": window.changes,
        "rule": rule,
    }


def pattern_records(
    topology: Topology, stage: str, window: Window, rule: bytes, encode: Callable[[dict[str, Any]], bytes]
) -> list[dict[str, Any]]:
    """key, value and headers of each of its patterns."""
    made = []
    for pattern in window.patterns:
        identity = f"{stage}:{pattern['slot_ms']}:{pattern['pattern_id']}:{rule.hex()}"
        made.append(
            {
                "key": pattern["pattern_id"].encode(),
                "value": encode(pattern | {"rule": rule}),
                "headers": cloud_event("icn.pattern", f"/{topology.deployment}/{stage}", identity),
            }
        )
    return made


def digest_of(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=DIGEST_BYTES).digest()


def again(topology: Topology, settings: Settings, window: dict[str, Any]) -> Window:
    """The window of this event, found anew: with all that an explanation and a map need. Ids are not its concern."""
    ranges = {one["partition"]: (one["start"], one["end"]) for one in window["ranges"]}
    return compute(topology, settings, ranges, window["slot_ms"], [])[0]


def window_now(
    topology: Topology, settings: Settings, now_ms: int
) -> tuple[dict[str, Any], list[dict[str, Any]], Window]:
    """What a window that ends now would say, were it the first; and the window itself."""
    rule = rule_version(topology)
    ranges = read_ranges(topology, settings, now_ms)
    window, of = compute(topology, settings, ranges, now_ms, [])
    values = [one["value"] for one in pattern_records(topology, "", window, rule, encoder("pattern"))]
    event = window_event(topology, window, of, ranges, now_ms, None, rule, values)
    return event, [pattern | {"rule": rule} for pattern in window.patterns], window
