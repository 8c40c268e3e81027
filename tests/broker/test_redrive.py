"""Dead letters sent again: each once, with its bytes, however it is broken off; what fails again comes back with a higher attempt."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

from confluent_kafka import Producer

from streams.agents.letters import Letter, letters
from streams.bench.load import artifact
from streams.broker.registrations import token_of
from streams.codec import encoder
from streams.domain.identity import MAC_HEADER, sign
from streams.replay.redrive import plan, redrive
from tests.support.chain import add_nodes, check_balance, check_replay, settled
from tests.support.network import Network, wait_until


def send_before_registration(net: Network, count: int, first: int = 0) -> None:
    """Signed with the token that node n2 is going to have: unknown now, good later."""
    producer, encode = Producer(net.settings.librdkafka_producer()), encoder("artifact")
    for number in range(first, first + count):
        value = encode(artifact(number, "n2"))
        mac = sign(token_of(net.settings, "n2", 1), b"n2", value)
        producer.produce(net.topic("artifacts.raw"), value, b"n2", headers=[(MAC_HEADER, mac), ("traceparent", b"t")])
    assert producer.flush(20) == 0


def open_letters(net: Network) -> list[Letter]:
    return [one for one in letters(net.topology, net.settings) if one.is_open]


def test_letters_are_sent_again_once_though_it_is_killed_and_called_twice(net: Network) -> None:
    """60 letters at 2 a second; killed on the way; then two at the same time."""
    add_nodes(net, "n1")
    net.worker()
    send_before_registration(net, 60)
    wait_until(lambda: len(open_letters(net)) == 60, 60, "60 letters")
    dry = json.loads(net.icn("dlq", "redrive", "--dry-run", "--json").stdout)
    assert dry["chosen"] == [{"to": "artifacts.raw", "reason": "unknown_node", "attempt": 1, "letters": 60}]
    assert dry["sent"] == 0 and len(open_letters(net)) == 60

    add_nodes(net, "n2")
    command = [sys.executable, "-m", "streams", "dlq", "redrive", "--yes", "--json", "--rate"]
    first = subprocess.Popen([*command, "2"], env=net.env, stdout=subprocess.PIPE)
    wait_until(lambda: len(open_letters(net)) < 60, 30, "some sent")
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    killed_at = 60 - len(open_letters(net))
    assert 0 < killed_at < 60
    both = [
        subprocess.Popen([*command, "1000"], env=net.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"
    ]
    ends = [one.communicate(timeout=60) for one in both]
    assert open_letters(net) == [], ends
    settled(net)
    sums, compared = check_balance(net), sum(stage["compared"] for stage in check_replay(net)["stages"])
    assert (sums.submitted, sums.outcomes["unique"], sums.outcomes["dead_lettered"]) == (120, 60, 60)
    who = json.loads(net.icn("audit", "actions", "--json").stdout)
    assert any("dlq redrive" in one["what"] for one in who)
    assert json.loads(net.icn("dlq", "list", "--all", "--json", check=False).stdout)[0]["open"] is False
    assert net.icn("dlq", "list").stdout == "no dead letters\n"
    print(f"1 kill after {killed_at} letters, 2 at once; 60 letters, {compared} outputs recomputed")


def test_what_fails_again_is_a_letter_of_a_higher_attempt_and_is_left_alone_in_the_end(net: Network) -> None:
    """Nobody registers the node: three attempts, and no loop. Its bytes and headers are those of the first time."""
    add_nodes(net, "n1")
    net.worker()
    send_before_registration(net, 1)
    for attempt in (1, 2, 3):
        (one,) = wait_until(
            lambda attempt=attempt: [x for x in open_letters(net) if x.attempt == attempt], 30, "a letter"
        )  # type: ignore[misc]
        made = plan(net.topology, [one], attempts_max=2)
        assert [x.attempt for x in made.chosen] == ([attempt] if attempt < 3 else [])
        assert redrive(net.topology, net.settings, made.chosen, 1000, lambda _: None) == len(made.chosen)
        assert redrive(net.topology, net.settings, made.chosen, 1000, lambda _: None) == 0  # it was sent
    every = letters(net.topology, net.settings)
    assert [x.attempt for x in every] == [1, 2, 3] and len({x.value for x in every}) == 1
    assert all(dict(x.headers)["traceparent"] == b"t" for x in every)
    time.sleep(0.5)
    assert [x.attempt for x in open_letters(net)] == [3]
    check_balance(net), check_replay(net)


def test_what_is_not_sent_says_why() -> None:
    from streams.topology import load

    topology = load()
    about = {
        "topic": "x",
        "partition": 0,
        "offset": 1,
        "reason": "bad_signature",
        "detail": "",
        "attempt": 1,
        "timestamp_ms": 1,
    }

    def letter(alias: str = "artifacts.raw.dlq", is_open: bool = True, **more: object) -> Letter:
        return Letter(alias, 0, 0, 0, about | more, b"k", b"v", [], is_open)

    given = [
        letter(), letter(is_open=False), letter("artifacts.admitted.dlq"), letter(reason="undecodable"), letter(attempt=9),
        letter(partition="-"), letter(),
    ]  # fmt: skip
    made = plan(topology, given, reasons=["bad_signature"], limit=1)
    assert len(made.chosen) == 1
    assert sorted(why.split()[0] for why in made.left) == ["beyond", "failed", "for", "of", "sent", "without"]
