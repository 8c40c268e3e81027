"""Files and folders: only what has changed, only where it is allowed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from streams.collectors.collector import Collected, CollectError, Task, find
from streams.collectors.file import FileCollector
from streams.errors import IcnError


def collect(place: Path | str, root: Path, memory: dict[str, Any] | None = None, items_max: int = 100) -> Collected:
    task = Task("t", str(place), {}, memory or {}, time.monotonic() + 10, 1 << 20, items_max)
    return FileCollector({"roots": [str(root)]}).collect(task)


def contents(found: Collected) -> list[str]:
    return [item["content"] for item in found.items]


def test_a_folder_gives_what_is_new_or_changed(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.md").write_text("b")
    (tmp_path / ".hidden").write_text("no")
    first = collect(tmp_path, tmp_path)
    assert contents(first) == ["a", "b"] and not first.unchanged
    memory = json.loads(json.dumps(first.memory))
    again = collect(tmp_path, tmp_path, memory)
    assert (again.items, again.unchanged) == ([], True)
    (tmp_path / "sub" / "b.md").write_text("b, changed")
    (tmp_path / "c.txt").write_text("c")
    assert contents(collect(f"file://{tmp_path}", tmp_path, memory)) == ["c", "b, changed"]


@pytest.mark.parametrize(
    ("name", "before", "more", "new"),
    [
        ("x.jsonl", '{"content": "a"}\n', '{"content": "b"}\n', ["b"]),
        ("x.csv", "content,n\na,1\n", "b,2\n", ["b"]),
        ("x.txt", "a\n", "b\n", ["a\nb\n"]),  # a text is one
    ],
)
def test_of_a_file_that_grows_only_the_new_lines_are_taken(
    name: str, before: str, more: str, new: list[str], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(before)
    first = collect(file, tmp_path)
    file.write_text(before + more)
    assert contents(collect(file, tmp_path, first.memory)) == new
    file.write_text((before + more).replace("a", "z", 1))
    assert len(collect(file, tmp_path, first.memory).items) in (1, 2), "written anew: all of it"


@pytest.mark.parametrize(
    ("name", "begun", "whole"),
    [
        ("x.jsonl", '{"content": "a"}\n{"content": "b', '{"content": "a"}\n{"content": "bc"}\n'),
        ("x.csv", "content\na\nb", "content\na\nbc\n"),
    ],
)
def test_a_line_that_is_being_written_is_for_the_next_time(name: str, begun: str, whole: str, tmp_path: Path) -> None:
    """And one that nobody goes on with for two seconds ends there."""
    file = tmp_path / name
    file.write_text(begun)
    first = collect(file, tmp_path)
    assert (contents(first), first.skipped) == (["a"], [])
    file.write_text(whole)
    assert contents(collect(file, tmp_path, first.memory)) == ["bc"]
    file.write_text(whole[:-1])
    os.utime(file, (time.time() - 60, time.time() - 60))
    assert contents(collect(file, tmp_path, first.memory)) == ["bc"]


def test_what_can_not_be_read_is_told_and_the_rest_counts(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe")
    (tmp_path / "big.txt").write_bytes(b"a" * (2 << 20))
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "lines.jsonl").write_text('{"content": "a"}\nbroken\n')
    found = collect(tmp_path, tmp_path)
    assert contents(found) == ["good", "a"]
    assert [word for word in ("not UTF-8", "2,097,152 bytes", "not JSON") if any(word in s for s in found.skipped)] == [
        "not UTF-8",
        "2,097,152 bytes",
        "not JSON",
    ]


@pytest.mark.parametrize(
    "place", ["/etc/passwd", "{root}/../outside", "{root}/link", "file:///etc/passwd", "{root}/nothing"]
)
def test_nothing_outside_the_roots_is_read(place: str, tmp_path: Path) -> None:
    """Also not through a link; and what isn't there is a failure, not nothing."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "outside").write_text("secret")
    (root / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(CollectError, match=r"outside the folders|No such file"):
        collect(place.format(root=root), root)
    (root / "in.txt").write_text("in")
    (root / "dir").symlink_to(tmp_path)
    assert contents(collect(root, root)) == ["in"]
    with pytest.raises(CollectError, match="none: set"):
        FileCollector({}).collect(Task("t", str(root), {}, {}, time.monotonic() + 9, 1, 1))


def test_an_empty_folder_is_empty_and_too_much_is_a_failure(tmp_path: Path) -> None:
    found = collect(tmp_path, tmp_path)
    assert (found.items, found.unchanged) == ([], False)
    (tmp_path / "x.jsonl").write_text('{"content": "a"}\n' * 11)
    with pytest.raises(CollectError, match="more than 10 artifacts"):
        collect(tmp_path, tmp_path, items_max=10)


def test_collectors_are_found_by_name_and_a_wrong_option_is_told() -> None:
    assert sorted(find({})) == ["feed", "file", "http", "stix", "taxii"]
    assert sorted(find({}, ["file"])) == ["file"]
    for options, words in (
        ({"fille": {}}, 'no collector "fille"'),
        ({"file": {"root": "/x"}}, 'no option "root"'),
        ({"http": {"per_host": "soon"}}, "per_host is 'soon'"),
    ):
        with pytest.raises(IcnError, match=words):
            find(options)
