"""STIX export: what maps to what, what is never exported, and that the same events are the same bytes."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from streams.watch.stix import CONTENT_MAX, EXTENSION, MARKINGS, NAMESPACE, PROPERTIES
from tests.support.exporting import Story, objects
from tests.support.stix_valid import complaints

LOADER = "SHIPSHAPE drops a new loader"


def of_type(text: str, kind: str) -> list[dict[str, Any]]:
    return [one for one in objects(text) if one["type"] == kind]


def notes(text: str) -> dict[str, dict[str, Any]]:
    """content -> note."""
    return {one["content"]: one for one in of_type(text, "note")}


def named(text: str, id_: str) -> str:
    """The name of an identity."""
    return next(one["name"] for one in of_type(text, "identity") if one["id"] == id_)


def told(one: dict[str, Any]) -> dict[str, Any]:
    """Our extension of an object."""
    said: dict[str, Any] = one["extensions"][EXTENSION]
    return said


def tlp(one: dict[str, Any]) -> str:
    (mark,) = one["object_marking_refs"]
    return next(name for name, id_ in MARKINGS.items() if id_ == mark)


def everything() -> tuple[Story, list[dict[str, Any]]]:
    """A story with all that can be exported, and its patterns."""
    story = Story()
    first = story.report(LOADER, threat_level=6.0, confidence=0.804)
    story.report(LOADER, "node-2", confidence=0.2)
    story.report(LOADER, "node-2", confidence=0.9)
    other = story.report(LOADER, "node-3", source="a disk", confidence=0.1)
    near = story.report(f"{LOADER} again", "node-3", tlp="AMBER")
    story.link(near, first)
    story.vote(first, "refuted")
    story.score(first, 0.3)
    story.feed(other)
    return story, [story.pattern(first, near)]


def test_the_official_validator_finds_nothing_to_say() -> None:
    story, patterns = everything()
    plain = story.report("nothing to learn from")
    nothing = {"classification": "unknown", "characteristics": [], "pattern_id": None, "pattern_name": None}
    story.feed(plain, objectives=[], tags=[], context={}, expected=nothing)
    assert complaints(story.export(patterns).text) == []


def test_the_validator_would_have_found_something() -> None:
    """Each of these changes is one that it says something about."""
    story, patterns = everything()
    text = story.export(patterns).text
    for wrong, right in (
        ("maybe", "disagree"),
        ("relationship--", "note--"),
        ("T22:61", "T22:00"),
        ("x_terms", "context"),
    ):
        assert right in text and complaints(text.replace(right, wrong)) != [], right


def test_hostile_words_make_no_invalid_bundle() -> None:
    """Sources that are no URL, names and contents of any kind."""
    story, rng = Story(), random.Random(5)
    sources = [
        "https://example.org/a b",
        "https://example.org/%zz",
        "http://cve/x",
        "cve",
        "https://[::1",
        "https://exämple.org/ü",
        "CVE-2026-1234",
        "https://example.org:99999999/",
        "https://example.org/{x}|\\^`",
        "javascript:alert(1)",
        "https://a..b/?q=%41&x=1#f",
        "https://user:pw@example.org/",
        "\n",
        "x" * 5000,
        "".join(map(chr, rng.choices(range(0x20, 0xD7FF), k=200))),
    ]
    for number, source in enumerate(sources):
        noise = "".join(map(chr, rng.choices([*range(1, 0xD7FF), *range(0xE000, 0x1FFFF)], k=300)))
        story.report(f"{number} {noise}\x00\u2028", f"cve {noise[:20]}", source=source, content_type=noise[20:40])
    story.report(" ", source=None)
    done = story.export()
    assert complaints(done.text) == [] and len(done.chosen.artifacts) == len(sources) + 1
    assert json.loads(done.text.encode()) == json.loads(done.text)


def test_an_artifact_is_a_note_by_its_node_with_all_that_is_known_of_it() -> None:
    story, patterns = everything()
    text = story.export(patterns).text
    (note,) = [
        n for n in of_type(text, "note") if n["content"] == LOADER and "version" in told(n) and n["confidence"] == 90
    ]
    assert named(text, note["created_by_ref"]) == "node-1" and note["object_refs"] == [note["created_by_ref"]]
    assert note["external_references"] == [{"source_name": "example.org", "url": "https://example.org/1"}]
    said = told(note)
    assert (said["version"], said["sightings"], said["decision"]) == (2, 3, "UPGRADED"), "the newest version"
    assert said["priority_score"] == 0.3 and said["effective_reputation"] == 0.5 and said["domain"] == "malware"
    assert said["decided_at"] == "icn.artifacts.decided/0/2" and said["raw_at"] == "icn.artifacts.raw/0/2"
    assert re.fullmatch("[0-9a-f]{64}", said["content_hash"]) and re.fullmatch(
        "[0-9a-f]{64}:[0-9a-f]{16}", said["dedup_hash"]
    )
    assert note["created"] == "2026-11-23T22:10:01.000Z" < note["modified"]


def test_what_was_said_before_is_a_relationship_and_what_others_said_is_a_sighting() -> None:
    story, patterns = everything()
    text = story.export(patterns).text
    by_id = {one["id"]: one for one in objects(text)}
    kinds = {
        (by_id[one["source_ref"]]["content"], by_id[one["target_ref"]]["content"]): told(one)
        if "extensions" in one
        else None
        for one in of_type(text, "relationship")
    }
    assert kinds.keys() == {("node-2 reported a0 again.", LOADER), (LOADER, LOADER), (f"{LOADER} again", LOADER)}
    assert kinds[LOADER, LOADER]["similarity"] == 1.0 and kinds[f"{LOADER} again", LOADER]["similarity"] == 0.9
    assert {one["relationship_type"] for one in of_type(text, "relationship")} == {"duplicate-of"}
    sightings = {named(text, one["where_sighted_refs"][0]): one for one in of_type(text, "sighting")}
    assert {name: (one["count"], told(one)["independent"]) for name, one in sightings.items()} == {
        "node-2": (2, False),
        "node-3": (1, True),
    }
    assert all(by_id[one["sighting_of_ref"]]["content"] == LOADER for one in sightings.values())
    assert sightings["node-2"]["first_seen"] < sightings["node-2"]["last_seen"]


def test_a_vote_that_counts_is_an_opinion_of_its_judge() -> None:
    story = Story()
    first = story.report(LOADER)
    again = story.report(LOADER, "node-2", confidence=0.0)
    story.vote(first, "refuted")
    story.vote(again, "confirmed", "dave")
    story.vote(first, "refuted", "eve", ignored="own_artifact")
    text = story.export().text
    found = {named(text, one["created_by_ref"]): one for one in of_type(text, "opinion")}
    assert {judge: one["opinion"] for judge, one in found.items()} == {"carol": "disagree", "dave": "agree"}
    assert {one["object_refs"][0] for one in found.values()} == {notes(text)[LOADER]["id"]}
    assert found["carol"]["explanation"] == "a clean installer" and told(found["carol"])["weight"] == 0.5


def test_a_pattern_is_a_grouping_of_its_texts_and_a_fed_scenario_a_note_on_its_artifact() -> None:
    story, patterns = everything()
    text = story.export(patterns).text
    (grouping,) = of_type(text, "grouping")
    members = {one["content"] for one in objects(text) if one["id"] in grouping["object_refs"]}
    assert members == {LOADER, f"{LOADER} again"} and len(grouping["object_refs"]) == 3, "one text, of two sources"
    assert told(grouping)["terms"] == patterns[0]["terms"] and grouping["name"] == patterns[0]["name"]
    assert patterns[0]["sample"] not in text
    (fed,) = [one for one in of_type(text, "note") if one.get("abstract") == "Fed to trainers"]
    (artifact,) = [one for one in objects(text) if one["id"] == fed["object_refs"][0]]
    assert told(artifact)["artifact_id"] == "a3" and told(fed)["objectives"] == [
        "high_threat_response",
        "crisis_management",
    ]


def test_the_strictest_marking_of_all_reports_of_a_content_holds() -> None:
    """Of a DUPLICATE, of another source, of a simulated one: whoever said it, wherever."""
    story = Story()
    story.report("one", tlp="CLEAR")
    story.report("one", tlp="GREEN", confidence=0.0)
    story.report("two", tlp="CLEAR")
    story.report("two", "node-2", tlp="AMBER", source="elsewhere")
    story.report("three", tlp="CLEAR")
    story.report("three", "node-3", tlp="AMBER+STRICT", source="made up", simulated=True)
    text = story.export().text
    assert {n["content"]: tlp(n) for n in notes(text).values() if "version" in told(n)} == {
        "one": "GREEN",
        "two": "AMBER",
        "three": "AMBER+STRICT",
    }


@pytest.mark.parametrize("how", ["first", "duplicate", "another source", "simulated", "of old", "unknown word"])
def test_nothing_of_red_is_exported(how: str) -> None:
    """Not the text, who sent it, what was said of it, its hash or its id; nor the words of a pattern that it is in."""
    story = Story()
    fine, mild = story.report("a fine text"), "CLEAR"
    red = story.report("secret plans", "spy", tlp="RED" if how == "first" else mild)
    if how == "duplicate":
        story.report("secret plans", "other spy", tlp="RED", confidence=0.0)
    if how == "another source":
        story.report("SECRET  plans", "other spy", tlp="RED", source="b")
    if how == "simulated":
        story.report("secret plans", "other spy", tlp="RED", source="b", simulated=True)
    if how == "unknown word":
        story.report("secret plans", "other spy", tlp="PURPLE", confidence=0.0)
    story.link(fine, red)
    story.vote(red, "confirmed", "mole")
    story.feed(red, **({"tlp": "RED"} if how == "of old" else {}))
    both = story.pattern(
        fine, red, name="secret · plans", sample="secret plans", terms=[{"words": "secret", "weight": 1.0}]
    )
    only = story.pattern(red, pattern_id="pattern-red", name="secret")
    done = story.export([both, only])
    assert not re.search("secret|spy|mole|pattern-red", done.text, re.IGNORECASE)
    assert red["facts"]["dedup_hash"][:32].hex() not in done.text and MARKINGS.keys() == {*MARKINGS} - {"RED"}
    assert done.chosen.left_out["red"] >= 1 and done.patterns_left_out == {"red": 1} and done.patterns_silent == 1
    assert done.near_stricter == 1, "its like is told of, and exported with its own marking"
    assert not [one for one in objects(done.text) if one["type"] == "marking-definition" and one["name"] == "TLP:RED"]


def test_tlp_max_leaves_out_what_is_stricter_and_each_object_bears_a_marking() -> None:
    story, patterns = everything()
    done = story.export(patterns, tlp_max="GREEN")
    assert done.chosen.left_out == {"stricter": 1} and done.patterns_silent == 1
    marked = [one for one in objects(done.text) if one["type"] != "marking-definition"]
    assert {tlp(one) for one in marked} == {"CLEAR", "GREEN"}, "clear: what our extension is"
    assert {one["name"] for one in of_type(done.text, "marking-definition")} == {"TLP:CLEAR", "TLP:GREEN"}
    whole = story.export(patterns)
    (grouping,) = of_type(whole.text, "grouping")
    assert tlp(grouping) == "AMBER" and whole.patterns_silent == 0, "its words are of an AMBER text"


def test_the_same_events_give_the_same_bytes_and_another_deployment_other_ids() -> None:
    first, second = (story.export(patterns).text for story, patterns in (everything(), everything()))
    assert first == second
    story, patterns = everything()
    random.Random(1).shuffle(story.others["links"])
    ids = {one["id"] for one in objects(story.export(patterns).text)}
    assert all(json.loads(first)["objects"][n]["id"] <= one["id"] for n, one in enumerate(objects(first)[1:]))
    assert {one["id"] for one in objects(first)} == ids and str(NAMESPACE) != "00abedb4-aa42-466c-9c01-fed23315a9b7"


def test_a_later_version_is_the_same_object_modified_later() -> None:
    story = Story()
    story.report(LOADER, confidence=0.5)
    before = notes(story.export().text)[LOADER]
    story.report(LOADER, "node-2", confidence=0.7)
    after = notes(story.export().text)[LOADER]
    assert (before["id"], before["created"], before["created_by_ref"]) == (
        after["id"],
        after["created"],
        after["created_by_ref"],
    )
    assert before["modified"] < after["modified"] and after["confidence"] == 70
    story.report(LOADER, "node-2", confidence=0.1, tlp="AMBER")
    assert notes(story.export().text)[LOADER]["modified"] > after["modified"], "its marking is another one"


def test_every_reference_leads_into_the_bundle_and_every_property_of_ours_is_explained() -> None:
    story, patterns = everything()
    found = objects(story.export(patterns).text)
    ids, used = {one["id"] for one in found}, set()
    for one in found:
        for name, value in one.items():
            refs = [value] if name.endswith("_ref") else value if name.endswith("_refs") else []
            assert set(refs) <= ids, (one["id"], name)
        used |= one.get("extensions", {}).get(EXTENSION, {}).keys()
    assert len(ids) == len(found) and used - {"extension_type"} == PROPERTIES.keys()


def test_a_long_content_is_cut_and_says_how_long_it_was() -> None:
    story = Story()
    story.report("x" * (CONTENT_MAX + 1))
    (note,) = of_type(story.export().text, "note")
    assert (
        len(note["content"]) == CONTENT_MAX
        and note["content"].endswith("x…")
        and told(note)["characters"] == CONTENT_MAX + 1
    )


def test_since_until_limit_and_simulated_choose_artifacts_and_say_what_they_leave_out() -> None:
    story = Story()
    made = [story.report(f"text {number}", simulated=number == 0) for number in range(6)]
    times = [one["facts"]["raw_ms"] for one in made]
    story.score(made[4], 0.2)
    story.score(made[2], 0.1)
    for asked, texts, left_out in (
        ({}, "12345", {"simulated": 1}),
        ({"simulated": True}, "012345", {}),
        ({"since_ms": times[2], "until_ms": times[4]}, "23", {"simulated": 1, "time": 3}),
        ({"limit": 2}, "24", {"simulated": 1, "limit": 3}),
    ):
        done = story.export(**asked)
        assert {one[-1] for one in notes(done.text)} == set(texts) and +done.chosen.left_out == left_out, asked
    assert story.export(since_ms=times[-1] + 1).text == ""


def test_a_simulated_pattern_is_exported_only_with_the_simulated() -> None:
    story = Story()
    one = story.report("text")
    pattern = story.pattern(one, simulated=True)
    assert story.export([pattern]).patterns_left_out == {"simulated": 1}
    assert of_type(story.export([pattern], simulated=True).text, "grouping")


def test_numbers_that_json_has_not_are_left_out() -> None:
    story = Story()
    one = story.report("text")
    forged = story.pattern(
        one, stability=float("nan"), confidence=float("inf"), terms=[{"words": "a", "weight": float("nan")}]
    )
    (grouping,) = of_type(story.export([forged]).text, "grouping")
    assert not told(grouping).keys() & {"stability", "terms"} and grouping["confidence"] == 0
