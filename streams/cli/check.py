"""`icn check`: a checklist before a run."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from streams.cli.show import json_option, network, print_json, reach, table
from streams.errors import BrokerError, IcnError
from streams.units import human_bytes
from streams.words import counted

DISK_WANTED_BYTES = 1 << 30
CLOCK_OFF_MAX_S = 5.0
ASK_THE_BROKER = ("topics as planned", "clock")


@click.command()
@json_option
def check(as_json: bool) -> None:
    """Check broker, topics, schemas, clock, disk and keys. Exit code 1 if something is not in order.

    \b
    Example:
      icn check
    """
    from confluent_kafka import KafkaException

    from streams.cli.main import of_kafka

    topology, settings = network(broker=False)
    rows: list[dict[str, Any]] = []
    for name, look in _looks(topology, settings):
        try:
            if name in ASK_THE_BROKER and not rows[0]["ok"]:  # each would wait for it again
                raise BrokerError("not looked at: no broker")
            fine, words = look()
        except IcnError as error:
            fine, words = False, str(error.args[0])
        except KafkaException as error:
            fine, words = False, str(of_kafka(error).args[0])
        rows.append({"check": name, "ok": fine, "detail": words})
    if as_json:
        print_json(rows)
    else:
        table(("", "check", "detail"), [("✓" if r["ok"] else "✗", r["check"], r["detail"]) for r in rows])
    sys.exit(0 if all(r["ok"] for r in rows) else 1)


def _looks(topology: Any, settings: Any) -> Iterator[tuple[str, Callable[[], tuple[bool, str]]]]:
    from streams import codec
    from streams.broker.admin import Admin
    from streams.runtime.rules import rule_version
    from streams.secrets import deployment_secret, secret_path

    def broker() -> tuple[bool, str]:
        reach(settings.require_brokers())
        brokers = Admin(settings).client.list_topics(timeout=10).brokers
        return True, f"{counted(len(brokers), 'broker')} at {settings.brokers}"

    def topics() -> tuple[bool, str]:
        steps = Admin(settings).plan(topology)
        return not steps, f"{counted(len(steps), 'difference')}: icn topics plan" if steps else "as topology.yaml says"

    def schemas() -> tuple[bool, str]:
        changed = [
            n for n, entry in codec.ids().items() if entry["fingerprint"] != codec.schema_fingerprint(codec.schema(n))
        ]
        return (
            not changed,
            f"changed without a new id: {', '.join(changed)}" if changed else f"{len(codec.ids())} events as published",
        )

    def clock() -> tuple[bool, str]:
        off = _clock_off(topology, settings)
        return (
            off is None or abs(off) < CLOCK_OFF_MAX_S,
            "no record to compare with yet"
            if off is None
            else "not behind the broker's"
            if off == 0
            else f"{-off:.1f} s behind the broker's",
        )

    def disk() -> tuple[bool, str]:
        settings.state.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(settings.state).free
        return free > DISK_WANTED_BYTES, f"{human_bytes(free)} free in {settings.state}"

    def keys() -> tuple[bool, str]:
        deployment_secret(settings.state)
        open_to_others = secret_path(settings.state).stat().st_mode & 0o077
        return not open_to_others, f"{secret_path(settings.state)}" + (
            " can be read by others: chmod 600" if open_to_others else ""
        )

    yield from (
        ("broker reachable", broker),
        ("topics as planned", topics),
        ("schemas as published", schemas),
        ("clock", clock),
        ("disk", disk),
        ("deployment key", keys),
        ("rule version", lambda: (True, rule_version(topology).hex())),
    )


def _clock_off(topology: Any, settings: Any) -> float | None:
    """How far our clock is behind the broker's, at least, in seconds: no record can be from after now. None: nothing to compare."""
    from streams.broker.topics import fold

    newest = max((m.timestamp()[1] for m in fold(settings, topology.topic("control").name, last=5)), default=None)
    return None if newest is None else min(0.0, time.time() - newest / 1000)
