"""What the page says, for one role, of one look: plain values for the templates, each figure with the command that shows it. Pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from streams.dashboard.pictures import bars, line, pattern_map, strip
from streams.dashboard.roles import Role
from streams.domain.lag import OK
from streams.domain.priority import score_now
from streams.topology import Topology
from streams.units import duration_ms, human_ms
from streams.watch.figures import Figures, Ticks
from streams.watch.highlights import Highlights
from streams.watch.lag import GroupLag, Picture
from streams.watch.looking import Sight
from streams.watch.overview import overview
from streams.watch.phoenix import refused_for
from streams.watch.presence import ONLY_SENDS, UNKNOWN, counted_state
from streams.words import when as moment

TICKS, TOP, FED, PARTITIONS, PATTERNS, NODES = 120, 10, 10, 20, 15, 100
KEPT_LOOKS = 300  # of each rate that is drawn
KINDS = ((True, "kept"), (None, "idle"), (False, "failed"), ("missing", "missing"))
FACTORS = ("threat_term", "opportunity_term", "confidence_term")


class Past:
    """What a line needs: each stage's rate at the looks before."""

    def __init__(self) -> None:
        self.rates: dict[str, deque[float]] = {}

    def add(self, stages: Sequence[Mapping[str, Any]]) -> None:
        for one in stages:
            self.rates.setdefault(one["stage"], deque(maxlen=KEPT_LOOKS)).append(one["per_second_5m"])


def contents(topology: Topology, brokers: str, sight: Sight, past: Past) -> dict[str, Any]:
    """All that any role may see; `for_role` takes away."""
    picture, following = sight.picture, sight.following
    figures, highlights, now_ms = following.figures, following.highlights, picture.at_ms
    about = overview(topology, figures, picture.groups, brokers, now_ms)
    past.add(about["stages"])
    return {
        "deployment": about["deployment"],
        "simulated": about["simulated"],
        "at": _when(now_ms),
        "uptime": None if about["uptime_ms"] is None else human_ms(about["uptime_ms"]),
        "attention": about["attention"],
        "totals": _totals(about),
        "flow": _flow(about, past),
        "lag": [_group(one) for one in picture.groups],
        "ours": {a.group for a in topology.agents.values()} | {w.group for w in topology.windows.values()},
        "partitions": _partitions(picture),
        "nodes": _nodes(figures, highlights),
        "node_states": [counted_state(number, state) for state, number in sorted(about["node_states"].items())],
        "registered": about["nodes"],
        "targets": about["targets"],
        "top": _top(topology, figures, highlights, now_ms),
        "patterns": _patterns(figures, highlights),
        "window": about["patterns"],
        "phoenix": about["phoenix"] | {"held": _held(about["phoenix"]["refused"])},
        "fed": [_scenario(one) for one in list(highlights.fed)[: -FED - 1 : -1]],
        "ticks": about["ticks"] | {"strip": _strip(figures.ticks)},
        "audit": _audit(about, sight),
        "residual": following.residual,
        "dead": sorted({(at[0].removesuffix(".dlq"), letter.reason) for at, letter in figures.letters.items()}),
        "dead_letters": about["dead_letters"],
    }


def for_role(told: Mapping[str, Any], role: Role) -> dict[str, Any]:
    """Without what this role may not see. Nothing of it is sent: what is hidden by a style can be read."""
    seen = dict(told) | {"role": role.name}
    if role < Role.operator:
        seen["lag"] = [one for one in told["lag"] if one["group"] in told["ours"]]
        seen["partitions"], seen["dead"] = [], []
        seen["attention"] = [one for one in told["attention"] if not one["is_strange"]]
    if role < Role.auditor:
        seen["nodes"], seen["top"], seen["fed"] = [], [], []
        rows = [row | {"name": "", "id": ""} for row in told["patterns"]["rows"]]
        seen["patterns"] = {"rows": rows, "map": told["patterns"]["plain_map"]}
        seen["attention"] = [one | {"detail": "", "command": ""} for one in seen["attention"]]
    return seen


