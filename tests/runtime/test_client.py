"""What the client's thread hands out, in the moments between an assignment and its takeover. aiokafka's consumer is stood in for: it hands
out what a broker sends when it pleases."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from aiokafka.structs import TopicPartition

from streams.runtime.client import BatchThread

OURS, NEW = TopicPartition("d.admitted", 0), TopicPartition("d.admitted", 1)


class Consumer:
    """Two partitions, endless records of each; seeks are obeyed."""

    def __init__(self) -> None:
        self.at = {OURS: 0, NEW: 700}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.at[tp] = offset

    async def getmany(self, *wanted: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
        found = {tp: [SimpleNamespace(offset=self.at[tp] + n) for n in range(3)] for tp in wanted}
        self.at = {tp: at + 3 for tp, at in self.at.items()}
        return found


def thread() -> Any:
    made = BatchThread.__new__(BatchThread)
    made._consumer, made.epoch, made.delivered = Consumer(), 0, {}
    made.consumer = SimpleNamespace(app=SimpleNamespace(icn=SimpleNamespace(alias_of={OURS.topic: "admitted"})))
    made.app = made.consumer.app
    made._ensure_consumer = lambda: made._consumer
    return made


def test_a_partition_that_is_assigned_and_not_taken_over_hands_out_nothing_and_loses_nothing() -> None:
    """A broker that comes back may assign it while the old assignment is still being read."""

    async def run() -> None:
        made = thread()
        await made._begin({OURS: 0}, 1)
        early = await made._fetch([OURS, NEW])
        assert [(one.partition, one.epoch, [r.offset for r in one.records]) for one in early] == [(0, 1, [0, 1, 2])]
        await made._begin({OURS: 3, NEW: 40}, 2)
        then = await made._fetch([OURS, NEW])
        assert [(one.partition, one.epoch, [r.offset for r in one.records]) for one in then] == [
            (0, 2, [3, 4, 5]),
            (1, 2, [40, 41, 42]),
        ]

    asyncio.run(run())
