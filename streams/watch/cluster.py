"""One look at a cluster: every group, what it has committed, and where its partitions begin and end.

Committed offsets are asked first, ends after: the other way round gives negative lags. No commit is no figure, never 0 or -1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
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
from streams.watch.answers import why
from streams.words import counted

SILENT_S = 12  # a look at which nothing is answered for so long has failed
LOOK_S = 60  # so has one that lasts longer, though it is answered: a large cluster may take its time
RETURN_S = 60  # a broker that was away has loaded its groups by then
DESCRIBED_AT_ONCE = 100  # groups in one request
Place = tuple[str, int]  # topic, partition


class Member(NamedTuple):
    """Of a group."""

    host: str
    id: str
    client_id: str


class Group(NamedTuple):
    """committed: place -> offset; None: it is subscribed, or was, and has no commit. assigned: what its members own; None: not known.
    error: why it can't be looked at. owners: of what is assigned."""

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
    """Seen through confluent-kafka's AdminClient: needs DESCRIBE, and nothing else. wanted: which groups are looked at; None: all."""

    def __init__(self, settings: Settings, wanted: Callable[[str], bool] | None = None) -> None:
        self.settings, self.wanted = settings, wanted
        self.admin = self._client()
        self._deadline_s = 0.0
        self._known = frozenset[str]()  # groups of the last good look
        self._away_s: float | None = None  # when a broker was last found to be away
        self._missing_s: float | None = None  # since when groups are missing

    def _client(self) -> AdminClient:
        # it asks a broker that was away again each second: librdkafka would wait longer each time
        return AdminClient(self.settings.librdkafka(error_cb=self._away, **{"reconnect.backoff.max.ms": 1000}))

    def _away(self, _: Any = None) -> None:
        self._away_s = time.monotonic()

    def look(self, groups: Sequence[str] = ()) -> Look:
        """Of these groups, or of all; names, or patterns of a shell. Raises BrokerError."""
        self._deadline_s = time.monotonic() + LOOK_S
        try:
            return self._look(groups)
        except (KafkaException, TimeoutError) as error:
            self._away()
            self._missing_s = None
            # A client that has asked a group's coordinator while the broker went away may never be answered again, nor its next questions.
            self.admin = self._client()
            raise BrokerError(why(self.settings.brokers, error), "is the broker running? icn broker status") from error

    def _heard(self, future: Any) -> Any:
        """Its result. Raises KafkaException, TimeoutError."""
        return future.result(max(0.1, min(SILENT_S, self._deadline_s - time.monotonic())))

    def _look(self, groups: Sequence[str]) -> Look:
        states = self._states()
        names = [name for name in sorted(states) if self._is_asked(name, groups)]
        self._require_all(names, groups)
        committed, errors = self._committed(names)
        members = self._described(names)
        owned = {name: _owned(of) for name, of in members.items()}
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
            seen[name] = Group(
                states[name],
                len(members.get(name, ())),
                None if mine is None else frozenset(mine),
                committed.get(name, {}),
                errors.get(name),
                mine or {},
            )
        self._known = frozenset(names)
        return Look(at_ms, seen, ends, written, lows, ids, closed)

    def _is_asked(self, name: str, groups: Sequence[str]) -> bool:
        if self.wanted is not None and not self.wanted(name):
            return False
        return not groups or is_named(name, groups)

    def _require_all(self, names: Sequence[str], groups: Sequence[str]) -> None:
        """While a broker that was away loads its groups, it tells of those that it has, and not that there are more. Raises BrokerError."""
        self.admin.poll(0)  # tells of a connection that was lost between two looks
        missing = {name for name in self._known.difference(names) if self._is_asked(name, groups)}
        now_s = time.monotonic()
        if not missing or self._away_s is None or now_s - self._away_s > RETURN_S:
            self._missing_s = None
            return
        self._missing_s = (
            self._missing_s or now_s
        )  # a broker that stays away must not make what is deleted missing for ever
        if now_s - self._missing_s <= RETURN_S:
            have = "has" if len(missing) == 1 else "have"
            told = f"the broker at {self.settings.brokers} was away, and {counted(len(missing), 'group')} {have} not come back yet"
            raise BrokerError(told, f"what is deleted is gone after {RETURN_S} s")

    def _states(self) -> dict[str, str]:
        listed = self._heard(self.admin.list_consumer_groups(request_timeout=LOOK_S))
        if listed.errors:  # a broker that can't be asked may have groups: no answer is not "no lag"
            raise KafkaException(listed.errors[0])
        return {one.group_id: one.state.name for one in listed.valid}

    def _committed(self, names: Sequence[str]) -> tuple[dict[str, dict[Place, int | None]], dict[str, str]]:
        """By group; and of those that don't tell, why. confluent-kafka takes one group a call: all are asked, then all are heard."""
        asked = [
            self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)], request_timeout=LOOK_S)
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
            for name, future in self.admin.describe_consumer_groups(some, request_timeout=LOOK_S).items():
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
        futures = self.admin.list_offsets(asked, request_timeout=LOOK_S, isolation_level=isolation)
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
        described = self.admin.describe_topics(TopicCollection(list(topics)), request_timeout=LOOK_S)
        for name, future in described.items():
            try:
                found[name] = str(self._heard(future).topic_id)
            except KafkaException as error:
                if not _is_theirs(error):
                    raise
        return found


def is_named(name: str, groups: Iterable[str]) -> bool:
    """By one of these: names of groups, or patterns of a shell."""
    return any(name == one or fnmatchcase(name, one) for one in groups)


def _owned(members: Sequence[Any]) -> dict[Place, Member]:
    """Place -> its owner."""
    found = {}
    for one in members:
        owner = Member(one.host, one.member_id, one.client_id)
        for tp in _assigned(one):
            found[tp.topic, tp.partition] = owner
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
