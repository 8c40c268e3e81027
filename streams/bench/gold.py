"""Gold sets from public packages. MISP galaxies: which of their texts are of the same thing, by the ids that several galaxies share."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from streams.errors import IcnError

WORDS_MIN = 15  # a description
CITATIONS, RULES = "references", "sigma-rules"  # no descriptions of things
MITIGATION = "course-of-action"  # old mitigations bear the id of the technique that they are against: another thing
KINDS = 14
IDS = ("external_id", "software_attack_id", "group_attack_id", "campaign_attack_id")


@dataclass(frozen=True)
class Pairs:
    """texts, and which of them are of the same thing: (earlier, later) indices."""

    texts: list[str]
    same: frozenset[tuple[int, int]]


def galaxy_pairs(by_name: bool) -> Pairs:
    """Descriptions in different galaxies that bear the same id; by_name: or the same name, though they may have been written apart."""
    entries = [entry for entry in _entries(mitigations=False) if len(entry.text.split()) >= WORDS_MIN]
    alike = defaultdict(list)
    for number, entry in enumerate(entries):
        for key in (*entry.ids, *((f"name {entry.name}",) if by_name and entry.name else ())):
            alike[key].append(number)
    found = {
        pair
        for numbers in alike.values()
        for pair in combinations(numbers, 2)
        if entries[pair[0]].galaxy != entries[pair[1]].galaxy
    }
    used = {number: at for at, number in enumerate(sorted({number for pair in found for number in pair}))}
    return Pairs([entries[number].text for number in used], frozenset((used[a], used[b]) for a, b in found))


@dataclass(frozen=True)
class Kinds:
    """texts, and the kind of each."""

    texts: list[str]
    kinds: list[str]


def galaxy_kinds() -> Kinds:
    """Descriptions of the 14 largest galaxies, mitigations among them: which galaxy is each of?"""
    entries = [entry for entry in _entries(mitigations=True) if len(entry.text.split()) >= WORDS_MIN]
    largest = {name for name, _ in Counter(entry.galaxy for entry in entries).most_common(KINDS)}
    chosen = [entry for entry in entries if entry.galaxy in largest]
    return Kinds([entry.text for entry in chosen], [entry.galaxy for entry in chosen])


def galaxy_texts(most: int) -> list[tuple[str, str]]:
    """(galaxy, description) of the largest galaxies, mitigations among them."""
    entries = [entry for entry in _entries(mitigations=True) if len(entry.text.split()) >= WORDS_MIN]
    largest = {name for name, _ in Counter(entry.galaxy for entry in entries).most_common(most)}
    return [(entry.galaxy, entry.text) for entry in entries if entry.galaxy in largest]


@dataclass(frozen=True)
class _Entry:
    galaxy: str
    name: str
    ids: frozenset[str]
    text: str


def _entries(mitigations: bool) -> Iterator[_Entry]:
    try:
        from pymispgalaxies import Clusters
    except ImportError as error:
        raise IcnError("the galaxies are not installed", "pip install 'icn-streams[demo]'") from error
    clusters = Clusters()
    for galaxy in sorted(clusters):
        if galaxy in (CITATIONS, RULES) or (MITIGATION in galaxy and not mitigations):
            continue
        for cluster in clusters[galaxy].values():
            meta = cluster.meta.to_dict() if cluster.meta else {}
            name = re.sub(r"\s+-\s+[A-Z]{1,4}\d+(\.\d+)?$", "", cluster.value).lower()
            yield _Entry(
                galaxy,
                re.sub(r"[^a-z0-9]+", " ", name).strip(),
                frozenset([str(cluster.uuid), *(value for field in IDS for value in _listed(meta.get(field)))]),
                cluster.description or "",
            )


def _listed(value: Any) -> list[str]:
    return [str(one).upper() for one in (value if isinstance(value, list) else [value]) if one]
