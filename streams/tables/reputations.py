"""reputations (s3): node_id -> what is known of a node. Folded from s3's inputs; behind each epoch it is the newest revision's `state`.

Layout: JSON, the fields of domain.reputation.Reputation in order. Floats are written so that they read back as the same bits.
"""

from __future__ import annotations

import json

from streams.domain.calibration import Bets, Voice
from streams.domain.reputation import Epoch, Reputation, Tally
from streams.runtime.stage import Table


def _pack(row: Reputation) -> bytes:
    return json.dumps(row, separators=(",", ":")).encode()


def _unpack(data: bytes) -> Reputation:
    row = Reputation._make(json.loads(data))
    epochs, (low, high) = row.bets
    epoch = Epoch._make(row.epoch)
    evidence = {kind: Tally._make(tally) for kind, tally in epoch.evidence.items()}
    return row._replace(
        bets=Bets(epochs, (low, high)),
        voices={name: Voice._make(voice) for name, voice in row.voices.items()},
        rises=tuple(row.rises),
        epoch=epoch._replace(evidence=evidence),
    )


REPUTATIONS: Table[Reputation] = Table("reputations", b"\x01", _pack, _unpack, version=3)
