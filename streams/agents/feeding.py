"""Records -> the feed's state, and its rounds as events. The same for s6, which writes them, and for whoever finds them again."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from streams.agents.inbox import Letter
from streams.agents.shelf import Item, Shelf
from streams.agents.windows import HASH_BYTES, digest_of
from streams.agents.windows_written import digests_of
from streams.codec import Undecodable, decoder, encoder
from streams.domain import scenario as of
from streams.domain.choice import Choice
from streams.domain.gate import Fed, Rules, rules_of
from streams.domain.phoenix import Feed
from streams.domain.shape import SHORT
from streams.domain.tlp import ORDER, marked
from streams.domain.waiting import Known
from streams.secrets import derive
from streams.topology import Topology
from streams.units import duration_ms

STAGE = "s6_phoenix"
# patterns come before the window that says which are its own, artifacts before their priorities
SOURCES = ("patterns", "windows", "artifacts.decided", "reputation.log", "priorities")
SCHEMAS = {
    "patterns": "pattern",
    "windows": "window",
    "artifacts.decided": "decided",
    "reputation.log": "reputation",
    "priorities": "priority",
}
KNOWN = ("source_type", "collection_method")  # of metadata, beside the domain
TEXT_MAX = 500  # characters of each thing in a scenario's context
UNCLAIMED_MAX = 2_000  # patterns of which no window has spoken yet
PLAIN = ("threat_level", "opportunity_value", "confidence", "raw_ms", "raw_partition", "raw_offset", "simulated")
COPIED = ("artifact_id", "version", "sent_id", "input", "first_seen_ms", "decided_partition", "decided_offset", *PLAIN)


class Made(NamedTuple):
    """A round as events."""

    scenarios: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    round: dict[str, Any]


def rules_in(topology: Topology) -> Rules:
    """As topology.yaml has them."""
    given = topology.protocol["phoenix"]
    half_life_ms = duration_ms(topology.protocol["priority"]["half_life"])
    return rules_of(given, duration_ms(given["every"]), duration_ms(given["candidates"]), half_life_ms)


class Folder:
    """shelf: what is fed of each artifact is kept there. rule: of whoever makes rounds."""

    def __init__(self, topology: Topology, secret: bytes, rule: bytes, shelf: Shelf) -> None:
        self.topology, self.rule, self.shelf = topology, rule, shelf
        self.key, self.round_key = derive(secret, "scenario-seal"), derive(secret, "round-seal")
        self.encode_round = encoder("round")
        self.lists: Mapping[str, Sequence[str]] = topology.protocol["patterns"]["characteristics"]
        salt = int.from_bytes(derive(secret, "scenario-sample")[:8], "big")
        self.feed = Feed(rules_in(topology), lambda keys: [item["input"] for item in shelf.get(keys)], salt)
        self.decode = {alias: decoder(schema) for alias, schema in SCHEMAS.items()}
        self.decode_artifact = decoder("artifact")
        self.unclaimed: dict[tuple[int, bytes], tuple[str, str, bytes]] = {}
        # of the newest window: first bytes of a content_hash -> id, name
        self.pattern_of: dict[bytes, tuple[str, str]] = {}

    # -- what stages say ----------------------------------------------------

    def fold(self, letters: Iterable[Letter]) -> None:
        """What can't be read tells nothing; replay says where it is."""
        take = {
            "patterns": self._pattern,
            "windows": self._window,
            "artifacts.decided": self._decided,
            "reputation.log": self._revision,
            "priorities": self._priority,
        }
        for letter in letters:
            try:
                take[letter.source](self.decode[letter.source](letter.record.value or b""), letter)
            except Undecodable:
                continue

    def _decided(self, event: dict[str, Any], letter: Letter) -> None:
        key, facts = letter.record.key, event["facts"]
        if key is None or len(key) != HASH_BYTES:
            return
        artifact = self._artifact(event)
        metadata = artifact["metadata"] if artifact else {}
        said = of.input_of(facts["content_type"], artifact["content"]) if artifact else ""
        domain = of.domain_of(metadata)
        known = Known(
            facts["dedup_hash"],
            int.from_bytes(key[:8], "big"),
            of.novelty_of(facts["content_type"], domain, said),
            domain,
            facts["node_id"],
            facts["content_type"],
            marked(facts, artifact),
            facts["raw_ms"],
            event["sightings"],
        )
        self.feed.decided(known, is_new=artifact is not None)
        if artifact:
            self.shelf.put(known.dedup_hash, self._item(event, artifact, said, letter, key))

    def _artifact(self, event: Mapping[str, Any]) -> dict[str, Any] | None:
        """None: it brings none, or one that can't be read; its facts hold all the same."""
        with contextlib.suppress(Undecodable):
            return None if event["artifact"] is None else self.decode_artifact(event["artifact"])
        return None

    @staticmethod
    def _item(event: Mapping[str, Any], artifact: Mapping[str, Any], said: str, letter: Letter, key: bytes) -> Item:
        facts, metadata = event["facts"], artifact["metadata"]
        context = {name: metadata[name] for name in KNOWN if name in metadata}
        context |= {"source": artifact["source"]} if artifact["source"] else {}
        context |= {"collected_at": str(artifact["collected_at"])}
        return {
            "artifact_id": event["canonical_id"],
            "version": event["version"],
            "sent_id": facts["artifact_id"],
            "content_hash": key.hex(),
            "input": said,
            "context": {name: text[:TEXT_MAX] for name, text in context.items()},
            "first_seen_ms": event["first_seen_ms"],
            "decided_partition": letter.partition,
            "decided_offset": letter.record.offset,
            "facts_seal": facts["seal"].hex(),
            **{name: facts[name] for name in PLAIN},
        }

    def _priority(self, event: dict[str, Any], _: Letter) -> None:
        self._think(event["node_id"], event["reputation_revision"], event["effective_reputation"])
        self.feed.waiting.scored(event["dedup_hash"], event["rank_key"])

    def _revision(self, event: dict[str, Any], _: Letter) -> None:
        self._think(event["node_id"], event["revision"], event["effective"])

    def _think(self, node: str, revision: int, effective: float) -> None:
        if 0 < effective <= 1:
            self.feed.waiting.thought_of(node, revision, effective)

    def _pattern(self, event: dict[str, Any], letter: Letter) -> None:
        identity = event["slot_ms"], digest_of(letter.record.value or b"")
        self.unclaimed[identity] = event["pattern_id"], event["name"][:TEXT_MAX], event["member_hashes"]
        while len(self.unclaimed) > UNCLAIMED_MAX:
            del self.unclaimed[next(iter(self.unclaimed))]

    def _window(self, event: dict[str, Any], _: Letter) -> None:
        own = [self.unclaimed.get((event["slot_ms"], digest)) for digest in digests_of(event)]
        if None in own:
            return  # none that s5 wrote: its patterns come with it
        self.unclaimed.clear()
        self.pattern_of = {
            hashes[at : at + SHORT]: (pattern_id, name)
            for pattern_id, name, hashes in filter(None, own)
            for at in range(0, len(hashes), SHORT)
        }

    # -- what was fed -------------------------------------------------------

    def take_fed(self, event: Mapping[str, Any]) -> None:
        """What bears no seal of the deployment was never fed."""
        if not self.was_fed(event):
            return
        fed = Fed(
            event["slot_ms"],
            event["domain"],
            event["node_id"],
            event["content_type"],
            of.novelty_of(event["content_type"], event["domain"], event["input"]),
            tuple(event["objectives"]),
            event["input"],
        )
        self.feed.fed(event["dedup_hash"], fed)

    def was_fed(self, event: Mapping[str, Any]) -> bool:
        return of.is_fed(self.key, event["slot_ms"], event["dedup_hash"], event["seal"])

    def take_refused(self, event: Mapping[str, Any]) -> None:
        self.feed.refused(event["dedup_hash"], event["reason"])

    # -- a round ------------------------------------------------------------

    def tidy(self, slot_ms: int) -> None:
        """Before each round: forget what waits no longer."""
        self.shelf.drop(self.feed.waiting.tidy(slot_ms))

    def round(self, slot_ms: int, read: Mapping[str, int]) -> Made:
        """Choose, and take what was chosen as fed. read: as the inbox's position. One thread: with more the last digits depend on their
        number."""
        import sklearn.decomposition  # noqa: F401  # only what is loaded has its threads limited
        from threadpoolctl import threadpool_limits

        self.tidy(slot_ms)
        with threadpool_limits(1):
            chosen = self.feed.choose(slot_ms)
        refusals = [self._refusal(slot_ms, one) for one in chosen.told]
        scenarios = []
        for choice, item in zip(
            chosen.choices, self.shelf.get([one.dedup_hash for one in chosen.choices]), strict=True
        ):
            scenario = self._scenario(slot_ms, choice, item)
            scenarios.append(scenario)
            self.take_fed(scenario)
        for refusal in refusals:
            self.take_refused(refusal)
        domains = self.feed.domains(slot_ms)
        told = {
            "slot_ms": slot_ms,
            "read": dict(read),
            "fed": len(scenarios),
            "told": len(refusals),
            "waiting": self.feed.wait(slot_ms),
            "refused": chosen.refused,
            "domains_waiting": domains.waiting,
            "domains_starving": domains.starving,
            "starving": [one._asdict() for one in domains.longest],
            "opens_ms": None if scenarios else self.feed.opens_ms(slot_ms),
            "rule": self.rule,
        }
        return Made(scenarios, refusals, told | {"seal": self._seal_of_round(told)})

    def is_own(self, event: Mapping[str, Any]) -> bool:
        """Whether a round is of somebody who has the deployment's key."""
        return event["seal"] is not None and hmac.compare_digest(event["seal"], self._seal_of_round(event))

    def _seal_of_round(self, event: Mapping[str, Any]) -> bytes:
        return of.seal_of(self.round_key, self.encode_round({**event, "seal": None}))

    def _refusal(self, slot_ms: int, one: Any) -> dict[str, Any]:
        waiting, (item,) = self.feed.waiting, self.shelf.get([one.dedup_hash])
        at = waiting.at[one.dedup_hash]
        return {
            "slot_ms": slot_ms,
            "artifact_id": item["artifact_id"],
            **self._names(at),
            **one._asdict(),
            "simulated": item["simulated"],
            "rule": self.rule,
        }

    def _names(self, at: int) -> dict[str, str]:
        return dict(zip(("domain", "node_id", "content_type"), self.feed.waiting.names_of(at), strict=True))

    def _scenario(self, slot_ms: int, choice: Choice, item: Item) -> dict[str, Any]:
        waiting, windows = self.feed.waiting, self.feed.windows
        at = waiting.at[choice.dedup_hash]
        names, (revision, effective) = self._names(at), waiting.reputation(at)
        content_hash = bytes.fromhex(item["content_hash"])
        pattern_id, pattern_name = self.pattern_of.get(content_hash[:SHORT], (None, None))
        kinds = {"domain": names["domain"], "node": names["node_id"], "content_type": names["content_type"]}
        return {
            "scenario_id": f"phoenix_{item['artifact_id']}",
            "slot_ms": slot_ms,
            **choice._asdict(),
            **names,
            **{name: item[name] for name in COPIED},
            "content_hash": content_hash,
            "difficulty": min(10.0, item["threat_level"]),
            "objectives": of.objectives(item["threat_level"], item["opportunity_value"], windows.objectives()),
            "expected": {
                "classification": names["domain"],
                "characteristics": of.characteristics(item["input"], self.lists),
                "pattern_id": pattern_id,
                "pattern_name": pattern_name,
            },
            "context": item["context"] | {"sightings": str(int(waiting["sightings"][at]))},
            "tlp": ORDER[int(waiting["tlp"][at])],
            "tags": of.tags(names["content_type"], names["domain"], names["node_id"], item["raw_ms"]),
            "novelty": windows.novelty_score(slot_ms, kinds),
            "effective_reputation": effective,
            "reputation_revision": revision,
            "facts_seal": bytes.fromhex(item["facts_seal"]),
            "seal": of.seal(self.key, slot_ms, choice.dedup_hash),
            "rule": self.rule,
        }
