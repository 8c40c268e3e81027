"""Markings as we write them are markings as we read them."""

from __future__ import annotations

import stix2

from streams.collectors.stix import TLP
from streams.watch.stix import MARKINGS, TLP_CREATED, TLP_EXTENSION, marking_definition
from tests.support.exporting import Story, objects


def test_the_ids_are_those_that_the_collector_knows_and_red_has_none() -> None:
    assert {TLP[id_]: id_ for id_ in MARKINGS.values()} == MARKINGS
    assert {*TLP.values()} - {*MARKINGS} == {"RED"}


def test_what_we_export_our_collector_can_read() -> None:
    """OASIS's own library knows every object, nothing of it custom."""
    story = Story()
    first = story.report("a text")
    story.report("a text", "node-2", confidence=0.0)
    story.vote(first, "refuted")
    for one in objects(story.export([story.pattern(first)]).text):
        assert stix2.parse(one, version="2.1")["id"] == one["id"]


def test_the_objects_are_to_the_letter_what_oasis_publishes() -> None:
    """As in cti-stix-common-objects, objects/marking-definition."""
    assert marking_definition("AMBER+STRICT") == {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        "created": "2022-10-01T00:00:00.000Z",
        "name": "TLP:AMBER+STRICT",
        "extensions": {
            "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {
                "extension_type": "property-extension",
                "tlp_2_0": "amber+strict",
            }
        },
    }
    assert TLP_CREATED == "2022-10-01T00:00:00.000Z" and TLP_EXTENSION.endswith("9e08dde9e88d")
    assert all(stix2.parse(marking_definition(tlp), version="2.1") for tlp in MARKINGS)
