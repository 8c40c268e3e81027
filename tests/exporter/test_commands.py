"""What `icn lag` and `icn exporter` refuse before they ask a broker, and what fits into a narrow terminal."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from streams.cli import lag as lag_command
from streams.cli.exporter import _wanted, exporter
from streams.cli.lag import as_document, lag
from streams.words import when
from tests.exporter.looks import NOW_MS, picture


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--over", "soon"], "--over: 'soon' is not a duration"),
        (["--watch", "--every", "5"], "--every: '5' is not a duration"),
        (["--every", "5s"], "--every is for --watch"),
        (["--watch", "--fail-on", "ERR"], "--fail-on needs an end, and --watch has none"),
        (["--watch", "--over", "10s"], "--over needs an end, and --watch has none"),
    ],
)
def test_lag_names_the_option_that_is_wrong(words: list[str], told: str) -> None:
    done = CliRunner().invoke(lag, words)
    assert done.exit_code == 2 and done.output.splitlines()[-1].startswith(f"Error: {told}")


@pytest.mark.parametrize("option", ["--include", "--exclude"])
@pytest.mark.parametrize("wrong", ["[a-", "*", "a{2,1}", "x{99999999999999999999}"])
def test_a_wrong_regex_is_told_in_one_line(option: str, wrong: str) -> None:
    done = CliRunner().invoke(exporter, [option, wrong])
    assert done.exit_code == 2 and done.output.splitlines()[-1].startswith(f"Error: {option} {wrong!r}: ")


def test_groups_are_chosen_by_their_whole_name() -> None:
    names = ["icn-s1", "icn-s2", "test-1", "my-icn-s1"]

    def chosen(include: str | None, exclude: str | None) -> list[str]:
        return list(filter(_wanted(*(None if one is None else re.compile(one) for one in (include, exclude))), names))

    assert chosen(None, None) == names
    assert chosen("icn-.*", None) == ["icn-s1", "icn-s2"]
    assert chosen(None, "icn") == names
    assert chosen("icn-.*", ".*2") == ["icn-s1"]


def shown(monkeypatch: pytest.MonkeyPatch, columns: int, each: bool = False) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    return [click.unstyle(line) for line in lag_command._lines(picture(), each)]


def test_a_narrow_terminal_loses_columns_and_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = {columns: re.split("  +", shown(monkeypatch, columns)[1]) for columns in (200, 20)}
    assert (len(heads[200]), heads[20]) == (10, ["group", "status", "lag", "oldest waits"])
    for columns in (100, 20):
        text = "\n".join(shown(monkeypatch, columns))
        assert "evil<script>alert(1)</script>" in text and "…" not in text
    assert "→ closed can't be looked at: Group authorization failed" in shown(monkeypatch, 80)


def test_each_partition_says_who_owns_it(monkeypatch: pytest.MonkeyPatch) -> None:
    document = as_document(picture())["partitions"]
    owners = {(one["group"], one["partition"]): one["owner"] for one in document}
    assert owners["fine", 0] == {"client_id": "worker-1", "host": "/10.0.0.7"} and owners["new", 5] is None
    assert any("worker-1 /10.0.0.7" in line for line in shown(monkeypatch, 200, each=True))


def test_watching_says_since_when_there_is_no_answer_while_a_look_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As soon as it takes twice as long as there is between two looks, and not when it has failed at last."""
    seen: list[str] = []

    def look(_: object) -> object:
        if not seen:
            seen.append("a quick one")
            return picture()
        time.sleep(1)
        seen.append(capsys.readouterr().err)
        raise KeyboardInterrupt

    monkeypatch.delenv("ICN_QUIET", raising=False)
    with pytest.raises(KeyboardInterrupt):
        lag_command._watch(SimpleNamespace(look=look), (), False, 0.1, False)  # type: ignore[arg-type]
    assert seen == ["a quick one", f"no answer since {when(NOW_MS)}\n"]
