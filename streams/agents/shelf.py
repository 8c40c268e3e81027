"""What s6 would feed of each artifact that waits: on disk, since a week of it is gigabytes. A cache of this process, gone with it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rocksdict import DBCompressionType, Options, Rdict

Item = dict[str, Any]


class Shelf:
    """dedup_hash -> what a scenario is made of, as JSON can carry it. folder: it is made in there."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _clear(folder)
        self.folder = Path(tempfile.mkdtemp(prefix=f"phoenix-{os.getpid()}-", dir=folder))
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(DBCompressionType.lz4())
        self.items = Rdict(str(self.folder), options)

    def put(self, key: bytes, item: Item) -> None:
        self.items[key] = json.dumps(item).encode()

    def get(self, keys: Sequence[bytes]) -> list[Item]:
        """Raises KeyError."""
        found = self.items.get(list(keys))
        if None in found:
            raise KeyError("something was not put there")
        return [json.loads(data) for data in found]

    def drop(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            del self.items[key]

    def close(self) -> None:
        self.items.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _clear(folder: Path) -> None:
    """What processes left that were killed."""
    for left in folder.glob("phoenix-*"):
        try:
            os.kill(int(left.name.split("-")[1]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:  # it lives, and is somebody else's
            continue
