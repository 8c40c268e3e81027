"""From the artifacts that were chosen, and what the topics say of them, to the objects of a STIX bundle. Pure.

artifact -> note; repetition -> relationship `duplicate-of`; report by another node -> sighting; vote -> opinion; fed scenario -> note on
the artifact's; pattern -> grouping; who speaks -> identity.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from streams.codec import jsonable
from streams.watch import stix
from streams.watch.stix import Object, extended, made, percent, shortened
from streams.watch.stix_choice import Artifact, Chosen, Mark, Material, Report, strictest_of
from streams.watch.stix_speakers import Speakers

OPINIONS = {"confirmed": "agree", "refuted": "disagree"}


class Export:
    """names: alias of a topic -> its name. contents: Report.at of each artifact's newest version -> the artifact itself."""

    def __init__(
        self,
        speakers: Speakers,
        names: Mapping[str, str],
        material: Material,
        chosen: Chosen,
        contents: Mapping[tuple[int, int], Mapping[str, Any]],
    ) -> None:
        self.speakers, self.names, self.material, self.contents = speakers, names, material, contents
        self.chosen, self.artifacts = chosen, chosen.artifacts
        self.by_hash = {(one.dedup_hash, one.canonical_id): one for one in self.artifacts}
        self.by_content = defaultdict[bytes, list[Artifact]](list)
        for one in self.artifacts:
            self.by_content[one.content_hash].append(one)
        self.made: dict[str, Object] = {}

    def objects(self) -> list[Object]:
        """All but patterns, identities, and what every bundle has."""
        for artifact in self.artifacts:
            self._add(self._note(artifact))
            for report in artifact.reports:
                if report.event["decision"] == "DUPLICATE":
                    self._duplicate(artifact, report)
        self._sightings()
        self._repetitions()
        self._opinions()
        self._scenarios()
        return list(self.made.values())

    def _add(self, one: Object) -> None:
        self.made[one["id"]] = one

    def _of_report(self, report: Report) -> Object:
        facts, event = report.facts, report.event
        return {
            "decision": event["decision"],
            "content_type": facts["content_type"],
            "threat_level": facts["threat_level"],
            "opportunity_value": facts["opportunity_value"],
            "effective_reputation": facts["effective_reputation"],
            "content_hash": report.content_hash.hex(),
            "dedup_hash": jsonable(facts["dedup_hash"]),
            "raw_at": f"{self.names['artifacts.raw']}/{facts['raw_partition']}/{facts['raw_offset']}",
            "decided_at": f"{self.names['artifacts.decided']}/{report.at[0]}/{report.at[1]}",
        }

    def _note(self, artifact: Artifact) -> Object:
        newest, tlp = artifact.newest, artifact.mark.tlp
        record = self.contents[newest.at]
        text, author = record["content"], self.speakers.who("node", artifact.first.facts["node_id"], tlp)
        return made(
            "note",
            self.speakers.note_id(artifact),
            newest.event["first_seen_ms"],
            artifact.modified_ms,
            tlp,
            author,
            abstract=shortened(" ".join(text.split()), stix.ABSTRACT_MAX) or None,
            content=shortened(text, stix.CONTENT_MAX),
            authors=[newest.facts["node_id"]],
            object_refs=[author],
            confidence=percent(newest.facts["confidence"]),
            external_references=stix.references(record["source"]),
            extensions=extended(
                **self._of_report(newest),
                artifact_id=artifact.canonical_id,
                version=newest.event["version"],
                sightings=len(artifact.reports),
                domain=record["metadata"].get("domain", "unknown"),
                characters=len(text),
                priority_score=artifact.priority["score"] if artifact.priority else None,
            ),
        )

    def _duplicate(self, artifact: Artifact, report: Report) -> None:
        """Its text is the artifact's but for what makes no difference, and the topic has it no second time: the note doesn't either."""
        facts, mark = report.facts, artifact.mark
        node_id, author = facts["node_id"], self.speakers.who("node", facts["node_id"], mark.tlp)
        note = made(
            "note",
            self.speakers.id("note", "duplicate", node_id, facts["artifact_id"]),
            facts["raw_ms"],
            mark.since_ms,
            mark.tlp,
            author,
            content=f"{node_id} reported {artifact.canonical_id} again.",
            authors=[node_id],
            object_refs=[author],
            confidence=percent(facts["confidence"]),
            extensions=extended(**self._of_report(report), artifact_id=facts["artifact_id"]),
        )
        self._add(note)
        self._relate(note["id"], artifact, facts["raw_ms"], mark)

    def _relate(self, source: str, target: Artifact, ms: int, mark: Mark, **properties: Any) -> None:
        to, author = self.speakers.note_id(target), self.speakers.network(mark.tlp)
        id_, kind = self.speakers.id("relationship", source, "duplicate-of", to), "duplicate-of"
        more = {"extensions": extended(**properties)} if properties else {}
        refs = {"relationship_type": kind, "source_ref": source, "target_ref": to}
        self._add(made("relationship", id_, ms, mark.since_ms, mark.tlp, author, **refs, **more))

    def _first_of(self, artifact: Artifact) -> Artifact | None:
        """The artifact that had its content before, from another source or with other metadata."""
        about = artifact.first.event["corroborates"]
        if about is None:
            return None
        same = self.by_content[artifact.content_hash]
        said = about["artifact_id"], about["node_id"]
        return next((one for one in same if (one.canonical_id, one.first.facts["node_id"]) == said), None)

    def _sightings(self) -> None:
        """One of each artifact by each node that is not its first."""
        found: dict[tuple[str, str], list[tuple[Report, bool]]] = defaultdict(list)
        of = {self.speakers.note_id(one): one for one in self.artifacts}
        for id_, artifact in of.items():
            for report in artifact.reports:
                found[id_, report.facts["node_id"]].append((report, False))
            if first := self._first_of(artifact):
                is_independent = artifact.first.event["corroborates"]["independent"]
                found[self.speakers.note_id(first), artifact.first.facts["node_id"]].append(
                    (artifact.first, is_independent)
                )
        for (id_, node_id), reports in found.items():
            artifact = of[id_]
            if node_id == artifact.first.facts["node_id"]:
                continue
            times, tlp = [report.facts["raw_ms"] for report, _ in reports], artifact.mark.tlp
            author = self.speakers.who("node", node_id, tlp)
            self._add(
                made(
                    "sighting",
                    self.speakers.id("sighting", id_, node_id),
                    min(times),
                    max(*times, artifact.mark.since_ms),
                    tlp,
                    author,
                    first_seen=stix.stamp(min(times)),
                    last_seen=stix.stamp(max(times)),
                    count=len(reports),
                    sighting_of_ref=id_,
                    where_sighted_refs=[author],
                    confidence=percent(max(report.facts["confidence"] for report, _ in reports)),
                    extensions=extended(independent=any(independent for _, independent in reports)),
                )
            )

    def _repetitions(self) -> None:
        for artifact in self.artifacts:
            if first := self._first_of(artifact):
                mark = strictest_of([artifact.mark, first.mark])
                self._relate(
                    self.speakers.note_id(artifact), first, artifact.first.facts["raw_ms"], mark, similarity=1.0
                )
        for link in sorted(self.material.links, key=lambda one: (one["raw_ms"], one["input_offset"])):
            later = self.by_hash.get((link["dedup_hash"], link["artifact_id"]))
            earlier = self.by_hash.get((link["near_dedup_hash"], link["near_duplicate_of"]))
            if later and earlier:
                ms, mark = later.first.facts["raw_ms"], strictest_of([later.mark, earlier.mark])
                told = {"similarity": link["similarity"], "method": link["method"]}
                self._relate(self.speakers.note_id(later), earlier, ms, mark, **told)

    def _opinions(self) -> None:
        places = {
            (one.facts["raw_partition"], one.facts["raw_offset"]): artifact
            for artifact in self.artifacts
            for one in artifact.reports
        }
        for vote, verdict, ms in self.material.votes:
            at = verdict["raw_partition"], verdict["raw_offset"]
            if (artifact := places.get(at)) is None or vote["outcome"] not in OPINIONS:
                continue
            mark, reason = artifact.mark, verdict["reason"]
            self._add(
                made(
                    "opinion",
                    self.speakers.id("opinion", vote["judge"], vote["verdict_id"], *at),
                    ms,
                    mark.since_ms,
                    mark.tlp,
                    self.speakers.who("judge", vote["judge"], mark.tlp),
                    opinion=OPINIONS[vote["outcome"]],
                    explanation=shortened(reason, stix.CONTENT_MAX) if reason else None,
                    authors=[vote["judge"]],
                    object_refs=[self.speakers.note_id(artifact)],
                    extensions=extended(weight=vote["weight"]),
                )
            )

    def _scenarios(self) -> None:
        """A note on the artifact's: its text is the artifact's, and the name of a pattern may quote another one."""
        for fed in self.material.scenarios:
            artifact = self.by_hash.get((fed["dedup_hash"], fed["artifact_id"]))
            if artifact is None or (fed["simulated"] and not self.chosen.choice.simulated):
                continue
            mark, expected = artifact.mark, fed["expected"]
            learnt = f" to learn {', '.join(fed['objectives'])}" if fed["objectives"] else ""
            self._add(
                made(
                    "note",
                    self.speakers.id("note", "scenario", fed["scenario_id"], fed["dedup_hash"].hex(), fed["slot_ms"]),
                    fed["slot_ms"],
                    mark.since_ms,
                    mark.tlp,
                    self.speakers.network(mark.tlp),
                    abstract="Fed to trainers",
                    content=f"Version {fed['version']} was fed to trainers{learnt}; difficulty {fed['difficulty']:g}.",
                    object_refs=[self.speakers.note_id(artifact)],
                    confidence=percent(fed["confidence"]),
                    extensions=extended(
                        scenario_id=fed["scenario_id"],
                        version=fed["version"],
                        difficulty=fed["difficulty"],
                        objectives=fed["objectives"],
                        classification=expected["classification"],
                        characteristics=expected["characteristics"],
                        pattern_id=expected["pattern_id"],
                        priority_score=fed["score"],
                        effective_reputation=fed["effective_reputation"],
                        novelty=fed["novelty"],
                        rank=fed["rank"],
                    ),
                )
            )