def _totals(about: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, figure, command)."""
    outcomes, intake = about["outcomes"], about["intake"]
    limit = f" of {intake['per_hour']:,}" if intake["per_hour"] else ""
    return [
        ("submitted a minute (5 min)", f"{about['submitted_per_minute']:,g}", "icn status"),
        ("stored", f"{about['stored']:,}", "icn status"),
        ("duplicates", f"{outcomes['duplicate']:,}", "icn status"),
        ("rejected", f"{outcomes['rejected']:,}", "icn receipts"),
        ("admitted this hour", f"{intake['admitted_this_hour']:,}{limit}", "icn status"),
        ("undecided", f"{intake['undecided']:,}", "icn status"),
        ("dead letters", f"{about['dead_letters']:,}", "icn dlq list"),
    ]


def _flow(about: Mapping[str, Any], past: Past) -> list[dict[str, Any]]:
    """Each stage in the order of its depth."""
    return [
        {
            "name": one["stage"],
            "rate": f"{one['per_second_5m']:,g}",
            "line": line(past.rates[one["stage"]], f"records a second of {one['stage']}", low=0.0),
            "records": f"{one['records']:,}",
            "lag": "-" if one["lag"] is None else f"{one['lag']:,}",
            "status": one["status"] or "no commit yet",
            "bad": one["status"] not in (OK, None, "?"),
        }
        for one in about["stages"]
    ] + [
        {
            "name": one["stage"],
            "rate": "",
            "line": "",
            "records": "no window yet" if not one["ends_ms"] else _when(one["ends_ms"]),
            "lag": "",
            "status": one["group"],
            "bad": one["group"] in ("empty", "dead"),
        }
        for one in about["windows"]
    ]


def _group(one: GroupLag) -> dict[str, Any]:
    return {
        "group": one.group,
        "state": one.state.lower(),
        "status": one.status,
        "bad": one.status in ("ERR", "WARN"),
        "lag": "-" if one.lag is None else f"{one.lag:,}",
        "oldest": human_ms(one.lag_seconds * 1000) if one.lag and one.lag_seconds is not None else "-",
        "grows": "-" if one.growth_per_second is None else f"{one.growth_per_second:+.1f}" if one.lag else "0",
        "closes": human_ms(one.closes_in_s * 1000) if one.lag and one.closes_in_s is not None else "-",
        "members": one.members,
        "error": one.error or "",
    }


def _partitions(picture: Picture) -> list[dict[str, Any]]:
    """Those in trouble, and hot ones, the furthest behind first."""
    found = [
        one
        for behind in picture.behind.values()
        for one in behind.values()
        if one.status not in (OK, "?", "NO_COMMIT") or one.is_hot or one.lost
    ]
    found.sort(key=lambda one: (-(one.lag or 0), one.group, one.topic, one.partition))
    return [
        {
            "group": one.group,
            "place": f"{one.topic}/{one.partition}",
            "status": "hot" if one.status == OK and one.is_hot else one.status,
            "lag": "-" if one.lag is None else f"{one.lag:,}",
            "lost": one.lost,
            "held": one.held,
        }
        for one in found[:PARTITIONS]
    ]


def _nodes(figures: Figures, highlights: Highlights) -> list[dict[str, Any]]:
    """alive × useful, and what each one's word weighs; the least useful first."""
    rows = []
    for name in figures.node_names:
        plan, revision = figures.nodes.get(name, {}), figures.reputations.get(name)
        useful = plan.get("usefulness")
        history = [value for _, value in highlights.revisions.get(name, ())]
        rows.append(
            {
                "node": name,
                "state": figures.state_of(name),
                "bad": figures.state_of(name) in ("offline", "degraded"),
                "plain": figures.state_of(name) in (ONLY_SENDS, UNKNOWN),
                "useful": "-" if useful is None else f"{useful:.0%}",
                "load": plan.get("load", 0),
                "weighs": "-" if revision is None else f"{revision['effective']:.3f}",
                "grade": "-" if revision is None else revision["grade"],
                "demoted": bool(revision and revision["demoted"]),
                "line": line(history, f"reputation of {name} over its last {len(history)} revisions", 0.0, 1.0),
                "order": (useful if useful is not None else -1.0, name),
            }
        )
    return sorted(rows, key=lambda row: row["order"])[:NODES]


