"""A cluster with one of each trouble, and a network with something of everything: what tests of metrics, alerts and pages look at."""

from __future__ import annotations

from typing import Any

from streams.watch.cluster import Group, Look, Member, Place
from streams.watch.figures import Figures, Letter, Sealed
from streams.watch.lag import Lag, Picture, told_of, with_hot
from streams.watch.looking import Tables

NOW_MS = 1_800_000_000_000
HOSTILE = 'evil<script>alert(1)</script>"\n\\ ¶'  # a name of a group, a topic, a node


def picture() -> Picture:
    """Groups: fine, at its end; behind, with one partition of each kind; new, without a commit; hostile, by name; closed, not for us."""
    ends: dict[Place, int] = {("t", p): 100 for p in range(6)} | {("gone.t", 0): 10, (HOSTILE, 0): 7}
    lows: dict[Place, int] = dict.fromkeys(ends, 0) | {("t", 3): 60}
    behind = {
        ("t", 0): Lag("behind", "t", 0, 40, 100, 60, 12.5, "message", -2.0, 30.0, "OK", "STABLE", 0, 0, 40, None),
        ("t", 1): Lag("behind", "t", 1, 99, 100, 1, 3.0, "interpolation", 0.0, None, "STALL", "STABLE", 0, 0, 99, None),
        ("t", 2): Lag("behind", "t", 2, None, 100, None, None, None, None, None, "NO_COMMIT", "STABLE"),
        ("t", 3): Lag("behind", "t", 3, 50, 100, 50, 900.0, "message", None, None, "WARN", "STABLE", 0, 10, 0, 1.0),
        ("t", 4): Lag("behind", "t", 4, 100, 100, 0, 0.0, "message", 0.0, 0.0, "HELD", "STABLE", 5, 0, 100, 0.0),
    }
    owners = {("t", p): Member("/10.0.0.7", "c-1", "worker-1") for p in range(6)}
    groups = {
        "fine": Group("STABLE", 1, frozenset(owners), {("t", 0): 100, ("t", 5): 100}, None, owners),
        "behind": Group("STABLE", 2, frozenset(owners), {place: one.committed for place, one in behind.items()}, None, owners),
        "new": Group("STABLE", 1, frozenset({("t", 5)}), {("t", 5): None}),
        HOSTILE: Group("EMPTY", 0, frozenset(), {(HOSTILE, 0): 7}),
        "closed": Group("EMPTY", 0, None, {}, "Group authorization failed"),
    }  # fmt: skip
    new = {("t", 5): Lag("new", "t", 5, None, 100, None, None, None, None, None, "NO_COMMIT", "STABLE")}
    mine = {"fine": {}, "behind": with_hot(groups["behind"], dict(behind)), "new": new, HOSTILE: {}, "closed": {}}
    told = [
        told_of(name, group, list(mine[name].values()), len(group.committed) - len(mine[name]))
        for name, group in groups.items()
    ]
    written = ends | {("t", 4): 105}
    look = Look(NOW_MS, groups, ends, written, lows, {"t": "id"}, {})
    return Picture(NOW_MS, 0.25, told, mine, look)


def batch(
    stage: str, sequence: int, records: int, last: int, counts: dict[str, int], partition: int = 0
) -> dict[str, Any]:
    """One of `batches`."""
    topic = {"s1_intake": "artifacts.raw", "s2_dedup": "artifacts.admitted"}[stage]
    return {
        "stage": stage, "partition": partition, "sequence": sequence, "topic": topic, "first_offset": 0, "last_offset": last,
        "records": records, "redelivered": 1, "applied": {topic: last}, "counts": counts, "rule": b"rulerule",
    }  # fmt: skip


def tick(kind: str, slot: int, success: bool | None = None, schedule: str = "s", **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "schedule": schedule,
        "slot": slot,
        "slot_ms": NOW_MS + 60_000 * slot,
        "success": success,
        **more,
    }


def figures() -> Figures:
    """Something of everything; names as hostile as they come."""
    told = Figures()
    told.take(
        "batches", batch("s1_intake", 0, 10, 9, {"admitted": 8, "rejected": 2, "rejected:quota": 2}), NOW_MS - 1000
    )
    told.take("batches", batch("s2_dedup", 0, 8, 7, {"unique": 5, "duplicate": 3}), NOW_MS - 500)
    nodes = [{"node_id": HOSTILE, "state": "healthy", "usefulness": 0.5, "load": 1, "why": "", "advice": ""}]
    for slot in range(4):
        told.take("ticks", tick("planned", slot, nodes=nodes), NOW_MS)
        told.take("ticks", tick("ended", slot, success=(True, True, None, False)[slot]), NOW_MS)
    told.take("control", {"kind": "node_registered", "node_id": HOSTILE, "generation": 1, "principal": "p"}, NOW_MS)
    told.take("targets", {"kind": "added", "target_id": "a"}, NOW_MS)
    revision = {"node_id": HOSTILE, "revision": 3, "effective": 0.4, "demoted": True, "score": 0.8, "grade": "D"}
    told.take("reputation", revision, NOW_MS)
    told.letter("artifacts.raw.dlq", 0, 3, Letter(NOW_MS - 7_200_000, "schema"))
    told.sealed[0] = Sealed(40, NOW_MS - 60_000)
    told.take("windows", {"slot_ms": NOW_MS, "patterns": 3, "texts": 90}, NOW_MS)
    round_ = {
        "slot_ms": NOW_MS,
        "fed": 7,
        "waiting": 30,
        "refused": {"hour": 12},
        "domains_starving": 1,
        "opens_ms": None,
    }
    told.take("phoenix.rounds", round_, NOW_MS)
    return told


TABLES = Tables({"s1_intake": 12}, {0: 44}, {"t", "gone.t", HOSTILE, "nobody.reads"})
