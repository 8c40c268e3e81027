"""The schemas, subjects, versions and levels of a registry. Pure; speaks of errors as Confluent's registry does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.schema import to_parsing_canonical_form

from streams import codec
from streams.broker.compatibility import compatible, graph
from streams.errors import ContractError
from streams.topology import Topology

FIRST_ID = 1000  # of what is added; below: schemas/ids.yaml
LEVELS = ("NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE")

INCOMPATIBLE, NO_SUBJECT, NO_VERSION, NO_SCHEMA, NO_LEVEL = 409, 40401, 40402, 40403, 40408
BAD_REQUEST, BAD_SCHEMA, BAD_VERSION, BAD_LEVEL, NOT_STORED = 400, 42201, 42202, 42203, 50001


class Refused(Exception):
    """A request that can't be met. `code` is Confluent's error code, the text is for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """HTTP status: the first three digits of the code."""
        return self.code if self.code < 1000 else self.code // 100


@dataclass(frozen=True)
class Version:
    """A schema under a subject. `number` counts from 1 in its subject, `id` is the wire format's."""

    subject: str
    number: int
    id: int
    schema: str

    def json(self) -> dict[str, Any]:
        """As HTTP and the topic carry it."""
        return {"subject": self.subject, "version": self.number, "id": self.id, "schema": self.schema}


def read_schema(text: str) -> tuple[Any, str]:
    """JSON text -> (schema, parsing canonical form). Raises Refused."""
    try:
        schema = json.loads(text)
        graph(schema)  # what fastavro lets pass: fields or union branches twice, names that are none
        fastavro.parse_schema(schema)  # and what it doesn't: defaults of the wrong type
        return schema, to_parsing_canonical_form(schema)
    except Exception as error:  # fastavro raises KeyError, TypeError, RecursionError … on garbage
        raise Refused(BAD_SCHEMA, f"not an Avro schema: {type(error).__name__}: {error}") from error