def _top(topology: Topology, figures: Figures, highlights: Highlights, now_ms: int) -> list[dict[str, Any]]:
    half_life_ms = duration_ms(topology.protocol["priority"]["half_life"])
    rows = []
    reputations = figures.reputations
    for rank, one in enumerate(highlights.top(reputations, TOP), 1):
        base = math.fsum(one[name] for name in FACTORS)
        shares = [(name.removesuffix("_term"), one[name] / base if base else 0.0) for name in FACTORS]
        now = score_now(base, one["effective_reputation"], one["first_seen_ms"], now_ms, half_life_ms)
        words = ", ".join(f"{name} {share:.0%}" for name, share in shares)
        rows.append(
            {
                "rank": rank,
                "id": one["canonical_id"],
                "short": _short(one["canonical_id"]),
                "node": one["node_id"],
                "score": f"{now:.3f}",
                "factors": bars(shares, words),
                "reputation": f"{one['effective_reputation']:.3f}",
                "age": human_ms(max(0, now_ms - one["first_seen_ms"])),
                "at": one["at"],
            }
        )
    return rows


def _patterns(figures: Figures, highlights: Highlights) -> dict[str, Any]:
    newest = highlights.newest_patterns(figures.window)[:PATTERNS]
    names = [one["name"] for one in newest]
    return {
        "rows": [
            {
                "number": number,
                "id": one["pattern_id"],
                "name": one["name"],
                "size": f"{one['size']:,}",
                "trend": one["trend"],
                "nodes": one["nodes"],
                "alone": one["nodes"] == 1,
                "confidence": f"{one['confidence']:.2f}",
            }
            for number, one in enumerate(newest, 1)
        ],
        "map": pattern_map(newest, names),
        "plain_map": pattern_map(newest, ["a pattern"] * len(newest)),
    }


def _scenario(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": one["artifact_id"],
        "short": _short(one["artifact_id"]),
        "at": _when(one["slot_ms"]),
        "domain": one["domain"],
        "node": one["node_id"],
        "tlp": one["tlp"],
        "score": f"{one['score']:.3f}",
        "novelty": f"{one['novelty']:.2f}",
    }


def _held(refused: Mapping[str, int]) -> list[tuple[str, str]]:
    """(how many, why), the most first."""
    most = sorted(refused.items(), key=lambda one: (-one[1], one[0]))
    return [(f"{number:,}", refused_for(reason)) for reason, number in most]


def _strip(ticks: Ticks) -> Any:
    """Of the newest ticks that are over."""
    last = max(ticks.ended, default=-1)
    slots = range(max(0, last - TICKS + 1), last + 1)
    shown: list[bool | str | None] = [ticks.ended.get(slot, "missing") for slot in slots]
    numbers = ", ".join(f"{shown.count(kind)} {name}" for kind, name in KINDS)
    return strip(shown, f"the last {len(shown)} ticks: {numbers}") if shown else ""


def _audit(about: Mapping[str, Any], sight: Sight) -> list[dict[str, Any]]:
    return [
        {
            "partition": partition,
            "sealed": f"{log['sealed']:,}",
            "at": _when(log["sealed_ms"]),
            "end": f"{sight.tables.audit_ends.get(int(partition), 0):,}",
        }
        for partition, log in about["audit"].items()
    ]


def _short(name: str) -> str:
    """An id as people compare it: its end, for the beginning of all of a minute's is the same."""
    return name if len(name) <= 14 else f"…{name[-12:]}"


def _when(ms: int) -> str:
    """To the second: the page is looked at, not reckoned with."""
    return moment(ms).partition(".")[0] + "Z"
