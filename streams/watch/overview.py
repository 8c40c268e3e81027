"""The network on one screen: what it did, what it does, and what needs attention, each with the command that shows more. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from streams.domain.ticks import HOUR_MS
from streams.replay.conservation import OUTCOMES
from streams.topology import Topology
from streams.units import duration_ms, human_ms
from streams.watch.figures import Figures, StageFigures
from streams.watch.lag import GroupLag
from streams.words import counted

SILENT_CADENCES = 3
UNSEALED_MS = 900_000
STANDS_MS = 900_000  # a feed in which something waits and nothing is fed
STOPPED = ("EMPTY", "DEAD")


class Attention(NamedTuple):
    """what: in one line, without names of others; command: what shows more, or mends it; detail: who; is_strange: of a group not
    ours."""

    what: str
    command: str
    detail: str = ""
    is_strange: bool = False


def overview(
    topology: Topology, figures: Figures, groups: Iterable[GroupLag], brokers: str, now_ms: int
) -> dict[str, Any]:
    """{deployment, broker, simulated, at_ms, uptime_ms, outcomes, stored, submitted_per_minute, intake, stages, windows, nodes, targets,
    ticks, phoenix, patterns, audit, dead_letters, attention}. None: not known, or not yet. groups: all of the cluster's; what is wrong with
    others is told, too."""
    lags = {one.group: one for one in groups}
    outcomes = figures.outcomes
    return {
        "deployment": topology.deployment,
        "broker": brokers,
        "simulated": topology.simulated,
        "at_ms": now_ms,
        "uptime_ms": uptime_ms(topology, figures, now_ms),
        "outcomes": {name: outcomes[name] for name in OUTCOMES},
        "stored": outcomes["unique"] + outcomes["upgraded"],
        "submitted_per_minute": round(60 * figures.stage("s1_intake").per_second(now_ms, "artifacts.raw"), 1),
        "intake": intake(topology, figures, now_ms),
        "stages": [_stage(a.name, a.group, figures.stage(a.name), lags, now_ms) for a in topology.agents.values()],
        "windows": [_window(agent.name, lags.get(agent.group), figures) for agent in topology.windows.values()],
        "nodes": len(figures.node_names),
        "node_states": dict(figures.node_states),
        "targets": len(figures.targets),
        "ticks": _ticks(figures),
        "phoenix": _phoenix(figures),
        "patterns": figures.window and {name: figures.window[name] for name in ("slot_ms", "texts", "patterns")},
        "audit": {str(p): {"sealed": s.size, "sealed_ms": s.time_ms} for p, s in sorted(figures.sealed.items())},
        "dead_letters": len(figures.letters),
        "attention": [one._asdict() for one in attention(topology, figures, lags.values(), now_ms)],
    }


def uptime_ms(topology: Topology, figures: Figures, now_ms: int) -> int | None:
    """Since ticks came without a break; None: they don't come now."""
    ticks = figures.ticks
    if ticks.newest_ms is None or ticks.since_ms is None or now_ms - ticks.newest_ms > _silence_ms(topology):
        return None
    return max(0, now_ms - ticks.since_ms)


def _silence_ms(topology: Topology) -> int:
    return SILENT_CADENCES * duration_ms(topology.protocol["coordination"]["cadence"])


