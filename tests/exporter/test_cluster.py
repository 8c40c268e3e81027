"""A look at a cluster whose broker was away, or answers slowly: an admin client that says what the test says, no broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.errors import BrokerError
from streams.settings import read_settings
from streams.topology import load
from streams.watch import cluster
from streams.watch.cluster import Cluster

SILENT = KafkaException(KafkaError(KafkaError._TIMED_OUT))
GROUPS = ("a", "b", "c")


def answered(value: Any) -> Future[Any]:
    future = Future[Any]()
    if isinstance(value, Exception):
        future.set_exception(value)
    else:
        future.set_result(value)
    return future


class World:
    """What there is, and a clock that stands until it is set. told: the answer to who is there; an exception: none."""

    def __init__(self) -> None:
        self.told: Any = GROUPS
        self.now_s = 1000.0
        self.clients: list[Any] = []

    def client(self, config: dict[str, Any]) -> Any:
        """An admin client of it. Groups have no members and no commits."""
        self.clients.append(SimpleNamespace(away=config["error_cb"], poll=lambda _: 0, list_consumer_groups=self._list))
        self.clients[-1].list_consumer_group_offsets = lambda asked, **_: {
            asked[0].group_id: answered(SimpleNamespace(topic_partitions=[]))
        }
        self.clients[-1].describe_consumer_groups = lambda names, **_: {
            name: answered(SimpleNamespace(members=[])) for name in names
        }
        return self.clients[-1]

    def _list(self, **_: Any) -> Future[Any]:
        if isinstance(self.told, Exception):
            return answered(self.told)
        state = SimpleNamespace(name="EMPTY")
        valid = [SimpleNamespace(group_id=name, state=state) for name in self.told]
        return answered(SimpleNamespace(errors=[], valid=valid))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World()
    monkeypatch.setattr(cluster, "AdminClient", made.client)
    monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: made.now_s, time_ns=lambda: 0))
    yield made


def looked_at(wanted: Callable[[str], bool] | None = None) -> Cluster:
    return Cluster(read_settings(load(), {}, brokers="b:1"), wanted)


def seen(one: Cluster, *groups: str) -> list[str]:
    return list(one.look(groups).groups)


def test_a_broker_that_comes_back_without_its_groups_is_not_believed_for_a_minute(world: World) -> None:
    """Else firing alerts would resolve: no group, no trouble."""
    one = looked_at()
    assert seen(one) == ["a", "b", "c"]
    world.told = SILENT
    with pytest.raises(BrokerError, match="the broker at b:1 does not answer"):
        one.look()
    for told, missing in (((), "3 groups have"), (("a",), "2 groups have"), (("a", "b"), "1 group has")):
        world.told, world.now_s = told, world.now_s + 10
        with pytest.raises(BrokerError, match=f"{missing} not come back yet"):
            one.look()
    world.told = GROUPS
    assert seen(one) == ["a", "b", "c"]


def test_what_was_deleted_while_a_broker_was_away_is_gone_after_a_minute(world: World) -> None:
    one = looked_at()
    one.look()
    world.told = SILENT
    with pytest.raises(BrokerError):
        one.look()
    world.told = ("a", "b")
    for _ in range(6):
        world.now_s += 10
        with pytest.raises(BrokerError, match="not come back yet"):
            one.look()
    world.now_s += 1
    assert seen(one) == ["a", "b"]


def test_a_group_that_is_deleted_in_normal_times_is_simply_gone(world: World) -> None:
    one = looked_at()
    one.look()
    world.told = ("a",)
    assert seen(one) == ["a"]


def test_a_broker_that_was_away_between_two_looks_is_noticed_by_its_connection(world: World) -> None:
    one = looked_at()
    one.look()
    world.clients[-1].away("a connection was lost")
    world.told = ()
    with pytest.raises(BrokerError, match="3 groups have not come back yet"):
        one.look()


def test_a_broker_that_stays_away_makes_nothing_missing_for_ever(world: World) -> None:
    """One of several: connections to it go on failing, the others answer."""
    one = looked_at()
    one.look()
    world.told = ("a",)
    failed = 0
    for _ in range(30):
        world.now_s += 5
        world.clients[-1].away("still away")
        try:
            one.look()
        except BrokerError:
            failed += 1
    assert 10 <= failed <= 14 and seen(one) == ["a"]


def test_only_what_is_asked_for_is_missed(world: World) -> None:
    one = looked_at(lambda name: name != "c")
    assert seen(one) == ["a", "b"]
    world.told = SILENT
    with pytest.raises(BrokerError):
        one.look()
    world.told = ("a",)
    assert seen(one, "a") == ["a"]


def test_groups_are_named_or_chosen_by_a_shell_s_pattern(world: World) -> None:
    """A group that is called like a pattern is found by its name."""
    world.told = ("icn-s1", "icn-s2", "other", "x[1]")
    one = looked_at()
    assert [seen(one, *asked) for asked in (("icn-*",), ("other", "icn-s1"), ("x[1]",), ("*2", "o?her"))] == [
        ["icn-s1", "icn-s2"],
        ["icn-s1", "other"],
        ["x[1]"],
        ["icn-s2", "other"],
    ]


def test_a_broker_that_starts_is_told_from_one_that_is_silent_and_from_one_that_refuses(world: World) -> None:
    one = looked_at()
    for code, told in (
        (KafkaError._ALL_BROKERS_DOWN, "the broker at b:1 does not answer"),
        (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "the broker at b:1 is not ready yet"),
        (KafkaError.CLUSTER_AUTHORIZATION_FAILED, "b:1: .*authorization"),
    ):
        world.told = KafkaException(KafkaError(code))
        with pytest.raises(BrokerError, match=told):
            one.look()


def test_a_look_waits_for_an_answer_and_not_for_all_of_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence ends it soon; a large cluster that goes on answering is waited for longer, and not for ever."""
    one = looked_at()
    one.look()
    waited: list[float] = []

    def heard() -> float:
        one._heard(SimpleNamespace(result=waited.append))
        return waited[-1]

    assert heard() == cluster.SILENT_S
    world.now_s += cluster.LOOK_S - 5
    assert heard() == 5
    world.now_s += 10
    assert heard() == pytest.approx(0.1)
