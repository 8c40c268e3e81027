"""What collectors remember of each target: a small JSON file of its own, written whole."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from streams.audit.files import write_whole

log = logging.getLogger("icn.collect")


class Memory:
    """folder: of this node; made when something is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, target_id: str) -> dict[str, Any]:
        """{} at first, and where the file is damaged: it is collected anew."""
        path = self.folder / f"{target_id}.json"
        try:
            found = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s: %s; the target is collected anew", path, error)
            return {}
        return found if isinstance(found, dict) else {}

    def keep(self, target_id: str, memory: dict[str, Any]) -> None:
        """A disk that is full costs a repetition, not the collection."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self.folder / f"{target_id}.json", json.dumps(memory).encode())
        except OSError as error:
            log.warning("%s: %s; the target will be collected again", self.folder, error.strerror)
