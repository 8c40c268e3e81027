"""`icn patterns`: what many texts speak of now, since when, who says so, and why a text is in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.show import clip, json_option, network, print_json, say, table
from streams.words import counted, printable, when

if TYPE_CHECKING:
    from streams.domain.window import Window

OF_WINDOWS, NUMBERS = ("pattern", "trend", "since"), ("texts", "share", "nodes", "confidence")  # columns
TIMELINE_MS = 24 * 3_600_000


@click.group()
def patterns() -> None:
    """Look at the patterns of the newest window."""


@patterns.command("list")
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Draw the map of the patterns and their sizes over time.",
)
@click.option("--now", is_flag=True, help="Find them in what has come so far, and write nothing; no ids live on.")
@json_option
def list_(plot: Path | None, now: bool, as_json: bool) -> None:
    """List the patterns, the largest first: how many texts, since when, whether it grows, and of how many nodes.

    \b
    Example:
      icn patterns list
      icn patterns list --plot patterns.svg
    """
    if plot is not None:
        from streams.cli.drawing import check

        check(plot)
    topology, settings, window, found, made = _of_now() if now else (*_newest(), None)
    if as_json:
        print_json({"window": _window_json(window), "patterns": [_pattern_json(one) for one in found]})
    else:
        show_list(window, found, now)
        # of the first window all are new
        for change in () if now or window["before_ms"] is None else window["changes"]:
            click.echo(_change(change))
    if plot is not None:
        _plot(topology, settings, window, found, made, plot)


def _plot(
    topology: Any, settings: Any, window: dict[str, Any], found: list[dict[str, Any]], made: Window | None, plot: Path
) -> None:
    from streams.agents.windows_written import history
    from streams.cli.patterns_plot import draw

    written = []
    if made is None:
        _require_rule(topology, window)
        say("finding the window's patterns again, for their places …")
        made = _again(topology, settings, window, found)
        since_ms = max(0, window["slot_ms"] - TIMELINE_MS)  # in compressed time all of them
        written = [one for one in history(topology, settings, since_ms) if one["slot_ms"] <= window["slot_ms"]]
    draw(made, found, written, plot)
    say(f"{plot} written")


def show_list(window: dict[str, Any], found: list[dict[str, Any]], now: bool = False) -> None:
    """A line each. now: of no window that is written, so there is no id to ask for, and none before it."""
    click.echo(_about(window))
    columns = ("pattern", "name", "texts", "share", "trend", "since", "nodes", "entropy", "confidence")
    rows = [
        (
            one["pattern_id"],
            clip(one["name"], 50),
            one["size"],
            f"{one['share']:.0%}",
            one["trend"],
            when(one["born_ms"]),
            one["nodes"],
            f"{one['source_entropy_bits']:.2f}" + (" one node's" if one["nodes"] == 1 else ""),
            f"{one['confidence']:.2f}",
        )
        for one in found
    ]
    shown = [at for at, name in enumerate(columns) if not now or name not in OF_WINDOWS]
    right = [number for number, at in enumerate(shown) if columns[at] in NUMBERS]
    ids = [number for number, at in enumerate(shown) if columns[at] == "pattern"]
    table([columns[at] for at in shown], [[row[at] for at in shown] for row in rows], right=right, whole=ids)
    if found and not now:
        click.echo(
            "trend: of its share, in the newest quarter of all texts; emerging: not in the window before; entropy in bits: 0 is one node"
        )


@patterns.command()
@click.argument("pattern")
@json_option
def show(pattern: str, as_json: bool) -> None:
    """Show one pattern: its terms and what they weigh, who speaks of it, a sample, its members. Exit code 1 if there is none.

    \b
    Example:
      icn patterns show pattern-5c41fe9049cf
    """
    _, _, window, found = _newest()
    one = _find(found, pattern)
    if as_json:
        print_json({"window": _window_json(window), **_pattern_json(one)})
        return
    click.echo(f"{one['pattern_id']}  {one['name']}")
    among = f"{counted(one['size'], 'text')}, {one['share']:.1%} of the window that ends {when(window['slot_ms'])}"
    click.echo(
        f"{among}; {one['trend']} ({one['newest']} of them in the newest quarter), there since {when(one['born_ms'])}"
    )
    spoken = f"{counted(one['nodes'], 'node')}, entropy {one['source_entropy_bits']:.2f} bits"
    whose = (
        "a campaign of one node"
        if one["nodes"] == 1
        else f"the largest made {one['largest_node_share']:.0%} of the reports"
    )
    click.echo(f"reported by {spoken}: {whose}")
    sure = f"stability {one['stability']:.2f} · (1 + silhouette {one['silhouette']:.2f}) / 2 · (1 - 1/{one['size']})"
    click.echo(f"confidence {one['confidence']:.2f} = {sure}")
    if one["characteristics"]:
        click.echo("characteristics: " + ", ".join(f"{c['name']} ({c['share']:.0%})" for c in one["characteristics"]))
    click.echo("")
    table(("term", "weight"), [(t["words"], f"{t['weight']:.3f}") for t in one["terms"]], right=(1,))
    click.echo(f"\nnearest to its middle:\n  {clip(printable(' '.join(one['sample'].split())), 500)}\n")
    click.echo("members, the nearest first: " + ", ".join(one["members"][:10]) + (" …" if one["size"] > 10 else ""))


@patterns.command()
@click.argument("pattern")
@click.argument("artifact")
@click.option("--not", "other", metavar="PATTERN", help="Why not this one; default: the next nearest.")
@click.option("--lime", is_flag=True, help="Beside it what LIME says, which draws words at random (icn-streams[lime]).")
@json_option
def explain(pattern: str, artifact: str, other: str | None, lime: bool, as_json: bool) -> None:
    """Say why an artifact is in a pattern and not in the next one: each word's exact share, which sum to the margin.

    \b
    Example:
      icn patterns explain pattern-5c41fe9049cf 01a20a73-a527-7893-b6eb-7dbf6b42db83
    """
    from streams.cli.patterns_explanation import show_explanation
    from streams.errors import IcnError, NotFoundError

    topology, settings, window, found = _newest()
    ids = [one["pattern_id"] for one in found]
    why = ids.index(_find(found, pattern)["pattern_id"])
    not_ = ids.index(_find(found, other)["pattern_id"]) if other else None
    if not_ == why:
        raise IcnError("a pattern can't be told from itself", "name another one with --not, or none: the next nearest")
    _require_rule(topology, window)
    say(f"finding the patterns of {counted(window['texts'], 'text')} again …")
    made = _again(topology, settings, window, found)
    artifact = artifact.removeprefix("phoenix_")  # a scenario's id
    text = next((n for n, one in enumerate(made.texts) if one.artifact_id == artifact), None)
    if text is None or made.found is None:
        raise NotFoundError(
            f"artifact {artifact} is not among the window's texts",
            f"did it come after the window's end, {when(window['slot_ms'])}? or it is older, a repetition, or not in the sample",
        )
    if not_ is None:
        not_ = made.found.next_to(text, why)
    if not_ is None:
        raise NotFoundError("there is no other pattern in this window", "nothing to be told apart from")
    shares = made.found.explain(text, why, not_)
    margin = made.found.margin(text, why, not_)
    content = made.texts[text].content
    own = int(made.found.clusters.labels[text])
    is_in = found[own] if own >= 0 else None
    told: dict[str, Any] = {
        "artifact": artifact,
        "is_in": is_in and is_in["pattern_id"],
        "pattern": ids[why],
        "not": ids[not_],
        "margin": margin,
        "words": [{"word": word, "share": share} for word, share in shares],
    }
    if lime:
        from streams.cli.lime import lime_of

        told["lime"] = [{"word": w, "weight": s} for w, s in lime_of(made.found, text, why, not_)]
    if as_json:
        print_json(told)
        return
    show_explanation(told, {one["pattern_id"]: one["name"] for one in found}, content)


def _newest() -> tuple[Any, Any, dict[str, Any], list[dict[str, Any]]]:
    from streams.agents.windows_written import newest_window
    from streams.errors import NotFoundError

    topology, settings = network()
    window, found = newest_window(topology, settings)
    if window is None:
        every = topology.protocol["patterns"]["every"]
        raise NotFoundError(
            "no window is over yet",
            f"they end every {every}; is s5_patterns running (icn worker), are there ticks? icn patterns list --now needs no window",
        )
    return topology, settings, window, found


def _of_now() -> tuple[Any, Any, dict[str, Any], list[dict[str, Any]], Window]:
    import time

    from streams.agents.windows import window_now

    topology, settings = network()
    say("finding the patterns of what has come so far …")
    return topology, settings, *window_now(topology, settings, time.time_ns() // 1_000_000)


def _require_rule(topology: Any, window: dict[str, Any]) -> None:
    from streams.errors import IcnError
    from streams.runtime.rules import rule_version

    if window["rule"] != rule_version(topology):
        raise IcnError(
            "the newest window was made by another release or other settings, so its patterns would not be found again",
            "wait for the next window, or ask the release of then",
        )


def _again(topology: Any, settings: Any, window: dict[str, Any], found: list[dict[str, Any]]) -> Window:
    from streams.agents.windows import again
    from streams.errors import IcnError

    made = again(topology, settings, window)
    if [one["member_hashes"] for one in made.patterns] != [one["member_hashes"] for one in found]:
        raise IcnError(
            "the newest window does not say what is found in its texts", "icn replay --verify --stage s5 says where"
        )
    return made


def _find(found: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
    from streams.errors import NotFoundError

    matching = [one for one in found if one["name"] == wanted] or [
        one for one in found if one["pattern_id"].removeprefix("pattern-").startswith(wanted.removeprefix("pattern-"))
    ]
    if len(matching) != 1:
        known = ", ".join(f"{one['pattern_id']} ({printable(clip(one['name'], 40))})" for one in found[:10]) or "none"
        raise NotFoundError(f'"{wanted}" is no pattern of the newest window', f"there are: {known}")
    return matching[0]


def _about(window: dict[str, Any]) -> str:
    of = "" if window["of"] == window["texts"] else f" of {window['of']:,}, those with the lowest content hash"
    about = (
        f"window of {window['window_ms'] / 3_600_000:g} h to {when(window['slot_ms'])}: {window['texts']:,} texts{of}"
    )
    return f"{about}, {counted(window['patterns'], 'pattern')}"


def _change(change: dict[str, Any]) -> str:
    other = {"merged": f" into {change['other']}", "split": f" from {change['other']}"}.get(change["kind"], "")
    return printable(f"{change['kind']}{other}: {change['pattern_id']} ({clip(change['name'], 100)})")


def _window_json(window: dict[str, Any]) -> dict[str, Any]:
    from streams.agents.windows_written import digests_of

    return window | {"rule": window["rule"].hex(), "digests": [digest.hex() for digest in digests_of(window)]}


def _pattern_json(one: dict[str, Any]) -> dict[str, Any]:
    hashes = one["member_hashes"]
    return one | {
        "rule": one["rule"].hex(),
        "member_hashes": [hashes[at : at + 8].hex() for at in range(0, len(hashes), 8)],
    }
