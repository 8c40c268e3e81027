"""One look at a cluster: every group, what it has committed, and where its partitions begin and end.

Committed offsets are asked first, ends after: the other way round gives negative lags. No commit is no figure, never 0 or -1.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import BrokerError
from streams.settings import Settings

TIMEOUT_S = 15
LOOK_S = 30  # a look that lasts longer has failed
DESCRIBED_AT_ONCE = 100  # groups in one request
Place = tuple[str, int]  # topic, partition


class Member(NamedTuple):
    """Of a group."""

    host: str
    id: str
    client_id: str


class Group(NamedTuple):
    """committed: place -> offset; None: it is subscribed, or was, and has no commit. assigned: what its members own; None: not known.
    error: why it can't be looked at. owners: of what is assigned, if they were asked for."""

    state: str  # STABLE, EMPTY, PREPARING_REBALANCING, …
    members: int
    assigned: frozenset[Place] | None
    committed: Mapping[Place, int | None]
    error: str | None = None
    owners: Mapping[Place, Member] = {}


class Look(NamedTuple):
    """ends: as readers of committed records see them; written: as those see them who read all; lows: the first offset that is left. All
    by place. ids: topic -> its id, which is another one when it is made again. closed: topic -> why it can't be looked at."""

    at_ms: int
    groups: Mapping[str, Group]
    ends: Mapping[Place, int]
    written: Mapping[Place, int]
    lows: Mapping[Place, int]
    ids: Mapping[str, str]
    closed: Mapping[str, str]


class Cluster:
    """Seen through confluent-kafka's AdminClient: needs DESCRIBE, and nothing else. owners: say who owns which partition, too."""

    def __init__(self, settings: Settings, owners: bool = False) -> None:
        self.settings, self.owners = settings, owners
        self.admin = AdminClient(settings.librdkafka())
        self._deadline_s = 0.0

    def look(self, groups: Sequence[str] = ()) -> Look:
        """Of these groups, or of all. Raises BrokerError."""
        self._deadline_s = time.monotonic() + LOOK_S
        try:
            return self._look(groups)
        except (KafkaException, TimeoutError) as error:
            # A client that has asked a group's coordinator while the broker went away may never be answered again, nor its next questions.
            self.admin = AdminClient(self.settings.librdkafka())
            why = error.args[0].str() if isinstance(error, KafkaException) else f"no answer in {LOOK_S} s"
            raise BrokerError(f"{self.settings.brokers}: {why}", "is the broker running? icn broker status") from error

    def _heard(self, future: Any) -> Any:
        """Its result. Raises KafkaException, TimeoutError."""
        return future.result(max(0.1, self._deadline_s - time.monotonic()))

    def _look(self, groups: Sequence[str]) -> Look:
        states = self._states()
        names = sorted(set(groups) & set(states) if groups else states)
        committed, errors = self._committed(names)
        members = self._described(names)
        owned = {name: {(tp.topic, tp.partition): m for m in of for tp in _assigned(m)} for name, of in members.items()}
        for name in committed.keys() & owned.keys():
            # Kafka tells of what was committed; what is owned, and never was, is waited for no less
            for place in owned[name]:
                committed[name].setdefault(place, None)
        at_ms = time.time_ns() // 1_000_000
        closed: dict[str, str] = {}
        places = set[Place]().union(*committed.values())
        ends = self._offsets(places, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED, closed)
        written = self._offsets(ends, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED, closed)
        lows = self._offsets(ends, OffsetSpec.earliest(), IsolationLevel.READ_COMMITTED, closed)
        ids = self._ids(sorted({topic for topic, _ in ends}))
        seen = {}
        for name in names:
            mine = owned.get(name)
            owners = mine if mine is not None and self.owners else {}
            seen[name] = Group(
                states[name],
                len(members.get(name, ())),
                None if mine is None else frozenset(mine),
                committed.get(name, {}),
                errors.get(name),
                {place: Member(m.host, m.member_id, m.client_id) for place, m in owners.items()},
            )
        return Look(at_ms, seen, ends, written, lows, ids, closed)

    def _states(self) -> dict[str, str]:
        listed = self._heard(self.admin.list_consumer_groups(request_timeout=TIMEOUT_S))
        if listed.errors:  # a broker that can't be asked may have groups: no answer is not "no lag"
            raise KafkaException(listed.errors[0])
        return {one.group_id: one.state.name for one in listed.valid}

    def _committed(self, names: Sequence[str]) -> tuple[dict[str, dict[Place, int | None]], dict[str, str]]:
        """By group; and of those that don't tell, why. confluent-kafka takes one group a call: all are asked, then all are heard."""
        asked = [
            self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=TIMEOUT_S)
            for name in names
        ]
        found: dict[str, dict[Place, int | None]] = {}
        errors: dict[str, str] = {}
        for name, futures in zip(names, asked, strict=True):
            try:
                told = self._heard(next(iter(futures.values()))).topic_partitions
            except KafkaException as error:
                if not _is_theirs(error):
                    raise
                errors[name] = error.args[0].str()
                continue
            found[name] = {(tp.topic, tp.partition): at if (at := tp.offset) >= 0 else None for tp in told}
        return found, errors

    def _described(self, names: Sequence[str]) -> dict[str, Sequence[Any]]:
        """Group -> members."""
        found: dict[str, Sequence[Any]] = {}
        for at in range(0, len(names), DESCRIBED_AT_ONCE):
            some = list(names[at : at + DESCRIBED_AT_ONCE])
            for name, future in self.admin.describe_consumer_groups(some, request_timeout=TIMEOUT_S).items():
                try:
                    found[name] = self._heard(future).members
                except KafkaException as error:
                    if not _is_theirs(error):
                        raise
                    continue
        return found

    def _offsets(
        self, places: Iterable[Place], spec: Any, isolation: IsolationLevel, closed: dict[str, str]
    ) -> dict[Place, int]:
        """Without topics that are gone, whose commits will be too; and those that are closed to us."""
        asked = {TopicPartition(topic, partition): spec for topic, partition in places}
        if not asked:
            return {}
        futures = self.admin.list_offsets(asked, request_timeout=TIMEOUT_S, isolation_level=isolation)
        found = {}
        for tp, future in futures.items():
            try:
                found[tp.topic, tp.partition] = self._heard(future).offset
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                    closed[tp.topic] = "not authorised"
                elif not _is_theirs(error):
                    raise
        return found

    def _ids(self, topics: Sequence[str]) -> dict[str, str]:
        if not topics:
            return {}
        found = {}
        described = self.admin.describe_topics(TopicCollection(list(topics)), request_timeout=TIMEOUT_S)
        for name, future in described.items():
            try:
                found[name] = str(self._heard(future).topic_id)
            except KafkaException as error:
                if not _is_theirs(error):
                    raise
        return found


def _assigned(member: Any) -> Sequence[Any]:
    return () if member.assignment is None else member.assignment.topic_partitions


def _is_theirs(error: KafkaException) -> bool:
    """Of one group or topic alone: it is gone, or not for us."""
    return error.args[0].code() in (
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_ID_NOT_FOUND,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
    )
