"""Why a text is in a pattern, for people: the words that weigh most, what all of them come to, and the text with the words marked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

from streams.cli.show import clip, table
from streams.words import counted, printable

SHOWN = 15  # words of an explanation
TEXT_MAX = 1500  # characters


def show_explanation(told: Mapping[str, Any], names: Mapping[str, str], content: str) -> None:
    """told: as --json has it; names: of the patterns by their ids."""
    called = {one: f"{one} ({printable(names[one])})" for one in names}
    why, not_, is_in = told["pattern"], told["not"], told["is_in"]
    if is_in != why:
        where = f"but in {called[is_in]}" if is_in else "nor in another one"
        click.echo(f"{told['artifact']} is not in {why}, {where}; what speaks for it, and against:\n")
    click.echo(f"why {called[why]}\nand not {called[not_]}\n")
    largest = sorted(told["words"], key=lambda one: -abs(one["share"]))[:SHOWN]
    table(("word", "share"), [(one["word"], f"{one['share']:+.4f}") for one in largest], right=(1,))
    total, shown = (sum(one["share"] for one in words) for words in (told["words"], largest))
    if len(told["words"]) > len(largest):
        click.echo(f"{counted(len(told['words']) - len(largest), 'other word')}: {total - shown:+.4f}")
    click.echo(f"together {total:+.4f} = the margin, cosine to the one minus cosine to the other\n")
    marked = {one["word"] for one in largest if one["share"] > 0}
    click.echo(clip(_marked(printable(" ".join(content.split())), marked), TEXT_MAX))
    if "lime" in told:
        table(("LIME", "weight"), [(one["word"], f"{one['weight']:+.4f}") for one in told["lime"]], right=(1,))
        click.echo(
            "LIME's weights are of a model that it fits to texts with words left out: compare the order, not the size"
        )


def _marked(content: str, words: set[str]) -> str:
    if not words:
        return content
    said = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    return re.sub(rf"(?i)(?<!\w)({said})(?!\w)", lambda match: click.style(f"[{match[1]}]", bold=True), content)
