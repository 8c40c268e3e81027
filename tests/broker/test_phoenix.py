"""The feed on a real broker: what it writes is what anyone finds again, also after a kill, and trainers get all of it."""

from __future__ import annotations

import json
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from streams import codec
from streams.agents import inbox
from streams.agents.ticks import TICK
from streams.broker.registrations import register_judge
from streams.errors import IcnError
from streams.sdk import Phoenix, Scenario
from tests.support.feed import FIRST_MS, MINUTE_MS, Written
from tests.support.fold import events_in_order
from tests.support.network import Network, network, wait_until

HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
def written(brokers: str, tmp_path: Path) -> Iterator[Written]:
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        yield Written(net)


def load(written: Written, minute: int, count: int) -> None:
    for number in range(written.count, written.count + count):
        written.artifact(
            FIRST_MS + minute * MINUTE_MS - 1000,
            node_id=f"n{number % 12}",
            domain=f"d{number % 25}",
            content_type=("text", "code", "html")[number % 3],
            threat_level=written.rng.random() * 10,
        )


def most_in_60_minutes(fed: list[dict[str, Any]]) -> int:
    slots = [one["slot_ms"] for one in fed]
    return max(sum(slot - HOUR_MS <= one <= slot for one in slots) for slot in set(slots))


def test_rounds_are_found_again_byte_for_byte_by_new_processes_and_by_replay(written: Written) -> None:
    """30 minutes; every fifth minute the process is another one."""
    for minute in range(30):
        load(written, minute, 40)
        if minute % 5 == 4:
            written.process = written.taken_over()
        written.round(FIRST_MS + minute * MINUTE_MS)

    fed, rounds = written.read("phoenix.feed"), written.read("phoenix.rounds")
    assert len(fed) == 100 and len({one["dedup_hash"] for one in fed}) == 100
    assert [one["fed"] for one in rounds] == [10] * 10 + [0] * 20
    result = written.verify()
    assert result.findings == [] and result.batches == 30 and result.left_out == 0
    assert result.compared == len(fed) + len(rounds) + len(written.read("phoenix.refused"))
    print(f"{result.compared} records compared, 7 processes")


def test_what_somebody_puts_beside_it_is_found_and_stops_nobody(written: Written) -> None:
    """Scenarios, a refusal and rounds that s6 did not make, of then, before, and a hundred years ahead; the process that starts after them
    goes on."""
    load(written, 0, 40)
    written.round(FIRST_MS)
    fed, refused, rounds = (written.read(alias) for alias in ("phoenix.feed", "phoenix.refused", "phoenix.rounds"))
    encode = {name: codec.encoder(name) for name in ("scenario", "refusal", "round")}
    no_end = dict.fromkeys(rounds[0]["read"], 1 << 40)
    written.put("phoenix.feed", encode["scenario"](fed[0] | {"scenario_id": "phoenix_forged", "input": "forged"}))
    written.put(
        "phoenix.refused", encode["refusal"]((refused or [REFUSAL | {"slot_ms": FIRST_MS}])[0] | {"reason": "hour"})
    )
    ahead_ms = FIRST_MS + 100 * 365 * 24 * HOUR_MS
    written.put("phoenix.feed", encode["scenario"](fed[0]))  # once more, as it is
    for number in range(100):  # an hour's worth, before the first round
        at = {"slot_ms": FIRST_MS - MINUTE_MS, "dedup_hash": number.to_bytes(40, "big")}
        written.put("phoenix.feed", encode["scenario"](fed[0] | at))
    written.put("phoenix.feed", encode["scenario"](fed[0] | {"slot_ms": ahead_ms, "tlp": "RED"}))
    written.put("phoenix.rounds", encode["round"](rounds[0]))
    written.put("phoenix.rounds", encode["round"](rounds[0] | {"slot_ms": ahead_ms, "read": {}}))
    written.put("phoenix.rounds", encode["round"](rounds[0] | {"slot_ms": FIRST_MS + MINUTE_MS, "read": no_end}))
    written.put("phoenix.rounds", b"no round")
    written.flush()

    written.process = written.taken_over()
    load(written, 2, 40)
    assert len(written.round(FIRST_MS + 2 * MINUTE_MS)) == 10

    found = Counter(finding.kind for finding in written.verify().findings)
    assert found["INVENTED"] == 107, found
    assert set(found) == {"INVENTED"}


REFUSAL = {
    "artifact_id": "a", "dedup_hash": bytes(40), "content_type": "text", "domain": "d", "node_id": "n", "final": False, "rank": 1,
    "simulated": False, "rule": bytes(8),
}  # fmt: skip


