"""A certificate is believed only as it was signed, with all it names beside it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.certify import certificate
from streams.certify.page import page
from streams.errors import IcnError
from tests.support.network import ROOT

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()
RESULT = {
    "number": 5, "name": "blackout", "title": "blackout", "says": "nothing is lost", "false_if": "something is", "headline": "each once",
    "passed": True, "stuck": "", "seconds": 1.0, "faults": 2, "facts": 3, "evidence": ["t.artifacts.decided/0/1"],
    "checks": [{"check": "each once", "holds": True, "facts": 3, "measured": "3 artifacts", "wrong": 0, "examples": []}],
}  # fmt: skip
CONTROL = {"name": "blackout", "what": "commits early", "caught": True, "told": "1 of 3 lost"}


@pytest.fixture
def made(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "evidence.icnaudit").write_bytes(b"a log")
    return signed(tmp_path)


def signed(folder: Path, **changes: Any) -> dict[str, Any]:
    body = {
        "made_ms": 1, "seconds": 1.0, "passed": True, "trials": ["blackout"], "seed": 7, "versions": {"icn": "1"}, "commit": "abc",
        "configuration": {"rule": "00", "protocol": "11"}, "results": [RESULT], "controls": [CONTROL],
        "evidence": {"evidence.icnaudit": certificate.sha256_of(folder / "evidence.icnaudit")},
    }  # fmt: skip
    return certificate.sign(body | changes, KEY)


def test_one_that_is_whole_has_nothing_against_it(made: dict[str, Any], tmp_path: Path) -> None:
    again = json.loads(json.dumps(made, indent=4))  # however it is laid out
    assert certificate.objections(again, tmp_path, None) == certificate.objections(again, tmp_path, PUBLIC) == []


def test_any_change_of_any_field_is_noticed(made: dict[str, Any], tmp_path: Path) -> None:
    changed = 0
    for name in made:
        for value in ("other", 0, None, []):
            if made[name] != value:
                assert certificate.objections(made | {name: value}, tmp_path, None), (name, value)
                changed += 1
    deep = json.loads(json.dumps(made))
    deep["results"][0]["checks"][0]["facts"] = 4
    assert "signature" in certificate.objections(deep, tmp_path, None)[0]
    print(f"{changed + 1} changes")


def test_signed_anew_by_somebody_else_it_is_not_the_key_one_trusts(made: dict[str, Any], tmp_path: Path) -> None:
    other = certificate.sign(
        {k: v for k, v in made.items() if k not in ("signature", "key")}, Ed25519PrivateKey.generate()
    )
    assert certificate.objections(other, tmp_path, None) == []  # which is why there is --key
    assert "not " + PUBLIC in certificate.objections(other, tmp_path, PUBLIC)[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"results": [RESULT | {"passed": False}]}, "blackout: failed"),
        ({"controls": [CONTROL | {"caught": False}]}, "control of blackout: not caught"),
        ({"trials": ["blackout", "race"]}, "not tried: race"),
        ({"evidence": {"gone.icnaudit": "00"}}, "is not beside it"),
        ({"evidence": {"evidence.icnaudit": "00"}}, "another SHA-256"),
        ({"evidence": {"../../etc/passwd": "00"}}, "is not beside it"),
    ],
)
def test_what_was_signed_and_does_not_hold_is_said(
    made: dict[str, Any], tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    assert said in " ".join(certificate.objections(signed(tmp_path, **changes), tmp_path, PUBLIC))


@pytest.mark.parametrize("text", ["", "no", "[]", "{}", '{"certificate": "icn-certificate/2"}', "[" * 100_000, "\0"])
def test_what_is_none_is_said_in_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(IcnError):
        certificate.read(tmp_path / "c.json")
    with pytest.raises(IcnError, match="can't read"):
        certificate.read(tmp_path / "none.json")


def test_the_report_says_each_claim_how_it_could_fail_and_what_was_measured(made: dict[str, Any]) -> None:
    """What it quotes is a stranger's: no markup of it survives."""
    hostile = RESULT | {"passed": False, "stuck": "<script>x</script>"}
    text = page(made | {"results": [hostile], "passed": False})
    for said in (
        "Not all of it held",
        "nothing is lost",
        "something is",
        "3 artifacts",
        "commits early",
        "t.artifacts.decided/0/1",
    ):
        assert said in text
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_the_same_code_and_configuration_have_the_same_hashes() -> None:
    from streams.topology import load

    topology = load(ROOT / "topology.yaml")
    one = certificate.configuration(topology)
    assert one == certificate.configuration(load(ROOT / "topology.yaml")) and len(one["rule"]) == 16
    assert len(certificate.versions("4.3.1")) == 5
