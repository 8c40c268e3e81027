"""What each role is shown, and that a stranger's name is never more than a name. No broker: a look is data."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from html.parser import HTMLParser
from pathlib import Path

import pytest

from streams.cli.main import COMMANDS
from streams.dashboard.board import Board, frame
from streams.dashboard.contents import Past, contents
from streams.dashboard.http import _is_here
from streams.dashboard.pictures import bars, line, pattern_map, strip
from streams.dashboard.roles import Role, read_tokens, role_of
from streams.dashboard.sections import SECTIONS, page, render
from streams.errors import IcnError
from streams.http_server import address, listen, url
from streams.topology import load
from tests.dashboard.sights import SECRET, highlights, priority, sight
from tests.exporter.looks import HOSTILE


def told(full: bool = True) -> dict[str, object]:
    return contents(load(), "127.0.0.1:9092", sight(full), Past())


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.commands: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.commands += [value or "" for name, value in attrs if name == "data-command"]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs), (
            "forbidden by the page's own policy"
        )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("role", list(Role))
def test_every_section_is_there_for_everybody_also_when_there_is_nothing(role: Role, full: bool) -> None:
    parts = render(told(full), role)
    assert list(parts) == list(SECTIONS) and all(part.strip() for part in parts.values())
    whole = page("icn", role, parts)
    assert [f'id="{name}-part"' in whole for name in SECTIONS] == [True] * len(SECTIONS)


def test_a_viewer_is_sent_no_name_of_a_node_an_artifact_or_a_text() -> None:
    seen = {role: "".join(render(told(), role).values()) for role in Role}
    for secret in ("script", "artifact-4", "fed-1", SECRET, "p1"):
        assert (secret in seen[Role.viewer], secret in seen[Role.auditor]) == (False, True), secret
    for figure in ("30", "12", "hour"):  # waiting, held back, why
        assert figure in render(told(), Role.viewer)["feed"]


def test_groups_that_are_not_ours_and_dead_letters_are_for_operators() -> None:
    seen = {role: render(told(), role)["lag"] for role in Role}
    assert ["behind" in seen[role] for role in Role] == [False, False, True]
    assert ["STALL" in seen[role] for role in Role] == [False, False, True]
    assert ["schema" in seen[role] for role in Role] == [False, False, True]
    strange = "a group that is not ours"
    assert [strange in render(told(), role)["attention"] for role in Role] == [False, False, True]


def test_a_hostile_name_is_text_and_nothing_else() -> None:
    text = page("icn", Role.operator, render(told(), Role.operator))
    assert Tags(text).tags.count("script") == 1  # the page's own
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and HOSTILE not in text


def test_each_figure_names_a_command_that_exists() -> None:
    commands = Tags(page("icn", Role.operator, render(told(), Role.operator))).commands
    named = {command.split()[1] for command in commands}
    assert (
        len(commands) > 40 and named <= set(COMMANDS) and {"lag", "reputation", "artifact", "audit", "phoenix"} <= named
    )


def test_the_top_is_in_the_order_of_icn_top_and_a_demoted_node_sinks() -> None:
    kept = highlights()
    kept.take("priorities", priority(2, "other", 500_000), "-")
    assert [one["canonical_id"] for one in kept.top({}, 3)] == ["artifact-2", "artifact-4", "artifact-3"]
    demoted = {"other": {"revision": 9, "effective": 1e-9}}
    assert [one["canonical_id"] for one in kept.top(demoted, 3)] == ["artifact-4", "artifact-3", "artifact-1"]


def test_highlights_stay_small_and_keep_the_best() -> None:
    kept = highlights()
    for number in range(5, 2000):
        kept.take("priorities", priority(number), "-")
    assert sum(map(len, kept.urgent.values())) <= 200 and len(kept.node_of) <= 200
    assert [one["canonical_id"] for one in kept.top({}, 2)] == ["artifact-1999", "artifact-1998"]


def test_what_did_not_change_is_not_sent_again_and_who_comes_late_gets_all() -> None:
    board = Board()
    board.put({Role.viewer: {"flow": "a", "lag": "b"}})
    data, number = board.since(Role.viewer, 0)
    assert data.count(b"event: part") == 2
    board.put({Role.viewer: {"flow": "a", "lag": "c"}})
    data, later = board.since(Role.viewer, number)
    assert data.count(b"event: part") == 1 and b'"c"' in data
    assert board.since(Role.viewer, later)[0].count(b"event: part") == 0
    assert board.since(Role.viewer, 0)[0].count(b"event: part") == 2
    assert board.since(Role.operator, 0)[0].count(b"event: part") == 0


def test_no_name_ends_an_event() -> None:
    data = frame("part", {"html": "a\n\ndata: b\r\nevent: c"}, 7).decode()
    assert data.count("\n") == 4 and data.endswith("\n\n")
    assert json.loads(data.splitlines()[2].removeprefix("data: "))["html"].endswith("event: c")


def test_everybody_hears_each_word() -> None:
    async def run() -> int:
        board = Board()
        waiting = [asyncio.create_task(board.change()) for _ in range(50)]
        await asyncio.sleep(0)
        board.tell(True, "now", None)
        return len((await asyncio.wait(waiting, timeout=5))[0])

    assert asyncio.run(run()) == 50


def test_tokens_are_made_once_kept_to_their_owner_and_know_their_role(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dashboard.tokens"
    tokens = read_tokens(path)
    assert sorted(tokens.values()) == list(Role) and read_tokens(path) == tokens
    assert path.stat().st_mode & 0o077 == 0
    for token, role in tokens.items():
        assert role_of(tokens, token) is role and role_of(tokens, token[:-1]) is role_of(tokens, "") is None
    path.chmod(0o644)
    with pytest.raises(IcnError, match="can be read by others"):
        read_tokens(path)


@pytest.mark.parametrize(
    ("text", "wrong"), [("admin 0123456789abcdef", "line 1"), ("# none\nviewer short", "line 2"), ("", "has no token")]
)
def test_a_file_of_tokens_with_a_mistake_says_where(tmp_path: Path, text: str, wrong: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(IcnError, match=wrong):
        read_tokens(path)


@pytest.mark.parametrize(
    ("host", "here"),
    [("127.0.0.1:8050", True), ("localhost:8050", True), ("[::1]:8050", True), ("[::1]", True), ("127.9.9.9", True),
     ("evil.example:8050", False), ("127.0.0.1.evil.example", False), ("10.0.0.1:80", False), ("", False)],
)  # fmt: skip
def test_only_names_of_this_machine_are_answered_without_a_token(host: str, here: bool) -> None:
    assert _is_here(host) is here


def test_pictures_say_in_words_what_they_show_and_draw_nothing_of_nothing() -> None:
    assert 'aria-label="x"' in line([1, 2, 3], "x") and line([1], "x") == ""
    marks = strip([True, None, False, "missing"], "four ticks")
    assert [len(re.findall(f'class="{kind}"', marks)) for kind in ("kept", "idle", "failed", "missing")] == [1] * 4
    assert 'width="50.00"' in bars([("threat", 0.5), ("confidence", 0.5)], "half")
    newest = highlights().newest_patterns({"slot_ms": next(iter(highlights().patterns))})
    drawn = pattern_map(newest, [one["name"] for one in newest])
    assert drawn.count("<circle") == 3 and "nan" not in drawn
    same = [newest[0], newest[0] | {"pattern_id": "again"}]
    assert "nan" not in pattern_map(same, ["a", "b"]), "two patterns at one place"
    heavy = [newest[0] | {"centroid": [{"words": "x", "weight": 1.7e308}]}, newest[1]]
    assert "nan" not in pattern_map(heavy, ["a", "b"])


@pytest.mark.parametrize(("given", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", socket.gethostname())])
def test_the_address_that_is_told_is_one_that_a_browser_finds(given: str, shown: str) -> None:
    with listen(given, 0) as listening:
        assert url(listening) == f"http://{shown}:{listening.getsockname()[1]}"


def test_addresses_are_read_as_people_write_them() -> None:
    assert [address(text) for text in ("h:1", "[::1]:80", "0.0.0.0:0")] == [("h", 1), ("::1", 80), ("0.0.0.0", 0)]
    for wrong in ("", "h", "h:", ":80", "h:x", "h:70000"):
        with pytest.raises(IcnError, match="no address to listen on"):
            address(wrong)
