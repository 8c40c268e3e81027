"""What a STIX export is made of: folds of the topics, up to their ends as of now; and the bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from streams.broker.registrations import JUDGE, NODE
from streams.broker.topics import events, fold
from streams.codec import Undecodable, decoder
from streams.domain.tlp import marked
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.reputation import reputations
from streams.watch.stix import bundle
from streams.watch.stix_bundle import Export
from streams.watch.stix_choice import Artifact, Choice, Chosen, Material, Report, choose, is_stricter
from streams.watch.stix_patterns import groupings
from streams.watch.stix_speakers import Speakers

SPEAK_OF_ARTIFACTS = ("artifacts.raw", "artifacts.decided")  # topics whose coordinates are told
Progress = Callable[[str, int, int], None]  # topic, records read, of how many


class Exported(NamedTuple):
    """text: the bundle; empty, if no artifact is exported. patterns_left_out: key of stix_patterns.REASONS -> how many. patterns_silent:
    how many are exported without their words. near_stricter: exported artifacts that nearly repeat one that is marked stricter than asked
    for, or the other way round.
    """

    text: str
    chosen: Chosen
    objects: int
    patterns_left_out: Mapping[str, int]
    patterns_silent: int
    near_stricter: int


def export(
    topology: Topology,
    settings: Settings,
    choice: Choice,
    patterns: Iterable[Mapping[str, Any]] = (),
    progress: Progress | None = None,
) -> Exported:
    """patterns: of the newest window. Raises BrokerError."""
    material = gather(topology, settings, progress)
    chosen = choose(material, choice)
    contents = contents_of(topology, settings, chosen.artifacts)
    if missing := [one for one in chosen.artifacts if one.newest.at not in contents]:
        chosen.left_out["gone"] += len(missing)
        chosen = replace(chosen, artifacts=[one for one in chosen.artifacts if one.newest.at in contents])
    names = {alias: topology.topic(alias).name for alias in SPEAK_OF_ARTIFACTS}
    return compose(topology.deployment, names, material, chosen, contents, patterns)


def compose(
    deployment: str,
    names: Mapping[str, str],
    material: Material,
    chosen: Chosen,
    contents: Mapping[tuple[int, int], Mapping[str, Any]],
    patterns: Iterable[Mapping[str, Any]] = (),
) -> Exported:
    """The bundle. names: alias of a topic -> its name, of those whose coordinates are told. contents: as contents_of has them. Pure."""
    if not chosen.artifacts:
        return Exported("", chosen, 0, {}, 0, 0)
    speakers = Speakers(deployment, material)
    objects = Export(speakers, names, material, chosen, contents).objects()
    grouped, left_out, silent = groupings(speakers, chosen, patterns)
    text, count = bundle([*objects, *grouped, *speakers.identities()])
    return Exported(text, chosen, count, left_out, silent, _near_stricter(material, chosen))


def gather(topology: Topology, settings: Settings, progress: Progress | None = None) -> Material:
    """All that the topics say of artifacts, but not the artifacts themselves. Raises BrokerError."""

    def said(alias: str, schema: str) -> Iterable[tuple[dict[str, Any], Any]]:
        how = {} if progress is None else {"progress": lambda at, of: progress(alias, at, of)}
        return events(settings, topology.topic(alias).name, schema, **how)

    material, decode_artifact = Material(), decoder("artifact")
    for event, message in said("control", "control"):
        for role in (NODE, JUDGE):
            if event["kind"] == role.event:
                key, ms = (role.name, event["node_id"]), message.timestamp()[1]
                material.registered[key] = (material.registered.get(key, (ms, ms))[0], ms)
    for event, message in said("artifacts.decided", "decided"):
        data = event.pop("artifact")
        has_content = data is not None
        with contextlib.suppress(Undecodable):
            event["facts"]["tlp"] = marked(event["facts"], decode_artifact(data) if has_content else None)
        at = message.partition(), message.offset()
        material.reports.append(Report(message.key() or b"", event, at, has_content))
    for event, message in said("priorities", "priority"):
        material.priorities[event["dedup_hash"]] = event, message.timestamp()[1]
    material.links = [event for event, _ in said("links", "link")]
    material.scenarios = [event for event, _ in said("phoenix.feed", "scenario")]
    counted = {
        (event["input_partition"], event["input_offset"]): (event, message.timestamp()[1])
        for event, message in said("votes", "vote")
        if event["ignored"] is None
    }
    for event, message in said("verdicts", "verdict") if counted else ():
        if (vote := counted.get((message.partition(), message.offset()))) is not None:
            material.votes.append((vote[0], event, vote[1]))
    material.standings = {name: one["effective"] for name, one in reputations(topology, settings).items()}
    return material


def contents_of(
    topology: Topology, settings: Settings, artifacts: Iterable[Artifact]
) -> dict[tuple[int, int], dict[str, Any]]:
    """Report.at of the newest version of each -> the artifact as its node sent it; without those that are gone. Raises BrokerError."""
    wanted = {one.newest.at for one in artifacts}
    if not wanted:
        return {}
    partitions = {partition for partition, _ in wanted}
    start = {p: min(offset for at, offset in wanted if at == p) for p in partitions}
    until = dict.fromkeys(range(topology.topic("artifacts.decided").partitions), 0)
    until |= {p: max(offset for at, offset in wanted if at == p) + 1 for p in partitions}
    decode, decode_artifact, found = decoder("decided"), decoder("artifact"), {}
    for message in fold(settings, topology.topic("artifacts.decided").name, start=start, until=until):
        if (at := (message.partition(), message.offset())) in wanted:
            try:
                found[at] = decode_artifact(decode(message.value() or b"")["artifact"])
            except Undecodable:  # it names a schema that nobody knows here
                continue
    return found


def _near_stricter(material: Material, chosen: Chosen) -> int:
    exported = {one.dedup_hash for one in chosen.artifacts}
    marked = {one.facts["dedup_hash"]: chosen.marks[one.content_hash].tlp for one in material.reports}
    stricter = {hash_ for hash_, tlp in marked.items() if is_stricter(tlp, chosen.choice.tlp_max)}
    pairs = [(link["dedup_hash"], link["near_dedup_hash"]) for link in material.links]
    near = {one for a, b in pairs for one, other in ((a, b), (b, a)) if other in stricter}
    return len(near & exported)
