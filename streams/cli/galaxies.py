"""Real input for the demo: the MISP galaxies (threat actors, malware, tools, techniques) as artifacts of several nodes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from streams.errors import IcnError

# node -> galaxies it reports; `ransomware-watch` has more than an hour's quota to say
NODES: dict[str, tuple[str, ...]] = {
    "actor-desk": ("threat-actor", "botnet"),
    "malware-lab": ("mitre-malware", "mitre-enterprise-attack-malware"),
    "tool-scout": ("tool", "rat"),
    "technique-desk": ("mitre-enterprise-attack-attack-pattern", "disarm-techniques", "mitre-d3fend"),
    "ransomware-watch": ("ransomware",),
}
ECHO = "echo-desk"  # reports again what actor-desk reported, in part with more confidence
ECHO_OF, ECHO_COUNT = "actor-desk", 300
THREAT = {
    "threat-actor": 8.0,
    "botnet": 7.0,
    "ransomware": 7.5,
    "mitre-malware": 6.0,
    "mitre-enterprise-attack-malware": 6.0,
    "rat": 6.5,
    "tool": 4.0,
    "disarm-techniques": 3.0,
    "mitre-enterprise-attack-attack-pattern": 5.0,
    "mitre-d3fend": 1.0,
}


def load_galaxies() -> dict[str, list[dict[str, Any]]]:
    """node -> artifacts' fields, in the galaxies' own order. Raises IcnError where the data isn't installed."""
    try:
        from pymispgalaxies import Clusters
    except ImportError as error:
        raise IcnError("the demo's data is not installed", "pip install 'icn-streams[demo]'") from error
    clusters = Clusters()
    reports = {
        node: [fields for galaxy in galaxies for fields in _artifacts(galaxy, clusters[galaxy])]
        for node, galaxies in NODES.items()
    }
    echoed = reports[ECHO_OF][:ECHO_COUNT]
    reports[ECHO] = [
        fields | {"confidence": min(1.0, fields["confidence"] + 0.2 * (number % 2))}
        for number, fields in enumerate(echoed)
    ]
    return reports


def boasts(reports: dict[str, list[dict[str, Any]]], count: int) -> list[dict[str, Any]]:
    """Tools and techniques that others reported, now as certain and most urgent."""
    known = reports[ECHO_OF][-count:]
    return [
        fields
        | {"confidence": 0.95, "threat_level": 10.0, "opportunity_value": 10.0, "source": "https://example.org/boast"}
        for fields in known
    ]


def _artifacts(galaxy: str, cluster: Any) -> Iterator[dict[str, Any]]:
    for value in cluster.values():
        meta = value.meta.to_dict() if value.meta else {}
        references = meta.get("refs") or []
        confidence = float(meta.get("attribution-confidence") or 60) / 100
        yield {
            "content": (value.description or value.value).strip() or value.value,
            "source": references[0] if references else None,
            "confidence": min(1.0, max(0.0, confidence)),
            "threat_level": THREAT[galaxy],
            "opportunity_value": float(min(10, len(references))),
            "metadata": {
                "domain": galaxy.removeprefix("mitre-enterprise-attack-"),
                "source_type": "misp-galaxy",
                "collection_method": "package",
                "galaxy": galaxy,
                "name": value.value,
            },
        }
