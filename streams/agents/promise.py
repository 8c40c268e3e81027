"""What the audit log is told of ticks: promised in the manifest, then one by one, with their jobs. And what became of nodes and targets."""

from __future__ import annotations

import time
from typing import Any

from streams.audit.record.events import COLLECTION_ENDS, Event
from streams.audit.record.process import try_process_log
from streams.audit.record.schedule import MS, KeptSchedule, Schedule
from streams.audit.record.tally import Tally
from streams.domain.coordination import Coordination, Made
from streams.domain.outcomes import Assigned
from streams.domain.ticks import MINUTE_MS
from streams.settings import Settings
from streams.topology import Topology

AHEAD_MS = MINUTE_MS  # at least: so that a checkpoint covers what was promised before it begins
NAME = "ticks"


def endless(cadence_ms: int) -> Schedule:
    """One that begins as soon as it can be sealed."""
    return Schedule.aligned(NAME, time.time_ns() // MS + AHEAD_MS, cadence_ms, None)


class Promise:
    """One run of whoever emits ticks. A job is a target that was assigned in a tick. audit None: the log could not be opened."""

    def __init__(self, topology: Topology, settings: Settings, cadence_ms: int) -> None:
        folder = settings.state / "audit"
        self.kept = KeptSchedule(folder / "ticks.schedule")
        self.schedule = self.kept.resume_or_begin(endless(cadence_ms))
        self.audit = try_process_log(topology, settings, NAME, schedule=self.schedule.json())
        self.states: dict[str, str] = {}
        self.tally: Tally | None = None
        if self.audit is not None:
            self.tally = Tally(topology, settings, self.audit, self.schedule, folder / "ticks.tally", self.audit.clock)
            self.tally.start()

    def write(self, event: Event) -> None:
        """Before the schedule begins, and without a log, nothing is told."""
        if self.audit is not None and (event.tick is None or event.tick >= 0):
            self.audit.write(event)

    # -- ticks ------------------------------------------------------------

    def began(self, tick: int) -> None:
        self.write(Event("tick_started", tick))

    def ended(self, tick: int, took_ns: int, success: bool | None, error: str | None = None) -> None:
        """success None: there was nothing to do."""
        if error is None:
            self.write(Event("tick_completed", tick, success=success, duration_ns=took_ns))
        else:
            self.write(Event("tick_failed", tick, success=False, duration_ns=took_ns, error=error))

    def still_open(self, core: Coordination, tick: int) -> None:
        """The process that had begun these jobs is gone; from now on this one answers for them."""
        for one in core.open_now():
            self._start(tick, one)

    # -- what the coordinator makes ---------------------------------------

    def heard(self, source: str, event: dict[str, Any]) -> None:
        if source == "nodes" and event["kind"] in ("started", "stopped"):
            kind = "node_register" if event["kind"] == "started" else "node_unregister"
            self.write(Event(kind, node_id=event["node_id"]))
        elif source == "nodes":
            self.write(Event("node_heartbeat", node_id=event["node_id"], queue_size=max(0, event["load"])))
        elif source == "targets" and event["kind"] == "added":
            self.write(Event("target_added", target_id=event["target_id"]))

    def made(self, core: Coordination, made: Made) -> None:
        tick = self.schedule.slot_at(core.slot_ms)
        for assignment in made.assignments:
            one = core.open[assignment["assignment_id"]]
            self.write(Event("target_assigned", tick, node_id=one.node_id, target_id=one.target_id))
            self._start(tick, one)
        for collection in made.collections:
            self._end(tick, core, collection)
        if made.tick["kind"] == "planned":
            self._nodes(made.tick["nodes"])
        elif made.tick["kind"] == "ended":
            for one in core.open_now():
                self.write(_job("collection_failure", tick, one, success=False, error="no result in time"))

    def _start(self, tick: int, one: Assigned) -> None:
        self.write(_job("collection_start", tick, one))

    def _end(self, tick: int, core: Coordination, collection: dict[str, Any]) -> None:
        """Of a job of this tick; one that is late was a failure of its own tick, and told as such."""
        one = core.over.get(collection["assignment"])
        if (
            one is None
            or collection["late"]
            or one.slot_ms != core.slot_ms
            or collection["outcome"] not in COLLECTION_ENDS
        ):
            return
        type_, success = COLLECTION_ENDS[collection["outcome"]]
        more = {"artifact_count": collection["artifact_count"], "error": collection["error"]}
        self.write(_job(type_, tick, one, success=success, duration_ns=collection["duration_ms"] * MS, **more))

    def _nodes(self, nodes: list[dict[str, Any]]) -> None:
        for node in nodes:
            before = self.states.get(node["node_id"])
            self.states[node["node_id"]] = node["state"]
            if before not in (None, "offline") and node["state"] == "offline":
                self.write(Event("node_dead", node_id=node["node_id"], error=node["why"]))

    def close(self) -> None:
        if self.tally is not None:
            self.tally.stop()
        if self.audit is not None:
            self.audit.close()
            self.kept.end()


def _job(type_: str, tick: int, one: Assigned, **more: Any) -> Event:
    return Event(type_, tick, one.target_id, one.attempt, node_id=one.node_id, target_id=one.target_id, **more)
