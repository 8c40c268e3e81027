"""Who speaks in a STIX bundle: the deployment, its nodes, its judges. Pure."""

from __future__ import annotations

from streams.domain.tlp import ORDER
from streams.watch.stix import Object, identity, object_id
from streams.watch.stix_choice import Artifact, Material

# a judge may be a person, a trainer or a node
CLASSES = {"deployment": "system", "node": "system", "judge": "unknown"}


class Speakers:
    """Ids within a deployment, and the identities of those who were asked for.

    An identity bears the mildest marking of all objects that name it: whoever may see one of them sees the name.
    """

    def __init__(self, deployment: str, material: Material) -> None:
        self.deployment, self.registered = deployment, material.registered
        self.mildest: dict[tuple[str, str], str] = {}
        self.first_ms: dict[tuple[str, str], int] = {}  # of those who speak without a registration
        said = [("node", one.facts["node_id"], one.facts["raw_ms"]) for one in material.reports]
        said += [("judge", vote["judge"], ms) for vote, _, ms in material.votes]
        for role, name, ms in said:
            self.first_ms[role, name] = min(ms, self.first_ms.get((role, name), ms))

    def id(self, kind: str, *names: object) -> str:
        return object_id(kind, self.deployment, *names)

    def note_id(self, artifact: Artifact) -> str:
        return self.id("note", "artifact", artifact.dedup_hash.hex(), artifact.canonical_id)

    def who(self, role: str, name: str, tlp: str) -> str:
        """Id of an identity, for an object with this marking. role: node or judge."""
        self.mildest[role, name] = min(tlp, self.mildest.get((role, name), tlp), key=ORDER.index)
        return self.id("identity", role, name)

    def network(self, tlp: str) -> str:
        """The same of the deployment: for what it found itself."""
        return self.who("deployment", self.deployment, tlp)

    def identities(self) -> list[Object]:
        """Of all who were asked for so far."""
        return [self._identity(role, name, tlp) for (role, name), tlp in self.mildest.items()]

    def _identity(self, role: str, name: str, tlp: str) -> Object:
        if role == "deployment":
            first_ms = last_ms = min([*(first for first, _ in self.registered.values()), *self.first_ms.values()])
        else:
            first_ms, last_ms = self.registered.get((role, name)) or (self.first_ms[role, name],) * 2
        id_ = self.id("identity", role, name)
        return identity(id_, name, CLASSES[role], first_ms, last_ms, tlp, roles=[role])
