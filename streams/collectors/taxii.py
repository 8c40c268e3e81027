"""A TAXII 2.1 collection, page by page, from where the last success ended; by OASIS's own client on our connections."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from taxii2client.common import _HTTPConnection
from taxii2client.exceptions import TAXIIServiceException
from taxii2client.v21 import Collection, as_pages

from streams.collectors.collector import Collected, CollectError, Task
from streams.collectors.fetch import OPTIONS, Web
from streams.collectors.options import read
from streams.collectors.stix import objects_of
from streams.errors import IcnError

PAGE = 500
OVERLAP = timedelta(minutes=10)  # objects that were being added while we read; they are known, and not taken twice

_OPTIONS: dict[str, tuple[Any, Any]] = {**OPTIONS, "user": (str, ""), "password": (str, ""), "hosts": (list, [])}


class TaxiiCollector:
    """Location: a collection's URL. User and password are the node's, for everybody can read a target; and for these hosts (host or
    host:port) only, for whoever adds targets names the host."""

    capability = "taxii"

    def __init__(self, options: Mapping[str, Any]) -> None:
        found = read(self.capability, options, _OPTIONS)
        self.user, self.password, self.hosts = found["user"], found["password"], found["hosts"]
        if self.user and not self.hosts:
            raise IcnError(
                "collector taxii: a user without hosts", "hosts: [taxii.example.org] says who may see the password"
            )
        self.web = Web({**found, "robots": False})  # an interface for machines

    def collect(self, task: Task) -> Collected:
        asked_at = datetime.now(UTC)
        since = task.memory.get("since")
        more = {"added_after": since} if since else {}
        objects: list[Any] = []
        with self.web.session(task) as session:
            connection = _HTTPConnection(user_agent=self.web.agent, version="2.1")
            connection.session = session
            if self.user and urlsplit(task.location).netloc in self.hosts:
                session.auth = (self.user, self.password)
            try:
                collection = Collection(task.location.rstrip("/") + "/", conn=connection)
                for page in as_pages(collection.get_objects, per_request=PAGE, **more):
                    objects += page.get("objects", [])
                    if len(objects) > task.items_max + PAGE:
                        raise CollectError(f"more than {task.items_max:,} new objects at once")
            except (TAXIIServiceException, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
                raise CollectError(f"no TAXII 2.1 collection: {error}"[:300]) from error
        memory = {"since": (asked_at - OVERLAP).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        collected = objects_of(objects, task, memory)
        # a collection that answers, and has nothing newer, says so itself
        collected.unchanged = collected.unchanged or (bool(since) and not objects)
        return collected
