"""What a supervisor sees of its children, in the audit log."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import psutil

from streams.audit.record.events import Event
from streams.audit.record.log import AuditLog
from streams.runtime.supervisor import Watched


class AuditedChildren(Watched):
    """process_crash for one that ended unasked, and what each uses now and then. audit None: the log could not be opened."""

    def __init__(self, audit: AuditLog | None, state: Path) -> None:
        self.audit, self.state = audit, state

    def ended(self, name: str, pid: int, code: int) -> None:
        if self.audit is not None:
            self.audit.write(Event("process_crash", payload={"child": name, "pid": pid, "code": code}))

    def sample(self, pids: Mapping[str, int]) -> None:
        if self.audit is None:
            return
        free = psutil.disk_usage(str(self.state)).free
        for name, pid in pids.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                used = process.cpu_times()
                payload = {
                    "process": name,
                    "cpu_ns": int((used.user + used.system) * 1e9),
                    "rss_bytes": process.memory_info().rss,
                    "open_files": process.num_fds(),
                    "disk_free_bytes": free,
                }
                self.audit.write(Event("resource_sample", payload=payload))
