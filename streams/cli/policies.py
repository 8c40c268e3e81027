"""`icn replay diff`: what another policy would have fed, of what has come."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from streams.cli import drawing
from streams.cli.moment import Moment
from streams.cli.show import clip, json_option, network, print_json, progress, say, table
from streams.errors import IcnError, TopologyError
from streams.words import when

if TYPE_CHECKING:
    from streams.replay.policies import Outcome

SHOWN = 20
DAY_MS = 86_400_000
POLICY_MAX = 100_000
WHY_NOT = {"turn": "its turn never came"}


@click.command()
@click.option(
    "--policy",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="YAML with what it sets anew under priority: and phoenix: (as in topology.yaml). Two; one is compared with the one in force.",
)
@click.option(
    "--from",
    "from_ms",
    type=Moment(),
    help="Artifacts from this time on (event time); default: 24 hours before the end.",
)
@click.option("--to", "to_ms", type=Moment(), help="… and before this time.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw both: what was fed, of what, of what worth."
)
@json_option
def diff(files: tuple[Path, ...], from_ms: int | None, to_ms: int | None, plot: Path | None, as_json: bool) -> None:
    """Replay the same topics through two policies (weights, gates, thresholds) and show what each would have fed. Writes nothing to topics.

    Minute by minute in event time, each policy from nothing fed before; and an hour beyond the last artifact, in which what the windows
    held back has its turn. `worth` is the score by the weights in force, so that both are measured alike. Exit code 1 if they differ.

    \b
    Example:
      icn replay diff --policy careful.yaml
      icn replay diff --policy a.yaml --policy b.yaml --plot policies.svg
    """
    from streams.replay.policies import compare, differences

    if plot is not None:
        drawing.check(plot)
    policies = read(files)
    topology, settings = network()
    if from_ms is None and not topology.simulated:
        from_ms = (time.time_ns() // 1_000_000 if to_ms is None else to_ms) - DAY_MS
        say("artifacts of the last 24 hours (--from and --to: other ones)")
    one, other = compare(topology, settings, policies, from_ms, to_ms, progress)
    found = list(differences(one, other))
    both = len({s["dedup_hash"] for s in one.fed} & {s["dedup_hash"] for s in other.fed})
    if as_json:
        print_json({"policies": [one.summary(), other.summary()], "fed_by_both": both, "differences": found})
    else:
        _show(one, other, both, found)
    if plot is not None:
        from streams.cli.policies_plot import draw

        draw(one, other, plot)
        say(f"{plot} written")
    raise SystemExit(1 if found else 0)


def read(files: tuple[Path, ...]) -> dict[str, Any]:
    """Name -> what it sets. Raises TopologyError, IcnError."""
    from streams.policy import check

    if len(files) > 2:
        raise IcnError(f"{len(files)} policies", "two at a time")
    policies: dict[str, Any] = {} if len(files) == 2 else {"in force": {}}
    for path in files:
        given = _loaded(path)
        check(given, str(path), whole=False)
        policies[str(path) if str(path) not in policies else f"{path} (again)"] = given
    return policies


def _loaded(path: Path) -> Any:
    """An empty file sets nothing."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(POLICY_MAX + 1)
        if len(text) > POLICY_MAX:
            raise TopologyError(f"{path} is longer than {POLICY_MAX:,} characters", "a policy is some lines of YAML")
        given = yaml.load(text, _Once)
    except OSError as error:
        raise TopologyError(f"can't read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        told = error.problem if isinstance(error, yaml.MarkedYAMLError) and error.problem else str(error)
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = str(path) if line is None else f"{path}, line {line + 1}"
        raise TopologyError(f"{where}: not YAML as it should be: {' '.join(told.split())[:200]}") from error
    return {} if given is None else given


class _Once(yaml.SafeLoader):
    """YAML without aliases, which can be made to stand for gigabytes, and without a key given twice, of which one would be lost."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(
                problem="an alias (*) is nothing for a policy", problem_mark=self.peek_event().start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set[Any]()
        for key, _ in node.value:
            name = key.value if isinstance(key.value, str) else str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"{name} is set twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _show(one: Outcome, other: Outcome, both: int, found: list[dict[str, Any]]) -> None:
    sums = [one.summary(), other.summary()]
    rows: list[tuple[str, ...]] = [
        ("minutes, the last 60 beyond the last artifact", *(f"{s['rounds']:,}" for s in sums)),
        ("fed", *(f"{s['fed']:,}" for s in sums)),
        ("mean score by its own weights", *(_number(s["mean_score"], 4) for s in sums)),
        ("mean worth by those in force", *(_number(s["mean_worth"], 4) for s in sums)),
        *(
            (f"effective number of {label}", *(f"{s['diversity'][kind]:.1f}" for s in sums))
            for kind, label in (
                ("content", "contents"),
                ("domain", "domains"),
                ("node_id", "nodes"),
                ("content_type", "content types"),
            )
        ),
        *(
            (f"refused for {reason}", *(f"{s['refusals'].get(reason, 0):,}" for s in sums))
            for reason in sorted({*sums[0]["refusals"], *sums[1]["refusals"]})
        ),
        ("wait at the end", *(f"{s['waiting']:,}" for s in sums)),
    ]
    table(("", one.name, other.name), rows, right=(1, 2))
    click.echo(
        f"{both:,} fed by both, {len(one.fed) - both:,} by {one.name} alone, {len(other.fed) - both:,} by {other.name} alone"
    )
    if found:
        table(
            ("fed by", "in", "worth", "domain", "node", "the other policy", "artifact", "input"),
            [
                (
                    each["fed_by"],
                    when(each["slot_ms"])[:16],
                    f"{each['worth']:.4f}",
                    clip(each["domain"], 24),
                    clip(each["node_id"], 20),
                    WHY_NOT.get(each["elsewhere"], f"refused it: {each['elsewhere']}"),
                    each["artifact_id"],
                    clip(each["input"], 30),
                )
                for each in found[:SHOWN]
            ],
            right=(2,),
            whole=(6,),
        )
        if len(found) > SHOWN:
            click.echo(f"… and {len(found) - SHOWN:,} more (--json)")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
