"""Another schema registry instead of the embedded ids: `registry:` in topology.yaml, or ICN_REGISTRY.

Our schemas are registered there under `<topic>-value`, and its ids are used on the wire. Called before any codec is made.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from streams import codec
from streams.errors import BrokerError, ContractError
from streams.settings import Settings
from streams.topology import Topology

CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"
TIMEOUT_S = 10


def adopt_ids(topology: Topology, settings: Settings) -> None:
    """Use the registry's ids, if one is set. Raises BrokerError (not reachable) or ContractError (it refuses a schema)."""
    if not settings.registry:
        return
    ids: dict[str, int] = {}
    for topic in topology.topics.values():
        if topic.schema in codec.ids() and not topic.alias.endswith(".dlq"):
            body = {"schema": json.dumps(codec.schema(topic.schema))}
            made = _post(f"{settings.registry.rstrip('/')}/subjects/{topic.name}-value/versions", body)
            ids[topic.schema] = made["id"]
    codec.use_ids(ids)


def _post(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": CONTENT_TYPE}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise ContractError(
            f"{url}: {error.code} {error.read().decode(errors='replace')[:300]}", "is the schema compatible there?"
        ) from error
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise BrokerError(
            f"schema registry {url}: {error}", "is it running? or leave `registry:` empty for the embedded ids"
        ) from error
