"""The aiokafka client and the thread it lives in: joins the group, seeks, fetches, commits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.runtime.records import use_lean_records
from streams.runtime.runner import Fetched

log = logging.getLogger("icn.client")

FETCH_TIMEOUT_S = 0.1


class BatchThread(driver.AIOKafkaConsumerThread):
    """`fetch`, `begin`, `positions` and `commit` are asked for in the main loop; everything runs in the client's thread."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.epoch = 0
        self.delivered: dict[TopicPartition, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        icn = self.app.icn
        use_lean_records(icn.settings)
        session_ms = icn.settings.session_timeout_ms
        return aiokafka.AIOKafkaConsumer(
            **icn.settings.aiokafka(
                client_id=f"{icn.stage.agent.name}-{icn.member}",
                group_id=icn.stage.agent.group,
                group_instance_id=icn.member,  # a restarted worker is not a new one: no wait for its session to end
                # partition n of every source to the same worker
                partition_assignment_strategy=[RangePartitionAssignor],
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                max_partition_fetch_bytes=icn.settings.fetch_max_bytes,
                fetch_max_wait_ms=100,
                session_timeout_ms=session_ms,
                heartbeat_interval_ms=session_ms // 5,
                rebalance_timeout_ms=max(2 * icn.settings.drain_deadline_ms, session_ms),
                max_poll_interval_ms=600_000,
                request_timeout_ms=max(40_000, 2 * session_ms),
                check_crcs=False,
                metadata_max_age_ms=60_000,
            )
        )

    async def on_thread_stop(self) -> None:
        """A clean stop leaves the group, so that others take over at once; aiokafka lets a static member only fall silent."""
        if self._consumer is not None and self._consumer._coordinator is not None:
            self._consumer._coordinator._group_instance_id = None
        await super().on_thread_stop()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust warns of a partition that is idle for five minutes, at length. Ours are fetched, and our watchdog looks after batches."""

    async def _fetch(self, wanted: list[TopicPartition]) -> list[Fetched]:
        records = await self._ensure_consumer().getmany(*wanted, timeout_ms=int(FETCH_TIMEOUT_S * 1000))
        # no await between here and the return: epoch, delivered and records belong together
        aliases = self.app.icn.alias_of
        fetched = []
        for tp, list_of_records in records.items():
            # Assigned and not taken over yet, as happens when a broker comes back: `begin` will seek to where it is to be read from.
            if list_of_records and tp in self.delivered:
                fetched.append(
                    Fetched(aliases[tp.topic], tp.partition, self.delivered[tp], self.epoch, list_of_records)
                )
                self.delivered[tp] = list_of_records[-1].offset
        return fetched

    async def fetch(self, wanted: list[TopicPartition]) -> list[Fetched]:
        return await self.call_thread(self._fetch, wanted)

    async def _begin(self, positions: Mapping[TopicPartition, int], epoch: int) -> None:
        consumer = self._ensure_consumer()
        for tp, offset in positions.items():
            consumer.seek(tp, offset)
        self.delivered = {tp: offset - 1 for tp, offset in positions.items()}
        self.epoch = epoch

    async def begin(self, positions: Mapping[TopicPartition, int], epoch: int) -> None:
        await self.call_thread(self._begin, positions, epoch)

    async def _positions(self, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        consumer = self._ensure_consumer()
        assigned = consumer.assignment()
        return {tp: (await consumer.position(tp), self.delivered.get(tp, -1)) for tp in tps if tp in assigned}

    async def positions(self, tps: list[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """tp -> (position, last offset that was handed out)."""
        return await self.call_thread(self._positions, tps)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            await self._ensure_consumer().commit(
                {TopicPartition(*tp): OffsetAndMetadata(offset, "") for tp, offset in offsets.items()}
            )
        except (
            KafkaError,
            ValueError,
        ) as error:  # it serves the lag figure only; the next one will say the same and more
            log.info("offsets not committed: %r", error)
            return False
        return True
