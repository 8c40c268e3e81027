"""`icn export stix` from topics of a real Kafka: complete, the same twice, nothing of RED, and a word on what is left out."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from streams.broker.registrations import register
from tests.support.exporting import T0, Story, objects
from tests.support.network import Network
from tests.support.stix_valid import complaints


def test_a_bundle_of_what_is_on_the_topics(net: Network, tmp_path: Path) -> None:
    empty = net.icn("export", "stix", check=False)
    assert empty.returncode == 1 and "nothing to export: no artifact was decided so far" in empty.stderr

    register(net.topology, net.settings, "node-1", "alice")
    story = Story()
    first = story.report("SHIPSHAPE drops a new loader", threat_level=6.0)
    story.report("SHIPSHAPE drops a new loader", "node-2", confidence=0.0)
    better = story.report("SHIPSHAPE drops a new loader", "node-2", confidence=0.9)
    near = story.report("SHIPSHAPE drops a new loader again", "node-2", tlp="AMBER")
    red = story.report("secret plans", "node-3", tlp="RED")
    made_up = story.report("made up", "node-1", simulated=True)
    story.link(near, first)
    story.link(near, red)
    story.vote(first, "refuted")
    story.score(better, 0.3)
    story.feed(first)
    pattern = story.pattern(first, near, red, name="secret", pattern_id="pattern-1")
    story.write(net, pattern, story.pattern(red, pattern_id="pattern-2", name="plans"))

    file = tmp_path / "shared.json"
    done = net.icn("export", "stix", "-o", str(file))
    text = file.read_text()
    assert done.stdout == "" and complaints(text) == []
    assert net.icn("export", "stix", "--limit", "2").stdout == text, "again, and to stdout"
    assert Counter(one["type"] for one in objects(text)) == {
        "note": 4,  # two artifacts, a duplicate, a scenario
        "identity": 5,  # two nodes, a judge, the deployment, the author of the extension
        "relationship": 2,
        "sighting": 1,
        "opinion": 1,
        "grouping": 1,
        "extension-definition": 1,
        "marking-definition": 3,  # CLEAR, GREEN, AMBER
    }
    assert "secret" not in text and "plans" not in text and "node-3" not in text and "made up" not in text
    for line in (
        "exported 2 artifacts, 18 objects in all",
        "left out: 1 artifact TLP:RED, which is never exported",
        "left out: 1 artifact simulated (--simulated takes them)",
        "left out: 1 pattern all of whose texts are TLP:RED",
        "without terms and name: 1 pattern",
        "look at: 1 exported artifact nearly the same as one that may not be shared so far",
    ):
        assert line in done.stderr, (line, done.stderr)

    only = net.icn(
        "--quiet", "export", "stix", "--simulated", "--no-patterns", "--tlp-max", "green", "--since", "2026-11-20"
    )
    contents = {one["content"] for one in json.loads(only.stdout)["objects"] if one["type"] == "note"}
    assert (
        made_up["artifact"]["content"] in contents and near["artifact"]["content"] not in contents and only.stderr == ""
    )

    late = net.icn("export", "stix", "--since", str(T0 + 3_600_000), check=False)
    assert late.returncode == 1 and "2 artifacts outside of --since and --until" in late.stderr and late.stdout == ""


def test_mistakes_are_told_in_a_line(net: Network) -> None:
    for arguments, said in (
        (["--since", "yesterday"], "nor how long ago (7d, 24h, 30m)"),
        (["--until", "²"], "neither ISO 8601"),
        (["--since", "1h", "--until", "2h"], "--since is not the earlier one"),
        (["--tlp-max", "RED"], "'RED' is not one of 'clear', 'green', 'amber', 'amber+strict'"),
        (["-o", "no/such/folder/x.json"], "there is no folder no/such/folder"),
    ):
        done = net.icn("export", "stix", *arguments, check=False)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, done.stderr
