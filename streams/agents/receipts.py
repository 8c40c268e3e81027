"""Receipts as s1 and s2 write them: one event a node and batch, an outcome per artifact. Encoded by hand: one per artifact counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from streams.avro import avro_bytes, zigzag
from streams.codec import encoder, parsed
from streams.runtime.stage import Batch, Context, Decided

EVENT_MAX_BYTES = 1 << 19  # of outcomes: keeps an event far below max.message.bytes, however long its ids are

KINDS: Mapping[str, bytes] = {
    symbol: zigzag(number)
    for number, symbol in enumerate(
        next(f for f in parsed("receipt")["fields"] if f["name"] == "outcomes")["type"]["items"]["fields"][1]["type"][
            "symbols"
        ]
    )
}
_NULL, _SOME, _END = b"\x00", b"\x02", b"\x00"


def outcome(
    artifact_id: bytes,
    kind: str,
    offset: int,
    reason: str | None = None,
    detail: str | None = None,
    canonical_id: bytes | None = None,
    version: int = 0,
    read: tuple[bytes, int, int] | None = None,
) -> bytes:
    """One element of `outcomes`, in Avro. Ids are UTF-8; read: content hash, raw offset, raw time in ms."""
    return b"".join(
        (
            avro_bytes(artifact_id),
            KINDS[kind],
            zigzag(offset),
            _NULL if reason is None else _SOME + avro_bytes(reason.encode()),
            _NULL if detail is None else _SOME + avro_bytes(detail.encode()),
            _NULL + _NULL
            if canonical_id is None
            else b"".join((_SOME, avro_bytes(canonical_id), _SOME, zigzag(version))),
            _NULL if read is None else b"".join((_SOME, avro_bytes(read[0]), zigzag(read[1]), zigzag(read[2]))),
        )
    )


class Receipts:
    """Collects the outcomes of one batch; `send` turns them into events, nodes in the order of their first artifact."""

    def __init__(self, context: Context, batch: Batch) -> None:
        self.context, self.batch = context, batch
        self.outcomes: dict[bytes, list[bytes]] = {}

    def add(self, node_id: bytes, element: bytes) -> None:
        """One artifact of this node, from `outcome`."""
        if (of_node := self.outcomes.get(node_id)) is None:
            of_node = self.outcomes[node_id] = []
        of_node.append(element)

    def add_decided(
        self, node_id: bytes, artifact_id: bytes, kind: str, offset: bytes, first_id: bytes, version: bytes
    ) -> None:
        """The same for s2's word, one per artifact of the network, so written in one go; the last three are in Avro already."""
        if (of_node := self.outcomes.get(node_id)) is None:
            of_node = self.outcomes[node_id] = []
        of_node.append(b"%b%b%b\0\0\2%b\2%b\0" % (avro_bytes(artifact_id), KINDS[kind], offset, first_id, version))

    def send(self, decided: Decided, about: Mapping[bytes, Mapping[str, Any]] | None = None) -> None:
        """Append the events. `about`: node -> fields of the receipt beside the outcomes."""
        name, batch, rule = self.context.agent.name, self.batch, self.context.rule
        first = batch.records[0].offset
        for node_id, elements in self.outcomes.items():
            fields = {
                "node_id": node_id.decode(errors="replace"),  # s2 has it from a topic, undecoded
                "stage": name,
                "accepted": 0,
                "refused": 0,
                "claimed": 0,
                "status": "normal",
                "quota_left": None,
                "retry_after_ms": None,
                "undecided": None,
                "suggestions": [],
                "rule": rule,
                "topic": batch.source,
                "partition": batch.partition,
                "outcomes": [],
                **((about or {}).get(node_id, {})),
            }
            head = _encoder()(fields)[:-1]  # without the empty array's end
            for start, some in _pieces(elements):
                decided.send(
                    "receipts",
                    {
                        "key": node_id,
                        "value": b"".join((head, zigzag(len(some)), *some, _END)),
                        "headers": cloud_event(
                            "icn.receipt",
                            f"/{self.context.topology.deployment}/{name}",
                            f"{name}:{batch.source}:{batch.partition}:{first}:{node_id.decode(errors='replace')}:{start}:{rule.hex()}",
                        ),
                    },
                )


def _pieces(elements: list[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """(index of the first, elements) of each event."""
    start = size = 0
    for index, element in enumerate(elements):
        if size + len(element) > EVENT_MAX_BYTES and index > start:
            yield start, elements[start:index]
            start, size = index, 0
        size += len(element)
    yield start, elements[start:]


@cache
def _encoder() -> Callable[[Mapping[str, Any]], bytes]:
    """Made when it is first needed: by then it is known whose registry's ids are used."""
    return encoder("receipt")


def cloud_event(kind: str, source: str, identity: str) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, Kafka binding, binary mode. The id is derived from the input, so a re-made event is the same event."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_id", identity.encode()),
        ("content-type", b"application/avro"),
    ]
