"""Raw records, read: who sent it, is it an artifact, is it in its limits? What s1 decides on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

from streams.codec import Undecodable, decoder
from streams.domain.artifact import Flaw, Hashes, Limits, find_flaw, hash_artifact
from streams.domain.identity import MAC_HEADER, is_signed, node_token
from streams.runtime.stage import Batch, Context, Record, Rows, look_up
from streams.secrets import derive
from streams.tables.nodes import NODES
from streams.units import size_bytes


class Candidate(NamedTuple):
    """A record, read: an artifact with its hashes, or a flaw. node_id "": the sender is not proven, so nobody is told."""

    record: Record
    node_id: str
    artifact: dict[str, Any] | None
    hashes: Hashes | None
    flaw: Flaw | None


class Reader:
    """From a record to a candidate."""

    def __init__(self, context: Context) -> None:
        protocol = context.topology.protocol
        self.limits = Limits(
            size_bytes(protocol["content_max"]), protocol["metadata_max"], size_bytes(protocol["metadata_bytes_max"])
        )
        self.hash_key = derive(context.secret, "content-hash")
        token_key = derive(context.secret, "node-token")
        self.token = lru_cache(65536)(lambda node_id, generation: node_token(token_key, node_id, generation))
        self.decode_artifact = decoder("artifact")

    def read(self, rows: Rows, batch: Batch) -> list[Candidate]:
        """Who sent it? The name on a record that isn't signed may be forged."""
        senders = list({record.key for record in batch.records if record.key})
        registered = look_up(rows, NODES, senders)
        candidates = []
        for record in batch.records:
            key, value = record.key or b"", record.value or b""
            node = registered.get(key)
            if node is None:
                candidates.append(
                    _stranger(
                        record, "unknown_node", "no registration of the node in the record's key; icn node register"
                    )
                )
                continue
            node_id = key.decode()
            # a name ends at a NUL: librdkafka, which replays, can't see what comes after it
            macs = [content for name, content in record.headers or () if name.partition("\0")[0] == MAC_HEADER]
            if len(macs) != 1 or not is_signed(self.token(node_id, node.generation), key, value, macs[0]):
                detail = (
                    "header icn_mac is missing"
                    if not macs
                    else "header icn_mac does not fit node, record and the node's current token"
                )
                candidates.append(_stranger(record, "bad_signature", detail))
                continue
            candidates.append(self._read(record, node_id))
        return candidates

    def _read(self, record: Record, node_id: str) -> Candidate:
        try:
            artifact = self.decode_artifact(record.value or b"")
        except Undecodable as error:
            return Candidate(record, node_id, None, None, Flaw(error.reason, str(error)))
        if artifact["node_id"] != node_id:
            return Candidate(
                record,
                node_id,
                artifact,
                None,
                Flaw(
                    "node_mismatch",
                    f'the artifact says node_id "{artifact["node_id"][:80]}", its key and signature "{node_id}"',
                ),
            )
        if flaw := find_flaw(artifact, self.limits):
            return Candidate(record, node_id, artifact, None, flaw)
        try:
            return Candidate(record, node_id, artifact, hash_artifact(self.hash_key, artifact), None)
        except (
            UnicodeEncodeError
        ):  # lone surrogates can't come out of UTF-8; a decoder that lets them through would be a trap
            return Candidate(record, node_id, artifact, None, Flaw("invalid_utf8", "a string holds lone surrogates"))


def _stranger(record: Record, reason: str, detail: str) -> Candidate:
    return Candidate(record, "", None, None, Flaw(reason, detail))
