"""Ticks of a small fleet: who gets what, what counts, and what a node can't talk itself into."""

from __future__ import annotations

from typing import Any

import pytest

from streams.domain.coordination import JOBS_MAX, Coordination, Made
from streams.domain.coordination_state import Rules
from streams.domain.targets import Target

MINUTE = 60_000
RULES = Rules.of(MINUTE, {"page": "http"}, 92)
PAGE, FEED = Target("page", "https://example.org/"), Target("feed", "https://example.org/feed")


class World:
    """A coordination, and the events it hears. Time is the tick's."""

    def __init__(self, *targets: Target, rules: Rules = RULES) -> None:
        self.core, self.slot = Coordination(rules), -1
        self.now_ms = self.said = 0
        for target in targets:
            self.add(target)

    def tell(self, source: str, **event: Any) -> None:
        self.core.fold(source, event, self.now_ms)

    def add(self, target: Target) -> None:
        self.tell(
            "targets",
            kind="added",
            target_id=target.id,
            type=target.type,
            location=target.location,
            priority=target.priority,
            interval_ms=target.interval_ms,
            retry_ms=target.retry_ms,
            metadata={},
        )

    def node(self, name: str, *capabilities: str, capacity: int = 3, alive: bool = True) -> None:
        self.tell(
            "control",
            kind="node_registered",
            node_id=name,
            generation=1,
            capacity=capacity,
            capabilities=capabilities or ("http", "feed"),
        )
        if alive:
            self.says(name, "started")

    def says(self, name: str, kind: str = "heartbeat", session: str = "s1", said_at: int | None = None) -> None:
        self.said += 1
        self.tell("nodes", kind=kind, node_id=name, session=session, said_at=self.said if said_at is None else said_at)

    def tick(self, *alive: str, minutes: int = 1) -> Made:
        """The next one; these say that they are alive just before."""
        self.slot += minutes
        self.now_ms = self.slot * MINUTE
        for name in alive:
            self.says(name)
        return self.core.begin(self.slot, self.now_ms)

    def admit(self, assignment: str, node: str, count: int = 1, decision: str = "UNIQUE") -> None:
        for number in range(count):
            facts = {"node_id": node, "artifact_id": f"{assignment}/{number}", "assignment": assignment}
            self.tell("artifacts.decided", decision=decision, facts=facts)

    def report(self, job: dict[str, Any], outcome: str, count: int = 0, **changes: Any) -> None:
        self.now_ms += 1_000
        event = {
            "assignment": job["assignment_id"],
            "node_id": job["node_id"],
            "target_id": job["target_id"],
            "outcome": outcome,
            "artifact_count": count,
            "duration_ms": 1_000,
            "error": "timeout" if outcome == "failure" else None,
            "simulated": False,
        }
        self.tell("reports", **event | changes)


def who(made: Made) -> dict[str, str]:
    return {one["target_id"]: one["node_id"] for one in made.assignments}


def outcomes(made: Made) -> list[tuple[str, int, bool]]:
    return [(one["outcome"], one["artifact_count"], one["late"]) for one in made.collections]


def test_due_targets_go_to_nodes_that_can() -> None:
    """A page needs http, as the map says; a feed needs what it is called."""
    world = World(PAGE, FEED)
    world.node("n1", "http")
    world.node("n2", "feed")
    made = world.tick()
    assert who(made) == {PAGE.id: "n1", FEED.id: "n2"}
    (page,) = [one for one in made.assignments if one["target_id"] == PAGE.id]
    assert page["deadline_ms"] - page["slot_ms"] == 55_200
    assert world.tick("n1", "n2").assignments == [], "they have them already"


