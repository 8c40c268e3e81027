"""What needs attention, and what doesn't: each trouble is told once, with a command; a network that never had something misses nothing."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.health import Seen, health
from streams.topology import load
from streams.watch.figures import Figures, Sealed
from streams.watch.lag import GroupLag
from streams.watch.overview import attention, overview
from streams.watch.presence import counted_state, presence
from tests.exporter.looks import NOW_MS, figures, picture, tick

TOPOLOGY = load()
MINUTE_MS = 60_000
ERR = "stopped, stalls, went back or is held up"


def group(name: str = "icn-s1-intake", **more: Any) -> GroupLag:
    plain = GroupLag(name, "STABLE", 1, "OK", 0, 0.0, 0.0, 0.0, 4, 0, 0, 0, 0.0, None)
    return plain._replace(**more)


def told(figures: Figures, *groups: GroupLag, now_ms: int = NOW_MS) -> list[tuple[str, str]]:
    return [(one.what, one.command) for one in attention(TOPOLOGY, figures, groups, now_ms)]


def with_ticks(newest_ms: int, *nodes: dict[str, Any]) -> Figures:
    made = Figures()
    made.take("ticks", tick("planned", 0, nodes=list(nodes)) | {"slot_ms": newest_ms}, newest_ms)
    return made


def test_a_network_that_has_just_begun_needs_nothing() -> None:
    assert told(Figures(), group(), group("icn-s6-phoenix", status="NO_COMMIT", lag=None)) == []


@pytest.mark.parametrize(
    ("one", "what", "command"),
    [
        (group(state="EMPTY", status="ERR", lag=7), "s1_intake is not running (7 events waiting)", "icn worker s1_intake"),
        (group(status="ERR", lag=1), f"s1_intake {ERR} (1 event waiting)", "icn lag --group icn-s1-intake --over 10s"),
        (group(status="WARN", lag=9), "s1_intake falls further behind (9 events waiting)", "icn lag --group icn-s1-intake --over 1m"),
        (group(lost=3), "s1_intake lost 3 events to retention", "icn lag --group icn-s1-intake --partitions"),
        (group("x", status="ERR", lag=2), f"a group that is not ours {ERR} (2 events waiting)", "icn lag --group x --over 10s"),
    ],
)  # fmt: skip
def test_each_trouble_of_a_group_is_told_with_what_to_do(one: GroupLag, what: str, command: str) -> None:
    assert told(Figures(), one, group("icn-s2-dedup")) == [(what, command)]


def test_somebody_else_s_empty_group_is_no_trouble() -> None:
    assert told(Figures(), group("theirs", state="EMPTY")) == []


def test_ticks_that_stay_away_are_missed_and_ones_that_come_are_not() -> None:
    made = with_ticks(NOW_MS)
    assert told(made, now_ms=NOW_MS + 2 * MINUTE_MS) == []
    assert told(made, now_ms=NOW_MS + 10 * MINUTE_MS) == [
        ("no tick for 10 min: nothing is collected", "icn worker, or icn up")
    ]


def test_a_node_that_only_sends_is_not_missed_and_one_that_collected_is() -> None:
    silent = {"node_id": "n", "state": "offline", "usefulness": None, "why": "its last heartbeat was never"}
    made = with_ticks(NOW_MS, silent)
    registered = {"kind": "node_registered", "node_id": "n", "generation": 1, "capabilities": []}
    made.take("control", registered, NOW_MS)
    assert told(made) == [] and made.node_states == {"only sends": 1}
    made.take("ticks", tick("planned", 1, nodes=[silent | {"state": "active", "why": ""}]), NOW_MS)
    assert told(made) == [] and made.node_states == {"active": 1}
    made.take("ticks", tick("planned", 2, nodes=[silent | {"why": "its last heartbeat was 301 s ago"}]), NOW_MS)
    assert told(made) == [("1 node offline", "icn node list")]
    made.take("ticks", tick("planned", 3, nodes=[silent]), NOW_MS)
    assert told(made) == []
    made.take("control", registered | {"generation": 2, "capabilities": ["file"]}, NOW_MS)
    assert told(made) == [("1 node offline", "icn node list")], "it is to collect, and nobody runs it"


def test_what_a_node_is_agrees_with_what_its_health_says() -> None:
    """The words of a plan are those that `presence` looks for."""
    why = health(Seen(None, True, 0, 3), NOW_MS).why
    assert presence({"state": "offline", "why": why}, []) == "only sends" == presence(None, [])
    assert presence({"state": "offline", "why": why}, ["file"]) == "offline"
    assert presence(None, ["file"]) == "unknown"
    assert [counted_state(number, "only sends") for number in (1, 2)] == ["1 only sends", "2 only send"]


def test_a_log_that_is_not_sealed_while_ticks_come_is_told() -> None:
    made = with_ticks(NOW_MS)
    made.sealed[0] = Sealed(5, NOW_MS - 20 * MINUTE_MS)
    assert told(made) == [("audit log 0: not sealed for 20 min", "icn audit seal, icn audit verify")]
    made.sealed[0] = Sealed(6, NOW_MS - MINUTE_MS)
    assert told(made) == []


def test_a_feed_stands_only_if_something_waits_and_its_windows_are_open() -> None:
    round_ = {
        "slot_ms": NOW_MS - 30 * MINUTE_MS,
        "fed": 0,
        "waiting": 4,
        "refused": {},
        "domains_starving": 0,
        "opens_ms": None,
    }
    for change, stands in (({}, 1), ({"waiting": 0}, 0), ({"opens_ms": NOW_MS + MINUTE_MS}, 0)):
        made = Figures()
        made.take("phoenix.rounds", round_ | change, NOW_MS)
        assert len(told(made)) == stands, change


def test_the_whole_is_one_document_with_the_same_figures() -> None:
    about = overview(TOPOLOGY, figures(), picture().groups, "b:1", NOW_MS - 1)
    assert about["stored"] == 5 and about["outcomes"]["duplicate"] == 3
    assert about["intake"] == {"admitted_this_hour": 8, "per_hour": 10_000, "undecided": 0, "undecided_max": 10_000}
    assert (about["ticks"]["kept"], about["ticks"]["expected"], about["ticks"]["idle"]) == (2, 4, 1)
    assert about["phoenix"]["waiting"] == 30 and about["dead_letters"] == 1
    whats = [one["what"] for one in about["attention"]]
    assert len(whats) == len(set(whats)) and any("dead letter" in what for what in whats)