class Schemas:
    """Every schema, subject and level. Pure.

    Equal schemas have the same parsing canonical form, so the same bytes on the wire: docs, defaults, aliases and
    logical types don't count. Registering one that differs only in those gives the id, and the text, of the first.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._forms: dict[int, str] = {}
        self._subjects: dict[str, dict[int, int]] = {}  # subject -> version -> id
        self._levels: dict[str | None, str] = {None: "BACKWARD"}  # None: of subjects without their own

    @classmethod
    def seeded(cls, topology: Topology) -> Schemas:
        """What schemas/ holds, under `<topic>-value` for each Avro topic; older forms of an event come first."""
        schemas = cls()
        for name, entry in codec.ids().items():
            # a dead letter is whatever came, so a .dlq topic promises no schema
            subjects = [
                f"{topic.name}-value"
                for topic in topology.topics.values()
                if topic.schema == name and not topic.alias.endswith(".dlq")
            ]
            for older in entry.get("before", ()):
                schemas.add(int(older), (codec.folder() / "old" / f"{name}-{older}.avsc").read_text(), subjects)
            schemas.add(int(entry["id"]), json.dumps(codec.schema(name), ensure_ascii=False), subjects)
        return schemas

    def add(self, number: int, text: str, subjects: Iterable[str], version: int = 1) -> None:
        """Put a schema with this id under these subjects: as this version, or after the last where that is taken.

        It is taken where schemas/ got a new form of an event after somebody had registered one here: the id stays.
        """
        schema, form = read_schema(text)
        self._texts[number] = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
        self._forms[number] = form
        for subject in subjects:
            versions = self._subjects.setdefault(subject, {})
            versions[version if version not in versions else max(versions) + 1] = number

    def replay(self, records: Mapping[str, str]) -> None:
        """Add what the topic holds: key -> value, both JSON text. Raises ContractError where one is not ours."""
        try:
            rows = [(json.loads(key), json.loads(value)) for key, value in records.items()]
            registered = [row for key, row in rows if key["keytype"] == "SCHEMA"]
            for row in sorted(registered, key=lambda row: (row["subject"], row["version"])):
                self.add(row["id"], row["schema"], [row["subject"]], row["version"])
            for key, row in rows:
                if key["keytype"] == "CONFIG":
                    self.set_level(key["subject"], row["compatibilityLevel"])
        except (ValueError, KeyError, TypeError, Refused) as error:
            raise ContractError(
                f"the topic of the registry has a record that is not the registry's: {error!r}", "icn cat _schemas"
            ) from error

    def subjects(self) -> list[str]:
        """All subjects, sorted."""
        return sorted(self._subjects)

    def versions(self, subject: str) -> list[Version]:
        """All versions of a subject, oldest first. Raises Refused."""
        if subject not in self._subjects:
            raise Refused(NO_SUBJECT, f"Subject '{subject}' not found.")
        return [Version(subject, number, of, self._texts[of]) for number, of in sorted(self._subjects[subject].items())]

    def version(self, subject: str, number: int | None) -> Version:
        """One version of a subject; None: the latest. Raises Refused."""
        found = [version for version in self.versions(subject) if number in (None, version.number)]
        if not found:
            raise Refused(NO_VERSION, f"Version {number} not found.")
        return found[-1]

    def text(self, number: int) -> str:
        """The schema with this id. Raises Refused."""
        if number not in self._texts:
            raise Refused(NO_SCHEMA, f"Schema {number} not found")
        return self._texts[number]

    def uses(self, number: int) -> list[Version]:
        """Where the schema with this id is registered. Raises Refused."""
        self.text(number)
        return [version for subject in self.subjects() for version in self.versions(subject) if version.id == number]

    def find(self, subject: str, text: str) -> Version | None:
        """The version of this subject that equals this schema. Raises Refused if it is none."""
        form = read_schema(text)[1]
        versions = self.versions(subject) if subject in self._subjects else []
        return next((version for version in versions if self._forms[version.id] == form), None)

    def next(self, subject: str, text: str) -> Version:
        """The version that registering a schema new to its subject would make; changes nothing. Raises Refused."""
        schema, form = read_schema(text)
        versions = self.versions(subject) if subject in self._subjects else []
        judges = versions if self.level(subject).endswith("_TRANSITIVE") else versions[-1:]
        if problems := self.problems(subject, text, judges):
            why = "; ".join(problems)
            raise Refused(INCOMPATIBLE, f"Schema being registered is incompatible ({self.level(subject)}): {why}")
        known = next((number for number, other in self._forms.items() if other == form), None)
        number = max(FIRST_ID - 1, *self._forms) + 1 if known is None else known
        text = json.dumps(schema, ensure_ascii=False) if known is None else self._texts[known]
        return Version(subject, versions[-1].number + 1 if versions else 1, number, text)

    def problems(self, subject: str, text: str, judges: Iterable[Version]) -> list[str]:
        """Why a schema may not join these versions of a subject at its level, a sentence each. Raises Refused."""
        new = read_schema(text)[0]
        level, problems = self.level(subject).removesuffix("_TRANSITIVE"), []
        for judge in judges:
            old, name = json.loads(judge.schema), f"version {judge.number}"
            if level in ("BACKWARD", "FULL"):
                problems += [f"the new schema reading {name}: {problem}" for problem in compatible(new, old)]
            if level in ("FORWARD", "FULL"):
                problems += [f"{name} reading the new schema: {problem}" for problem in compatible(old, new)]
        return problems

    def level(self, subject: str | None) -> str:
        """The level in force for a subject; None: for those without their own."""
        return self._levels.get(subject, self._levels[None])

    def own_level(self, subject: str) -> str:
        """The level set for just this subject. Raises Refused."""
        if subject not in self._levels:
            raise Refused(NO_LEVEL, f"Subject '{subject}' does not have subject-level compatibility configured")
        return self._levels[subject]

    def set_level(self, subject: str | None, level: str) -> None:
        """The level of a subject, which needs no schema yet; None: of all without their own."""
        self._levels[subject] = level