@pytest.mark.parametrize(
    ("targets", "nodes", "risk"),
    [((), ("n1",), "there is no target"), ((PAGE,), (), "no node is alive"), ((), (), "there is no target")],
)
def test_with_nothing_to_do_or_nobody_to_do_it_a_tick_is_idle(targets: Any, nodes: Any, risk: str) -> None:
    world = World(*targets)
    for name in nodes:
        world.node(name)
    made, ended = world.tick(), world.core.end(0)
    assert made.assignments == [] and risk in made.tick["risks"][0]
    assert (ended.tick["success"], world.core.is_all_back) == (None, True)


def test_a_tick_in_which_every_source_said_unchanged_is_in_no_rate() -> None:
    world = World(PAGE, FEED)
    world.node("n1")
    page, feed = world.tick().assignments
    world.report(page, "unchanged")
    world.report(feed, "unchanged")
    ended = world.core.end(0).tick
    assert (ended["outcomes"], ended["success"]) == (
        {"success": 0, "unchanged": 2, "empty": 0, "failure": 0, "open": 0},
        None,
    )
    assert world.tick("n1").assignments == [], "they count as collected"


def test_a_success_counts_once_its_artifacts_are_admitted() -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.report(job, "success", 2)
    assert world.core.hear().collections == [], "not yet"
    world.admit(job["assignment_id"], "n1", 2)
    assert outcomes(world.core.hear()) == [("success", 2, False)]
    assert world.core.end(0).tick["success"] is True
    assert world.tick("n1", minutes=59).assignments == [] and who(world.tick("n1")) == {PAGE.id: "n1"}, "an hour later"


@pytest.mark.parametrize(("claimed", "admitted"), [(5, 0), (5, 4), (0, 0)])
def test_a_node_that_lies_about_its_count_has_failed(claimed: int, admitted: int) -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.admit(job["assignment_id"], "n1", admitted)
    world.report(job, "success", claimed)
    (judged,) = world.core.end(0).collections
    assert (judged["outcome"], judged["artifact_count"], judged["claimed"]) == ("failure", admitted, claimed)
    assert judged["error"] == f"it claimed {claimed} artifacts, {admitted} were admitted"


def test_artifacts_of_another_node_speak_for_nobody() -> None:
    """n2 names n1's assignment in its artifacts, and n1 claims them."""
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.admit(job["assignment_id"], "n2", 3)
    world.report(job, "success", 3)
    assert outcomes(world.core.end(0)) == [("failure", 0, False)]


@pytest.mark.parametrize("change", [{"node_id": "n2"}, {"assignment": "0-nothing"}, {"target_id": FEED.id}])
def test_nobody_can_claim_what_was_not_assigned_to_him(change: dict[str, str]) -> None:
    """It is on record, enters no rate, and the one whose it is goes on."""
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.report(job, "success", 1, **change)
    made = world.core.hear()
    assert outcomes(made) == [("unknown", 0, False)] and made.collections[0]["error"] == "not its assignment"
    assert made.tick["refused"] == {"not its assignment": 1}
    assert not world.core.is_all_back


def test_an_answer_counts_once() -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.admit(job["assignment_id"], "n1")
    world.report(job, "success", 1)
    world.report(job, "failure")
    assert outcomes(world.core.hear()) == [("success", 1, False), ("unknown", 0, False)]
    assert len(world.core.nodes["n1"].attempts) == 1


def test_a_silent_node_has_failed_after_ten_minutes_and_another_gets_it() -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    assert world.core.end(0).tick["outcomes"]["open"] == 1 and not world.core.is_all_back
    world.node("n2")
    assert world.tick("n1", "n2", minutes=9).assignments == []
    made = world.tick("n1", "n2")
    assert who(made) == {PAGE.id: "n2"} and outcomes(made) == [("failure", 0, False)]
    assert made.tick["given_up"][0] | {} == {
        "assignment_id": job["assignment_id"],
        "target_id": PAGE.id,
        "node_id": "n1",
        "reason": "no result",
    }


