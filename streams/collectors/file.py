"""Files and folders of this machine: what has changed since the last time. JSON, JSONL and CSV as in `icn produce`, others as text."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.options import read
from streams.errors import ArtifactError
from streams.sdk.files import GROWS, read_artifacts

FILES_MAX = 100_000
SKIPPED_MAX = 100
SETTLES_S = 2.0  # a file that nobody has written to for so long ends where it ends


def _folders(value: Any) -> list[Path]:
    return [Path(one).expanduser().resolve() for one in ([value] if isinstance(value, str) else list(value))]


OPTIONS: dict[str, tuple[Any, Any]] = {"roots": (_folders, [])}  # targets elsewhere are refused


class FileCollector:
    """Location: a path, or a file:// URI. A target may name any file of the machine, so the node's owner says which folders are meant."""

    capability = "file"

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.roots: list[Path] = read("file", options, OPTIONS)["roots"]

    def collect(self, task: Task) -> Collected:
        place = self.place(task)
        before, now = task.memory.get("files", {}), dict[str, Any]()
        items: list[dict[str, Any]] = []
        skipped: list[str] = []
        for file in _files(place):
            task.left_s()
            try:
                seen = file.stat()
                state = [seen.st_mtime_ns, seen.st_size]
                last = before.get(str(file))
                settled = time.time() - seen.st_mtime > SETTLES_S
                if last is not None and last[:2] == state:
                    now[str(file)] = last
                    continue
                if seen.st_size > task.size_max_bytes:
                    skipped.append(f"{file}: {seen.st_size:,} bytes; at most {task.size_max_bytes:,} are taken")
                    now[str(file)] = [*state, "", 0]
                    continue
                taken, now[str(file)] = _new(file, state, last, skipped, settled)
            except OSError as error:
                skipped.append(f"{file}: {error.strerror}")
                continue
            items += taken
            if len(items) > task.items_max:
                raise CollectError(
                    f"more than {task.items_max:,} artifacts at once; give its parts targets of their own"
                )
        return Collected(items, {"files": now}, unchanged=bool(now) and now == before, skipped=skipped)

    def place(self, task: Task) -> Path:
        """What the target means, if that is allowed. Raises CollectError."""
        parts = urlsplit(task.location)
        path = Path(unquote(parts.path) if parts.scheme == "file" else task.location).expanduser()
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise CollectError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        if not any(real.is_relative_to(root) for root in self.roots):
            allowed = ", ".join(map(str, self.roots)) or "none: set collectors: file: roots"
            raise CollectError(f"{real} is outside the folders this node collects from ({allowed})")
        return real


def _files(place: Path) -> Iterator[Path]:
    """Itself, or all in the folder that are not hidden; no link out of it is followed."""
    if place.is_file():
        yield place
        return
    number = 0
    for file in sorted(place.rglob("*")):
        inside = file.relative_to(place)
        if any(part.startswith(".") for part in inside.parts) or not file.is_file():
            continue
        if not file.resolve().is_relative_to(place):
            continue
        number += 1
        if number > FILES_MAX:
            raise CollectError(f"more than {FILES_MAX:,} files in {place}")
        yield file


def _new(
    file: Path, state: list[int], last: Any, skipped: list[str], settled: bool
) -> tuple[list[dict[str, Any]], list[Any]]:
    """The artifacts that were not there the last time, and what to remember: mtime, bytes that were read, their hash, artifacts in them."""
    data = file.read_bytes()
    if file.suffix.lower() in GROWS and not settled:
        data = data[: data.rfind(b"\n") + 1]  # somebody may be in the middle of a line
    found, number = list[dict[str, Any]](), 0
    known = _known(file, data, last)
    for where, fields in read_artifacts(str(file), data):
        number += 1
        if number <= known:
            continue
        if isinstance(fields, ArtifactError):
            if len(skipped) < SKIPPED_MAX:
                skipped.append(f"{where}: {fields}")
        else:
            found.append({"source": file.as_uri(), **fields})
    return found, [state[0], len(data), hashlib.sha256(data).hexdigest(), number]


def _known(file: Path, data: bytes, last: Any) -> int:
    """Artifacts at the begin of a file that only grew: those of the last time."""
    if last is None or file.suffix.lower() not in GROWS or len(data) < last[1]:
        return 0
    return int(last[3]) if hashlib.sha256(data[: last[1]]).hexdigest() == last[2] else 0
