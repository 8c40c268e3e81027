"""judges (s3): name -> who may give verdicts, and how many it gave. Folded from control's judge_registered events and from verdicts.

Layout: JSON, the fields of domain.judge.Judge in order.
"""

from __future__ import annotations

import json

from streams.domain.judge import Judge
from streams.runtime.stage import Table


def _unpack(data: bytes) -> Judge:
    row = Judge._make(json.loads(data))
    return row._replace(votes=tuple(row.votes))


JUDGES: Table[Judge] = Table("judges", b"\x02", lambda row: json.dumps(row, separators=(",", ":")).encode(), _unpack)