def test_a_late_answer_is_taken_and_not_counted_twice() -> None:
    """Given up, and n2 is at it. The target has what it needs; n1's failure stays; what n2 does counts for n2."""
    world = World(PAGE)
    world.node("n1")
    (first,) = world.tick().assignments
    world.node("n2")
    (second,) = world.tick("n1", "n2", minutes=10).assignments
    world.admit(first["assignment_id"], "n1")
    world.report(first, "success", 1)
    assert outcomes(world.core.hear()) == [("success", 1, True)]
    assert [one.success for one in world.core.nodes["n1"].attempts] == [False]
    assert world.core.progress[PAGE.id].collected_ms is not None
    world.admit(second["assignment_id"], "n2")
    world.report(second, "success", 1)
    world.report(first, "success", 1)
    assert outcomes(world.core.hear()) == [("success", 1, False), ("unknown", 0, False)]


@pytest.mark.parametrize("kind", ["stopped", "unregistered"])
def test_a_node_that_leaves_gives_back_what_it_had(kind: str) -> None:
    """At the next tick somebody else has it, and nobody has failed."""
    world = World(PAGE)
    world.node("n1")
    world.tick()
    world.node("n2")
    if kind == "stopped":
        world.says("n1", "stopped")
    else:
        world.tell(
            "control", kind="node_unregistered", node_id="n1", generation=2, capacity=3, capabilities=["http", "feed"]
        )
    ended = world.core.end(0)
    made = world.tick("n2")
    assert (who(made), made.collections) == ({PAGE.id: "n2"}, [])
    assert [one["reason"] for one in ended.tick["given_up"] + made.tick["given_up"]] == [kind]
    assert len(world.core.nodes["n1"].attempts) == 0


def test_a_node_without_heartbeat_is_offline_and_has_failed() -> None:
    world = World(PAGE)
    world.node("n1")
    world.node("n2", "feed")
    world.tick()
    made = world.tick("n2", minutes=5)
    assert outcomes(made) == [("failure", 0, False)] and made.collections[0]["error"] == "its node is offline"
    assert made.tick["left"] == [{"target_id": PAGE.id, "reason": "no live node can http"}]


def test_a_restarted_node_has_forgotten_what_it_had() -> None:
    """It is given the target anew."""
    world = World(PAGE)
    world.node("n1")
    world.tick()
    world.says("n1", "started", session="s2")
    made = world.tick()
    assert who(made) == {PAGE.id: "n1"}
    assert made.tick["given_up"][0]["reason"] == "started again"
    assert world.core.progress[PAGE.id].attempts == 1, "a target that brings down its nodes must not go round for ever"


def test_a_copied_word_of_a_node_says_nothing() -> None:
    """An old `started` would take its assignments, an old heartbeat would keep a dead node alive."""
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.now_ms += 1_000
    world.says("n1", "started", session="old", said_at=1)
    world.says("n1", said_at=1)
    assert job["assignment_id"] in world.core.open and world.core.nodes["n1"].session == "s1"
    assert world.core.nodes["n1"].heartbeat_ms == 0
    assert world.tick().tick["refused"] == {"nodes: repeated": 2}


def test_a_heartbeat_is_enough_to_be_there() -> None:
    """The word `started` may have been lost."""
    world = World(PAGE)
    world.node("n1", alive=False)
    world.says("n1", session="s7")
    assert who(world.tick()) == {PAGE.id: "n1"}


def test_a_late_unchanged_frees_nobody_and_wipes_nothing() -> None:
    """It needs no artifact, so anybody could say it."""
    world = World(PAGE)
    world.node("n1")
    (first,) = world.tick().assignments
    world.node("n2")
    (second,) = world.tick("n1", "n2", minutes=10).assignments
    world.report(first, "unchanged")
    assert outcomes(world.core.hear()) == [("unchanged", 0, True)]
    held = world.core.progress[PAGE.id].assignment
    assert held is not None and held.id == second["assignment_id"] and world.core.progress[PAGE.id].attempts == 1
    assert world.tick("n1", "n2").assignments == []