def test_a_scenario_that_says_something_else_is_found(written: Written) -> None:
    """Its text, changed after the fact by one who can write: the round's other records stay true."""
    load(written, 0, 40)
    written.process.records.of = lying_about(written.process.records.of)  # type: ignore[method-assign]
    written.round(FIRST_MS)
    load(written, 1, 40)
    written.round(FIRST_MS + MINUTE_MS)
    result = written.verify()
    assert [finding.kind for finding in result.findings] == ["DIFFERS"]
    assert (result.batches, result.follow) == (1, 1)


def test_a_copy_beside_a_round_hides_no_change_of_a_later_one(written: Written) -> None:
    """Both are found, each where it is."""
    for minute in range(3):
        load(written, minute, 40)
        if minute == 2:
            written.process.records.of = lying_about(written.process.records.of)  # type: ignore[method-assign]
        fed = written.round(FIRST_MS + minute * MINUTE_MS)
        if minute == 0:
            written.put("phoenix.feed", codec.encoder("scenario")(fed[0]))
    assert Counter(finding.kind for finding in written.verify().findings) == {"INVENTED": 1, "DIFFERS": 1}


def lying_about(true: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A true round's events, but for the text of the fourth scenario."""

    def lying(made: Any) -> Any:
        made.scenarios[3]["input"] = "another text"
        return true(made)

    return lying


def ticks(net: Network, minutes: range) -> None:
    """As the emitter would write them, in simulated time."""
    producer, encode = Producer(net.settings.librdkafka_producer()), codec.encoder("control")
    for minute in minutes:
        slot_ms = FIRST_MS + minute * MINUTE_MS
        value = encode({**TICK, "slot_ms": slot_ms, "cadence_ms": MINUTE_MS})
        producer.produce(net.topic("control"), value, b"", partition=0, timestamp=slot_ms)
    assert producer.flush(10) == 0


def test_killed_at_any_moment_it_feeds_no_more_than_100_in_60_minutes_and_none_twice(
    brokers: str, tmp_path: Path, seed: int
) -> None:
    """Two workers with s6 alone, 150 minutes of ticks with 10,020 artifacts an hour of 12 nodes and 25 domains; the one at work is killed
    five times, and the other takes over."""
    rng, kills = random.Random(seed), 0
    with network(brokers, tmp_path, whole=True, simulated=True) as net:
        written = Written(net)
        for minute in range(150):
            load(written, minute, 167)
        written.flush()
        net.worker("s6")
        net.worker("s6")
        rounds: list[dict[str, Any]] = []

        def reached(minute: int) -> bool:
            rounds[:] = events_in_order(net.settings, net.topic("phoenix.rounds"))
            return bool(rounds) and rounds[-1]["slot_ms"] >= FIRST_MS + minute * MINUTE_MS

        for start in range(0, 150, 25):
            ticks(net, range(start, start + 25))
            if kills < 5:
                wait_until(lambda start=start: reached(start + rng.randrange(20)), 60, "some rounds")  # type: ignore[misc]
                for process in net.window_processes("s6_phoenix"):
                    if rng.random() < 0.7 or process.pid % 2 == kills % 2:
                        process.send_signal(signal.SIGKILL)
                        kills += 1
        wait_until(lambda: reached(149), 90, "the last round")

        fed = events_in_order(net.settings, net.topic("phoenix.feed"))
        assert [one["slot_ms"] for one in rounds] == [FIRST_MS + minute * MINUTE_MS for minute in range(150)]
        assert most_in_60_minutes(fed) == 100 and len(fed) == len({one["dedup_hash"] for one in fed}) == 300
        for hour in range(2):
            assert len({one["domain"] for one in fed if (one["slot_ms"] - FIRST_MS) // HOUR_MS == hour}) == 25
        result = written.verify()
        assert result.findings == [] and result.batches == 150
        print(f"{kills} kills; {result.compared} records compared")
        assert kills >= 5


def test_what_comes_while_it_takes_over_is_not_passed_over(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is there when it asks from where to read; forty artifacts are, a moment later."""
    asked: list[str] = []

    class Interrupted(Consumer):
        def offsets_for_times(self, partitions: Any, *rest: Any, **more: Any) -> Any:
            found = super().offsets_for_times(partitions, *rest, **more)
            if "priorities" in partitions[0].topic:
                load(written, 0, 40)
                written.flush()
            asked.append(partitions[0].topic)
            return found

    monkeypatch.setattr(inbox, "Consumer", Interrupted)
    written.process = written.taken_over()
    assert len(asked) == 4 and len(written.round(FIRST_MS)) == 10
    assert written.verify().findings == []


@pytest.fixture
def fed(written: Written) -> Written:
    """Two minutes, 20 scenarios; a judge is registered."""
    load(written, 0, 60)
    for minute in range(2):
        assert len(written.round(FIRST_MS + minute * MINUTE_MS)) == 10
    register_judge(written.net.topology, written.net.settings, "trainer", "lab", 0.5)
    return written


def trainer(fed: Written, group: str = "g", judge: str | None = "trainer") -> Phoenix:
    net = fed.net
    return Phoenix(net.settings.brokers, group, judge=judge, idle_s=4, state=net.settings.state, topology=net.topology)


def test_a_trainer_gets_everything_and_what_it_has_not_acknowledged_again(fed: Written) -> None:
    """The first one acknowledges 8, not the third; the next begins with the third, the one after that has nothing to do."""
    with trainer(fed) as feed:
        seen: list[Scenario] = []
        for scenario in feed:
            seen.append(scenario)
            if len(seen) != 3:
                scenario.acknowledge()
                scenario.acknowledge()  # twice is once
            if len(seen) == 8:
                break
    assert [one.event["rank"] for one in seen] == [one["rank"] for one in fed.read("phoenix.feed")][:8]

    with trainer(fed) as feed:
        again = [one.scenario_id for one in feed if one.acknowledge() is None]
    assert again[0] == seen[2].scenario_id and len(again) == 18
    with trainer(fed) as feed:
        assert list(feed) == []
    with trainer(fed, "others") as feed:
        assert len(list(feed)) == 20
    print("4 trainers of 2 groups, 20 scenarios")


def test_its_verdicts_name_what_was_fed_with_a_seal(fed: Written) -> None:
    with trainer(fed) as feed:
        first, second, third = (one for one, _ in zip(feed, range(3), strict=False))
        ids = [first.confirm(0.8, "fits"), second.refute(), third.unclear("can't tell")]
        with pytest.raises(IcnError, match="no verdict"):
            first.confirm(weight=1.5)
    with trainer(fed, "mute", judge=None) as feed, pytest.raises(IcnError, match="gives no verdicts"):
        next(iter(feed)).refute()

    verdicts = fed.read("verdicts")
    assert [one["verdict_id"] for one in verdicts] == ids
    assert [(one["outcome"], one["weight"]) for one in verdicts] == [
        ("confirmed", 0.8),
        ("refuted", 1.0),
        ("unclear", 1.0),
    ]
    for verdict, scenario in zip(verdicts, (first, second, third), strict=True):
        assert verdict["scenario_id"] == scenario.scenario_id and verdict["scenario_seal"] == scenario.event["seal"]
        assert verdict["artifact_id"] == scenario.event["sent_id"] and verdict["node_id"] == scenario.event["node_id"]


def test_people_see_what_is_fed_what_is_refused_and_what_another_policy_would_do(fed: Written, tmp_path: Path) -> None:
    net = fed.net
    assert "20 fed in the 24 h" in net.icn("phoenix", "stats").stdout
    told = json.loads(net.icn("phoenix", "stats", "--json").stdout)
    assert (told["fed"], told["in_last_hour"], told["waiting"]) == (20, 20, 40)
    assert 0 < told["domains_in_last_hour"] <= 25 and told["domains_waiting"] <= 25
    assert 1 < told["diversity"]["content"] <= 20 and told["diversity"]["content_type"] <= 3
    shown = net.icn("phoenix", "tail", "-n", "5", "--json").stdout.splitlines()
    assert len(shown) == 5 and json.loads(shown[-1])["scenario_id"] == fed.read("phoenix.feed")[-1]["scenario_id"]

    same, fewer, wrong = tmp_path / "same.yaml", tmp_path / "fewer.yaml", tmp_path / "wrong.yaml"
    same.write_text("phoenix: {per_hour: 100}\n")
    fewer.write_text("phoenix:\n  per_hour: 7\n  domain: {fewer_than: 2, of_last: 100}\n")
    ends = [len(fed.read(alias)) for alias in ("phoenix.feed", "phoenix.refused", "phoenix.rounds", "priorities")]
    assert net.icn("replay", "diff", "--policy", str(same)).returncode == 0
    plot = tmp_path / "both.svg"
    done = net.icn(
        "replay", "diff", "--policy", str(same), "--policy", str(fewer), "--json", "--plot", str(plot), check=False
    )
    found = json.loads(done.stdout)
    one, other = found["policies"]
    assert done.returncode == 1 and plot.exists()
    assert (one["fed"], other["fed"]) == (60, 7) and found["fed_by_both"] + len(found["differences"]) == 60
    assert {each["fed_by"] for each in found["differences"]} == {str(same)}
    assert ends == [
        len(fed.read(alias)) for alias in ("phoenix.feed", "phoenix.refused", "phoenix.rounds", "priorities")
    ]
    mistakes = {
        "phoenix: {per_hour: .nan}": "per_hour is nan",
        "phoenix: {perhour: 1}": "perhour is no setting",
        "- 1": "a policy is [1]",
    }
    for text, word in mistakes.items():
        wrong.write_text(text)
        done = net.icn("replay", "diff", "--policy", str(wrong), check=False)
        assert done.returncode == 2 and word in done.stderr and "Traceback" not in done.stderr
