"""A feed without its stages: artifacts and priorities, written by the test; s6 in this process, a round when it is told to."""

from __future__ import annotations

import copy
import hashlib
import json
import random
from typing import Any

from confluent_kafka import Producer

from streams import codec
from streams.agents.s6_phoenix import Phoenix
from streams.domain.priority import Weights, score
from streams.replay.phoenix import verify_feed
from streams.replay.verify import Result
from streams.runtime.rules import rule_version
from tests.support.fold import events_in_order
from tests.support.network import ROOT, Network

MINUTE_MS = 60_000
FIRST_MS = 1_795_471_800_000
WEIGHTS = Weights(0.4, 0.3, 0.2, 86_400_000)


class Written:
    """simulated: rounds may be of any time."""

    def __init__(self, net: Network) -> None:
        self.net, self.rng, self.count = net, random.Random(7), 0
        self.producer = Producer(net.settings.librdkafka_producer())
        self.samples = {
            name: codec.from_jsonable(
                codec.schema(name), json.loads((ROOT / f"schemas/samples/{name}.json").read_text())
            )
            for name in ("decided", "artifact", "priority", "reputation")
        }
        self.encode = {name: codec.encoder(name) for name in self.samples}
        self.process = self.taken_over()

    def taken_over(self) -> Phoenix:
        process = Phoenix(self.net.topology, self.net.settings)
        process.take_over()
        return process

    def artifact(self, raw_ms: int, **more: Any) -> bytes:
        """Decided and scored; its dedup_hash. more: node_id, domain, content_type, content, threat_level, tlp, reputation, content_hash,
        decision."""
        number, self.count = self.count, self.count + 1
        content = more.get("content", " ".join(f"w{self.rng.randrange(400)}" for _ in range(20)) + f" n{number}")
        dedup = more.get("dedup_hash") or hashlib.blake2b(f"{number}".encode(), digest_size=40).digest()
        key = more.get("content_hash") or hashlib.blake2b(content.encode(), digest_size=32).digest()
        metadata = {"domain": more.get("domain", "d1")}
        artifact = self.samples["artifact"] | {"content": content, "metadata": metadata, "artifact_id": f"a{number}"}
        event = copy.deepcopy(self.samples["decided"]) | {
            "canonical_id": f"a{number}",
            "decision": more.get("decision", "UNIQUE"),
        }
        event["artifact"] = None if event["decision"] == "DUPLICATE" else self.encode["artifact"](artifact)
        fields = {
            "raw_ms": raw_ms,
            "artifact_id": f"a{number}",
            "node_id": more.get("node_id", "n1"),
            "tlp": more.get("tlp", "AMBER"),
        }
        fields |= {"dedup_hash": dedup, "content_type": more.get("content_type", "text")}
        fields |= {"threat_level": more.get("threat_level", 5.0)}
        event["facts"] |= fields
        event["first_seen_ms"] = raw_ms
        self.put("artifacts.decided", self.encode["decided"](event), key, key[0] % 4)
        if event["artifact"] is not None:
            self.scored(dedup, raw_ms, fields["threat_level"], fields["node_id"], more.get("reputation", 0.5))
        return dedup

    def scored(self, dedup: bytes, raw_ms: int, threat: float, node_id: str, reputation: float) -> None:
        made = score(WEIGHTS, threat, 0.0, 0.5, reputation, raw_ms, raw_ms)
        event = self.samples["priority"] | made._asdict() | {"dedup_hash": dedup, "node_id": node_id}
        event |= {
            "effective_reputation": reputation,
            "reputation_revision": 0,
            "first_seen_ms": raw_ms,
            "raw_ms": raw_ms,
        }
        self.put("priorities", self.encode["priority"](event), b"a")

    def put(self, alias: str, value: bytes, key: bytes = b"", partition: int = 0) -> str:
        """Returns where it is, once `flush` has said so."""
        at: list[Any] = []
        self.producer.produce(self.net.topic(alias), value, key, partition, on_delivery=lambda _, m: at.append(m))
        self.producer.poll(0)
        if len(self.producer) > 50_000:
            self.flush()
        return ""

    def flush(self) -> None:
        assert self.producer.flush(30) == 0

    def round(self, slot_ms: int) -> list[dict[str, Any]]:
        """The scenarios that are fed in that minute."""
        self.flush()
        return self.process.make(slot_ms).scenarios

    def read(self, alias: str) -> list[dict[str, Any]]:
        return events_in_order(self.net.settings, self.net.topic(alias))

    def verify(self) -> Result:
        return verify_feed(self.net.topology, self.net.settings, rule_version(self.net.topology))
