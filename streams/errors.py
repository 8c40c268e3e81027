"""What can go wrong, and what the operator does about it.

IcnError            a person's or a machine's fault, told in one line: what, where, what to do. No traceback
├── NotFoundError   what was asked for isn't there: exit code 1, others 2
├── TopologyError   topology.yaml says something that can't be
├── ContractError   the cluster differs from topology.yaml, or a record from its schema
├── BrokerError     no broker, or it refuses
├── ArtifactError   an artifact that the network would reject; raised by the SDK before it is sent
├── AuditError      the audit log can't be written, or not so
├── OutboxError     the SDK's outbox can't be used
└── UndecidedError  a node was closed before an artifact had its decision
Fatal               a worker can't go on without risking a wrong decision: it exits 70 and is restarted
"""

from __future__ import annotations


class IcnError(Exception):
    """One line for a person: what is wrong, and a hint that says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.args[0]}\n  hint: {self.hint}" if self.hint else str(self.args[0])


class NotFoundError(IcnError):
    """What was asked for isn't there: an answer, so exit code 1."""


class TopologyError(IcnError):
    """topology.yaml says something that can't be."""


class ContractError(IcnError):
    """The cluster differs from topology.yaml, or a record from its schema."""


class BrokerError(IcnError):
    """No broker, or it refuses."""


class UndecidedError(IcnError):
    """A node was closed before an artifact had its decision; the artifact is in the outbox."""


class ArtifactError(IcnError):
    """An artifact that the network would reject."""


class OutboxError(IcnError):
    """The SDK's outbox can't be used."""


class AuditError(IcnError):
    """The audit log can't be written, or not so."""


class Fatal(Exception):
    """The process must end at once, with nothing acknowledged. The supervisor restarts it."""


EXIT_FATAL = 70
