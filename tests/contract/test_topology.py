"""A mistake in topology.yaml is told when it is read: file, key, what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.errors import TopologyError
from streams.topology import load, parse


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda p: p["coordination"].update(cadense=p["coordination"].pop("cadence")), "cadence is missing"),
        (lambda p: p["coordination"].update(cadence="5 parsecs"), "cadence: "),
        (lambda p: p.pop("coordination"), "protocol.coordination is missing"),
        (lambda p: p["coordination"].update(needs=["http"]), "protocol.coordination.needs"),
        (lambda p: p["priority"].pop("half_life"), "half_life is missing"),
        (lambda p: p["reputation"].update(idle=None), "protocol.reputation.idle is missing"),
    ],
)
def test_a_mistake_is_told_with_file_and_key(mistake: Callable[[dict[str, Any]], object], words: str) -> None:
    raw = yaml.safe_load(Path(load().source).read_text())
    mistake(raw["protocol"])
    with pytest.raises(TopologyError) as told:
        parse(raw, "mine.yaml")
    assert "mine.yaml" in told.value.args[0] and words in told.value.args[0]
