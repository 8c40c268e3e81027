"""Looks at cluster and network in the background, again and again; who asks is given the last look, or nothing where that is old."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.errors import IcnError
from streams.settings import Settings
from streams.topology import Topology
from streams.watch.answers import why
from streams.watch.cluster import LOOK_S, SILENT_S
from streams.watch.following import Following
from streams.watch.lag import Picture
from streams.watch.monitor import Monitor

log = logging.getLogger("icn.looking")
STOP_S = 1.0  # for a look that is going on
STALE_LOOKS = 3  # a look older than so many is not shown any more: no figure is better than an old one that looks new


class Tables(NamedTuple):
    """changelogs: stage -> offsets that are kept of it; audit_ends: partition of the audit log -> its end. topics: all of the cluster's."""

    changelogs: Mapping[str, int]
    audit_ends: Mapping[int, int]
    topics: Collection[str] = ()


class Sight(NamedTuple):
    """One look. Its figures go on changing: only who is called with it may read them."""

    picture: Picture
    following: Following
    tables: Tables
    took_s: float
    lost_ever: int


class Looking:
    """show: called with each look, in the thread that looks; what it returns is `shown`. Raises nothing: what is wrong is in `error`."""

    def __init__(
        self,
        topology: Topology,
        settings: Settings,
        show: Callable[[Sight], Any],
        every_s: float,
        allowed: int = 0,
        by_name: bool = False,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self.topology, self.settings, self.show, self.every_s = topology, settings, show, every_s
        self.monitor = Monitor(settings, allowed, wanted)
        self.following = Following(topology, settings, by_name)
        self.admin = AdminClient(settings.librdkafka())
        self.losing, self.lost_ever = set[tuple[str, str, int]](), 0
        self.error: str | None = None
        self.took_s: float | None = None
        self.looked_ms: int | None = None  # wall clock of the last good look
        self._shown: Any = None
        self._shown_at = 0.0
        self._tried_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="looking")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the look that is going on, or without it: it only reads, and may wait for a broker that is away."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self.following.close()

    @property
    def shown(self) -> Any:
        """Of the last look; None: there is none, or it is old."""
        return self._shown if self.age_s is not None and self.age_s <= STALE_LOOKS * self.every_s else None

    @property
    def age_s(self) -> float | None:
        """Of the last good look; None: there was none."""
        return None if self._shown is None else time.monotonic() - self._shown_at

    @property
    def is_fresh(self) -> bool:
        """The last look was good, and is not old."""
        return self.error is None and self.shown is not None

    @property
    def trouble(self) -> str | None:
        """Why what is shown is not fresh; None: it is."""
        if self.is_fresh or self.error is not None:
            return self.error
        return "no look yet" if self.age_s is None else f"the cluster has not answered for {self.age_s:.0f} s"

    @property
    def is_alive(self) -> bool:
        """Somebody looks, whether or not there is something to be seen."""
        return self._thread.is_alive() and time.monotonic() - self._tried_at < 3 * LOOK_S + self.every_s

    def _run(self) -> None:
        while not self._stop.is_set():
            began = self._tried_at = time.monotonic()
            try:
                self.look()
                self.error = None
            except (IcnError, KafkaException, TimeoutError) as error:
                told = str(error.args[0]) if isinstance(error, IcnError) else why(self.settings.brokers, error)
                if told != self.error:
                    log.warning("%s: looking again", told)
                self.error = told
            except Exception as error:  # a bug, or a record that nobody thought of: told, and looked at again
                if self.error != (told := f"{type(error).__name__}: {error}"):
                    log.exception("a look failed, looking again")
                self.error = told
            self._stop.wait(max(0.0, self.every_s - (time.monotonic() - began)))

    def look(self) -> None:
        """Once. Raises BrokerError, KafkaException, TimeoutError."""
        began = time.monotonic()
        picture = self.monitor.look()
        self.following.look()
        tables = self._tables()
        losing = {(name, *at) for name, behind in picture.behind.items() for at, one in behind.items() if one.lost}
        self.lost_ever += len(losing - self.losing)
        self.losing = losing
        self.took_s = time.monotonic() - began
        shown = self.show(Sight(picture, self.following, tables, self.took_s, self.lost_ever))
        self._shown, self._shown_at, self.looked_ms = shown, time.monotonic(), time.time_ns() // 1_000_000

    def _tables(self) -> Tables:
        """What the workers would have to restore, where the audit log ends, and which topics there are."""
        known = self.admin.list_topics(timeout=SILENT_S).topics

        def places(name: str) -> list[TopicPartition]:
            about = known.get(name)
            return (
                [] if about is None or about.error is not None else [TopicPartition(name, p) for p in about.partitions]
            )

        stages = {agent.changelog: agent.name for agent in self.topology.agents.values()}
        metrics = self.topology.topic("metrics").name
        asked = [place for name in (*stages, metrics) for place in places(name)]
        ends, lows = (self._offsets(asked, spec) for spec in (OffsetSpec.latest(), OffsetSpec.earliest()))
        kept = Counter[str]()
        for place, end in ends.items():
            if place[0] in stages:
                kept[stages[place[0]]] += end - lows.get(place, end)
        audit_ends = {partition: end for (name, partition), end in ends.items() if name == metrics}
        return Tables(kept, audit_ends, frozenset(known))

    def _offsets(self, places: list[TopicPartition], spec: Any) -> dict[tuple[str, int], int]:
        if not places:
            return {}
        futures = self.admin.list_offsets(dict.fromkeys(places, spec), request_timeout=SILENT_S)
        return {(at.topic, at.partition): future.result(SILENT_S).offset for at, future in futures.items()}