def test_the_most_important_of_too_many_targets_are_planned() -> None:
    targets = [Target("page", f"https://example.org/{n}", priority=1 + n % 10) for n in range(JOBS_MAX + 100)]
    world = World(*targets)
    world.node("n1", capacity=5)
    made = world.tick()
    assert made.tick["due"] == JOBS_MAX + 100 and "100 more targets" in made.tick["risks"][0]
    assert {world.core.targets[one["target_id"]].priority for one in made.assignments} == {10}
    assert len(made.tick["left"]) == JOBS_MAX - 5


def test_the_only_node_tries_five_times_and_then_the_target_rests() -> None:
    """After three another node would be asked; there is none."""
    world = World(PAGE)
    world.node("n1")
    tried = 0
    for _ in range(60):
        made = world.tick("n1")
        for job in made.assignments:
            tried += 1
            assert job["attempt"] == tried
            world.report(job, "failure")
            world.core.end(world.slot)
    assert tried == 5


def test_after_three_attempts_another_node_is_asked() -> None:
    world = World(PAGE)
    world.node("n1")
    asked = []
    for _ in range(30):
        for job in world.tick("n1", *(["n2"] if len(asked) > 2 else [])).assignments:
            asked.append(job["node_id"])
            world.report(job, "failure")
            world.core.end(world.slot)
        if len(asked) == 3:
            world.node("n2", capacity=1)
    assert asked[:4] == ["n1", "n1", "n1", "n2"]
    assert len(asked) == 5, "whoever tried then: after five the target rests"


def test_a_degraded_node_gets_one_probe_an_hour() -> None:
    targets = [Target("page", f"https://example.org/{number}", retry_ms=300_000) for number in range(12)]
    world = World(*targets)
    world.node("n1", capacity=6)
    for job in world.tick().assignments:
        world.report(job, "failure")
    world.core.end(0)
    probes = []
    for _ in range(70):
        made = world.tick("n1")
        assert made.tick["nodes"][0]["state"] == "degraded"
        probes += [world.slot] * len(made.assignments)
        for job in made.assignments:
            world.report(job, "failure")
        world.core.end(world.slot)
    assert probes == [1, 61]


def test_refuted_and_repeated_artifacts_make_a_node_less_useful() -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.admit(job["assignment_id"], "n1", 4)
    world.report(job, "success", 4)
    world.core.hear()
    best = world.core.health("n1", world.now_ms).usefulness
    vote = {"node_id": "n1", "artifact_id": f"{job['assignment_id']}/0", "outcome": "refuted", "weight": 1.0}
    world.tell("votes", **vote, ignored="repeated")
    assert world.core.health("n1", world.now_ms).usefulness == best, "what is ignored counts nothing"
    world.tell("votes", **vote, ignored=None)
    world.admit("0-else", "n1", 4, "DUPLICATE")
    assert best is not None and world.core.health("n1", world.now_ms).usefulness == pytest.approx(best - 0.4 * 5 / 8)


def test_a_target_that_is_removed_is_nobodys() -> None:
    world = World(PAGE)
    world.node("n1")
    (job,) = world.tick().assignments
    world.tell("targets", kind="removed", target_id=PAGE.id)
    assert world.tick("n1").tick["given_up"][0]["reason"] == "target removed"
    world.admit(job["assignment_id"], "n1")
    world.report(job, "success", 1)
    assert outcomes(world.core.hear()) == [("success", 1, True)], "on record"
    assert world.tick("n1").assignments == []


def test_limits_of_ticks_are_multiples_of_the_cadence() -> None:
    """Two seconds: 1.84 s, 10 s, 20 s, 2 min."""
    rules = Rules.of(2_000, {}, 92)
    assert (rules.deadline_ms, rules.health.heartbeat_ms, rules.targets.silent_ms) == (1_840, 10_000, 20_000)
    assert (rules.targets.retry_min_ms, rules.health.dead_ms) == (10_000, 120_000)