def intake(topology: Topology, figures: Figures, now_ms: int) -> dict[str, Any]:
    """How much of its limits is used: {admitted_this_hour, per_hour, undecided, undecided_max}. A limit of 0 is none."""
    limits = topology.protocol["intake"]
    s1, s2 = figures.stage("s1_intake"), figures.stage("s2_dedup")
    decided = sum(s2.counts[name] for name in OUTCOMES)
    return {
        "admitted_this_hour": s1.by_hour[now_ms // HOUR_MS]["admitted"],
        "per_hour": limits["global_per_hour"],
        "undecided": max(0, s1.counts["admitted"] - decided),
        "undecided_max": limits["undecided_max"],
    }


def _stage(name: str, group: str, told: StageFigures, lags: Mapping[str, GroupLag], now_ms: int) -> dict[str, Any]:
    lag = lags.get(group)
    return {
        "stage": name,
        "records": told.records,
        "per_second_5m": round(told.per_second(now_ms), 2),
        "lag": lag.lag if lag else None,
        "lag_seconds": lag.lag_seconds if lag else None,
        "status": lag.status if lag else None,
        "group": lag.state.lower() if lag else "no commit yet",
        "rule": told.rule or None,
    }


def _window(name: str, lag: GroupLag | None, figures: Figures) -> dict[str, Any]:
    about: dict[str, Any] = {"stage": name, "group": lag.state.lower() if lag else "no commit yet"}
    if name == "s6_phoenix":
        newest = figures.round
        return about | {
            "ends_ms": newest and newest["slot_ms"],
            **{k: newest and newest[k] for k in ("fed", "waiting", "opens_ms")},
        }
    newest = figures.window
    return about | {"ends_ms": newest and newest["slot_ms"], **{k: newest and newest[k] for k in ("texts", "patterns")}}


def _ticks(figures: Figures) -> dict[str, Any]:
    sums = figures.ticks.sums
    return {
        "newest_ms": figures.ticks.newest_ms,
        "kept": sums["kept"],
        "idle": sums["idle"],
        "expected": sums["expected"],
        "reliability": figures.ticks.reliability,
        "at_least": figures.ticks.reliability_at_least,
    }


def _phoenix(figures: Figures) -> dict[str, Any]:
    newest = figures.round
    return {
        "fed": figures.fed,
        "slot_ms": newest and newest["slot_ms"],
        "waiting": newest and newest["waiting"],
        "refused": dict(newest["refused"]) if newest else {},
        "starving": newest["domains_starving"] if newest else 0,
        "opens_ms": newest and newest["opens_ms"],
    }


# -- what needs attention ----------------------------------------------------------------------------------------------


def attention(topology: Topology, figures: Figures, groups: Iterable[GroupLag], now_ms: int) -> list[Attention]:
    """The worst first. Nothing that was never there is missed: a network that has no ticks yet has no late one."""
    ours = {a.group: a.name for a in topology.agents.values()} | {w.group: w.name for w in topology.windows.values()}
    return [
        *_of_groups(ours, list(groups)),
        *_of_ticks(topology, figures, now_ms),
        *_of_letters(figures, now_ms),
        *_of_audit(figures, now_ms),
        *_of_nodes(figures),
        *_of_feed(figures, now_ms),
    ]


def _of_groups(ours: Mapping[str, str], groups: list[GroupLag]) -> Iterator[Attention]:
    for one in groups:
        name, strange = ours.get(one.group), one.group not in ours
        who, detail = name or "a group that is not ours", one.group if strange else ""
        waits, look = counted(one.lag or 0, "event"), f"icn lag --group {one.group}"
        if name is not None and one.state in STOPPED:
            yield Attention(f"{name} is not running ({waits} waiting)", f"icn worker {name}")
        elif one.status == "ERR":
            yield Attention(
                f"{who} stopped, stalls, went back or is held up ({waits} waiting)",
                f"{look} --over 10s",
                detail,
                strange,
            )
        elif one.status == "WARN":
            yield Attention(f"{who} falls further behind ({waits} waiting)", f"{look} --over 1m", detail, strange)
        if one.lost:
            yield Attention(
                f"{who} lost {counted(one.lost, 'event')} to retention", f"{look} --partitions", detail, strange
            )


def _of_ticks(topology: Topology, figures: Figures, now_ms: int) -> Iterator[Attention]:
    newest_ms = figures.ticks.newest_ms
    if newest_ms is not None and now_ms - newest_ms > _silence_ms(topology) and not topology.simulated:
        yield Attention(f"no tick for {human_ms(now_ms - newest_ms)}: nothing is collected", "icn worker, or icn up")


def _of_letters(figures: Figures, now_ms: int) -> Iterator[Attention]:
    if figures.letters:
        oldest_ms = min(letter.time_ms for letter in figures.letters.values())
        number = counted(len(figures.letters), "dead letter")
        yield Attention(f"{number}, the oldest of {human_ms(max(0, now_ms - oldest_ms))} ago", "icn dlq list")


def _of_audit(figures: Figures, now_ms: int) -> Iterator[Attention]:
    runs = figures.ticks.newest_ms is not None and now_ms - figures.ticks.newest_ms < UNSEALED_MS
    for partition, sealed in sorted(figures.sealed.items()):
        if runs and now_ms - sealed.time_ms > UNSEALED_MS:
            late = human_ms(now_ms - sealed.time_ms)
            yield Attention(f"audit log {partition}: not sealed for {late}", "icn audit seal, icn audit verify")


def _of_nodes(figures: Figures) -> Iterator[Attention]:
    for state in ("offline", "degraded"):
        if gone := [name for name in figures.node_names if figures.state_of(name) == state]:
            yield Attention(f"{counted(len(gone), 'node')} {state}", "icn node list", _some(gone))
    if demoted := sorted(n for n in figures.node_names if figures.reputations.get(n, {}).get("demoted")):
        what = f"{counted(len(demoted), 'node')} demoted: their claims were inflated"
        yield Attention(what, f"icn reputation show {demoted[0]}", _some(demoted))


def _of_feed(figures: Figures, now_ms: int) -> Iterator[Attention]:
    newest = figures.round
    if newest is None:
        return
    if newest["domains_starving"]:
        yield Attention(
            f"{counted(newest['domains_starving'], 'domain')} had nothing fed for an hour", "icn phoenix stats"
        )
    full, late_ms = (newest["opens_ms"] or 0) > now_ms, now_ms - newest["slot_ms"]
    if newest["waiting"] and late_ms > STANDS_MS and not full:
        yield Attention(
            f"nothing fed for {human_ms(late_ms)}, and {newest['waiting']:,} artifacts wait", "icn phoenix stats"
        )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
