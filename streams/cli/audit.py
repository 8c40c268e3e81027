"""`icn audit`: the log of what happened, sealed, and verified by anybody."""

from __future__ import annotations

import click

from streams.cli.audit_keeping import actions, bundle, key, seal, tamper
from streams.cli.audit_reading import report, verify, witness


@click.group()
def audit() -> None:
    """Seal, verify and bundle the audit log; say how reliable a run was; tamper with a copy of it."""


for command in (verify, report, witness, seal, key, bundle, tamper, actions):
    audit.add_command(command)
