"""Events of a small network, made one by one: what an export is of, in memory or on topics."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Producer

from streams import codec
from streams.agents.windows import digest_of
from streams.domain.artifact import hash_artifact
from streams.watch.export import Exported, compose
from streams.watch.stix_choice import Choice, Material, Report, choose
from tests.support.network import ROOT, Network

T0 = 1_795_471_800_000
KEY = bytes(32)
NAMES = {"artifacts.raw": "icn.artifacts.raw", "artifacts.decided": "icn.artifacts.decided"}


def sample(name: str) -> dict[str, Any]:
    """As schemas/samples has it."""
    read = json.loads((ROOT / "schemas" / "samples" / f"{name}.json").read_text())
    found: dict[str, Any] = codec.from_jsonable(codec.schema(name), read)
    return found


class Story:
    """Everything in one partition, in the order of the calls, a second apart."""

    def __init__(self) -> None:
        self.now_ms = T0
        self.decided: list[
            tuple[bytes, dict[str, Any]]
        ] = []  # (content_hash, event); `artifact` is a record, not bytes
        self.others: dict[str, list[dict[str, Any]]] = {}  # alias -> events
        self.canonicals: dict[bytes, dict[str, Any]] = {}  # dedup_hash -> the newest event of it
        self.firsts: dict[bytes, dict[str, Any]] = {}  # content_hash -> the first event of it
        self.samples = {name: sample(name) for name in ("artifact", "decided", "link", "vote", "verdict", "priority")}
        self.samples |= {name: sample(name) for name in ("scenario", "pattern")}

    def report(
        self, content: str, node: str = "node-1", tlp: str = "GREEN", domain: str = "malware", **fields: Any
    ) -> dict[str, Any]:
        """What s2 says of it, by what was reported before: UNIQUE, UPGRADED or DUPLICATE."""
        self.now_ms += 1000
        number = len(self.decided)
        artifact = self.samples["artifact"] | {
            "artifact_id": f"a{number}",
            "node_id": node,
            "content": content,
            "source": "https://example.org/1",
            "metadata": {"domain": domain, "tlp": tlp},
            **fields,
        }
        hashes, event = hash_artifact(KEY, artifact), copy.deepcopy(self.samples["decided"])
        kept = (
            "artifact_id",
            "node_id",
            "content_type",
            "confidence",
            "threat_level",
            "opportunity_value",
            "simulated",
        )
        event["facts"] |= {name: artifact[name] for name in kept}
        event["facts"] |= {"dedup_hash": hashes.dedup, "raw_ms": self.now_ms, "raw_offset": number, "tlp": tlp}
        before, first = self.canonicals.get(hashes.dedup), self.firsts.get(hashes.content)
        is_better = before is None or artifact["confidence"] > before["facts"]["confidence"]
        event |= {
            "decision": "UNIQUE" if before is None else "UPGRADED" if is_better else "DUPLICATE",
            "canonical_id": before["canonical_id"] if before else artifact["artifact_id"],
            "version": before["version"] + is_better if before else 1,
            "first_seen_ms": before["first_seen_ms"] if before else self.now_ms,
            "artifact": artifact if is_better else None,
            "corroborates": None,
        }
        if before is None and first is not None:
            about = {name: first["facts"][name] for name in ("artifact_id", "node_id", "source_digest", "confidence")}
            independent = first["facts"]["node_id"] != node
            event["corroborates"] = about | {"first_seen_ms": first["facts"]["raw_ms"], "independent": independent}
        self.decided.append((hashes.content, event))
        self.canonicals[hashes.dedup] = event
        self.firsts.setdefault(hashes.content, event)
        return event

    def say(self, alias: str, name: str, **fields: Any) -> dict[str, Any]:
        """An event like the sample."""
        event = copy.deepcopy(self.samples[name]) | fields
        self.others.setdefault(alias, []).append(event)
        return event

    def link(self, later: Mapping[str, Any], earlier: Mapping[str, Any], similarity: float = 0.9) -> None:
        """The later text nearly repeats the earlier one."""
        self.say(
            "links",
            "link",
            dedup_hash=later["facts"]["dedup_hash"],
            artifact_id=later["canonical_id"],
            near_dedup_hash=earlier["facts"]["dedup_hash"],
            near_duplicate_of=earlier["canonical_id"],
            similarity=similarity,
            raw_ms=later["facts"]["raw_ms"],
        )

    def vote(self, on: Mapping[str, Any], outcome: str, judge: str = "carol", ignored: str | None = None) -> None:
        """A verdict and what became of it."""
        at = len(self.others.get("verdicts", ()))
        place = {name: on["facts"][name] for name in ("raw_partition", "raw_offset")}
        said = {"verdict_id": f"v{at}", "judge": judge, "outcome": outcome}
        self.say("verdicts", "verdict", **said, **place, reason="a clean installer")
        self.say(
            "votes", "vote", **said, ignored=ignored, weight=0.0 if ignored else 0.5, input_partition=0, input_offset=at
        )

    def score(self, of: Mapping[str, Any], score: float) -> None:
        """Its priority."""
        about = {"dedup_hash": of["facts"]["dedup_hash"], "canonical_id": of["canonical_id"]}
        self.say("priorities", "priority", **about, score=score)

    def feed(self, of: Mapping[str, Any], **fields: Any) -> None:
        """To trainers."""
        content_hash = next(key for key, event in self.decided if event is of)
        about = {"artifact_id": of["canonical_id"], "scenario_id": f"phoenix_{of['canonical_id']}"}
        about |= {"dedup_hash": of["facts"]["dedup_hash"], "content_hash": content_hash, "tlp": of["facts"]["tlp"]}
        self.say("phoenix.feed", "scenario", **about | {"slot_ms": self.now_ms, "simulated": False} | fields)

    def pattern(self, *of: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
        """One that these are the texts of."""
        hashes = sorted({key[:8] for key, event in self.decided if any(event is one for one in of)})
        about = {"member_hashes": b"".join(hashes), "size": len(hashes), "simulated": False}
        return copy.deepcopy(self.samples["pattern"]) | about | fields

    def material(self) -> Material:
        """What a fold of the topics would give."""
        reports = [
            Report(key, {k: v for k, v in event.items() if k != "artifact"}, (0, offset), event["artifact"] is not None)
            for offset, (key, event) in enumerate(self.decided)
        ]
        said = self.others.get
        pairs = zip(said("votes", []), said("verdicts", []), strict=True)
        return Material(
            reports,
            {one["dedup_hash"]: (one, self.now_ms) for one in said("priorities", [])},
            said("links", []),
            [(vote, verdict, self.now_ms) for vote, verdict in pairs if vote["ignored"] is None],
            said("phoenix.feed", []),
            {("node", "node-1"): (T0 - 5000, T0 - 4000)},
        )

    def export(self, patterns: Iterable[Mapping[str, Any]] = (), **asked: Any) -> Exported:
        """Without any topic."""
        material = self.material()
        chosen = choose(material, Choice(**asked))
        contents = {
            (0, offset): event["artifact"] for offset, (_, event) in enumerate(self.decided) if event["artifact"]
        }
        return compose("icn", NAMES, material, chosen, contents, patterns)

    def write(self, net: Network, *patterns: Mapping[str, Any], slot_ms: int = T0) -> None:
        """To the topics, the decisions to all partitions; with the patterns, a window that ends there."""
        producer, encode = (
            Producer(net.settings.librdkafka_producer()),
            {n: codec.encoder(n) for n in (*self.samples, "window")},
        )

        def put(alias: str, name: str, event: Mapping[str, Any], key: bytes = b"", partition: int = 0) -> bytes:
            value = encode[name](event)
            producer.produce(net.topic(alias), value, key, partition)
            return value

        for key, event in self.decided:
            artifact = event["artifact"] and encode["artifact"](event["artifact"])
            put("artifacts.decided", "decided", {**event, "artifact": artifact}, key, key[0] % 4)
        for alias, schema in (
            ("verdicts", "verdict"),
            ("votes", "vote"),
            ("links", "link"),
            ("priorities", "priority"),
        ):
            for event in self.others.get(alias, ()):
                put(alias, schema, event)
        for event in self.others.get("phoenix.feed", ()):
            put("phoenix.feed", "scenario", event)
        if patterns:
            values = [put("patterns", "pattern", {**one, "slot_ms": slot_ms}) for one in patterns]
            said = {"slot_ms": slot_ms, "patterns": len(values), "digests": b"".join(map(digest_of, values))}
            put("windows", "window", sample("window") | said)
        assert producer.flush(30) == 0


def objects(text: str) -> list[dict[str, Any]]:
    """Of a bundle."""
    found: list[dict[str, Any]] = json.loads(text)["objects"] if text else []
    return found
