"""Limits, normal form and hashes of an artifact."""

from __future__ import annotations

import math

import pytest

from streams.bench.load import artifact
from streams.domain.artifact import Limits, find_flaw, hash_artifact, normal_form, version_id

LIMITS = Limits(content_max=1 << 20, metadata_max=256, metadata_bytes_max=64 << 10)
KEY = b"k" * 32


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, None),
        ({"confidence": 0.0, "threat_level": 10.0, "opportunity_value": 10.0}, None),
        ({"confidence": 1.0000001}, "out_of_range"),
        ({"confidence": -0.1}, "out_of_range"),
        ({"threat_level": 10.5}, "out_of_range"),
        ({"opportunity_value": math.inf}, "out_of_range"),
        ({"confidence": math.nan}, "not_a_number"),
        ({"content": ""}, "empty"),
        ({"content": "x" * (1 << 20)}, None),
        ({"content": "x" * ((1 << 20) + 1)}, "oversize"),
        ({"content": "€" * (1 << 19)}, "oversize"),
        ({"artifact_id": ""}, "out_of_range"),
        ({"content_type": "t" * 65}, "out_of_range"),
        ({"source": "s" * 4097}, "out_of_range"),
        ({"metadata": {str(i): "" for i in range(257)}}, "metadata_too_large"),
        ({"metadata": {"k": "v" * (65 << 10)}}, "metadata_too_large"),
        ({"metadata": {"tlp": "tlp:amber+strict"}}, None),
        ({"metadata": {"tlp": "WHITE"}}, None),
        ({"metadata": {"tlp": "PURPLE"}}, "out_of_range"),
        ({"metadata": {"tlp": ""}}, "out_of_range"),
    ],
)
def test_what_is_out_of_its_limits_is_named_never_fixed(fields: dict, reason: str | None) -> None:
    """Range ends are inside; sizes are UTF-8 bytes."""
    flaw = find_flaw(artifact(1, **fields), LIMITS)

    assert reason == (flaw.reason if flaw else None)


def test_a_flaw_says_field_value_and_range() -> None:
    """The node's author reads it in the receipt."""
    flaw = find_flaw(artifact(1, threat_level=11.0), LIMITS)

    assert flaw is not None
    assert flaw.detail == "threat_level is 11.0; send a number in [0, 10]"


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("text", "Straße  seen\n", "STRASSE seen", True),
        ("text", "ﬁle", "file", True),
        ("text", "a\u00a0b", "a b", True),
        ("text", "one two", "onetwo", False),
        ("code", "If x:", "if x:", False),
        ("code", "a  b", "a b", False),
        ("code", "ﬁ", "fi", True),
    ],
)
def test_normal_form_folds_text_and_leaves_code_alone(kind: str, one: str, other: str, same: bool) -> None:
    """NFKC for all; case and white space for text only."""
    assert same == (normal_form(kind, one) == normal_form(kind, other))


def test_the_same_content_of_two_nodes_has_the_same_hashes() -> None:
    """The key is the deployment's, not the node's."""
    assert hash_artifact(KEY, artifact(1, "node-1")) == hash_artifact(KEY, artifact(1, "node-2"))


def test_another_source_or_metadata_is_the_same_content_but_another_dedup_hash() -> None:
    """So it becomes UNIQUE and corroborates."""
    first = hash_artifact(KEY, artifact(1))
    for change in ({"source": "https://elsewhere.org"}, {"source": None}, {"metadata": {"domain": "other"}}):
        other = hash_artifact(KEY, artifact(1, **change))
        assert first.content == other.content
        assert first.dedup != other.dedup


def test_unknown_metadata_keys_do_not_matter_and_a_missing_domain_is_unknown() -> None:
    """Only source_type, domain and collection_method are hashed."""
    assert hash_artifact(KEY, artifact(1, metadata={"domain": "test", "colour": "red"})) == hash_artifact(
        KEY, artifact(1)
    )
    assert hash_artifact(KEY, artifact(1, metadata={})) == hash_artifact(
        KEY, artifact(1, metadata={"domain": "unknown"})
    )


def test_fields_can_not_flow_into_each_other() -> None:
    """Length prefixes: (ab, c) is not (a, bc)."""
    one = hash_artifact(KEY, artifact(1, content_type="ab", content="c", source=None))
    other = hash_artifact(KEY, artifact(1, content_type="a", content="bc", source=None))

    assert one.content != other.content


def test_another_key_gives_other_hashes() -> None:
    """Nodes can't build collisions without it."""
    assert hash_artifact(KEY, artifact(1)).content != hash_artifact(b"q" * 32, artifact(1)).content


def test_versions_are_named_after_the_first() -> None:
    """The first keeps its own id."""
    assert [version_id("a", n) for n in (1, 2, 3)] == ["a", "a_v2", "a_v3"]
