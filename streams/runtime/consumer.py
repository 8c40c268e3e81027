"""Faust's consumer, made batch-wise: one message per partition fetch, whose value is the list of its records.

Faust's cost is per message, some 150 µs; this spreads it over thousands of records. What else differs from Faust's own consumer:

- Positions come from the stores' markers, never from the group's commits, which serve the lag figure only.
- Each seek starts a new epoch, in the consumer's thread, where fetches happen too; a fetch carries the epoch it belongs to.
- A partition is fetched only while fewer than two of its fetches are unprocessed, and not before its source's linger is over.
- With nothing unprocessed the position is committed: it has passed the control records at the end, so an idle group shows lag 0.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.errors import Fatal
from streams.runtime.client import FETCH_TIMEOUT_S, BatchThread
from streams.runtime.fatal import die
from streams.runtime.runner import Fetched, Source

UNPROCESSED_MAX = 2
Positions = Mapping[Source, int]


class BatchConsumer(driver.Consumer):
    """Between Faust and the thread above; runs in the main loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.unprocessed: dict[Source, int] = defaultdict(int)
        self.processed: dict[Source, int] = {}
        self.committed: dict[TopicPartition, int] = {}
        self.first_until: dict[TopicPartition, int] = {}
        self.epoch = 0
        self.fetched_at: dict[Source, float] = {}  # of sources that linger: when they last gave something, monotonic
        self.progress = asyncio.Event()

    def _new_consumer_thread(self) -> BatchThread:
        return BatchThread(self, loop=self.loop, beacon=self.beacon)

    # -- a new assignment -------------------------------------------------

    async def begin(self, epoch: int, positions: Positions, first_until: Positions) -> None:
        """Read on from these positions; everything fetched before is of an older epoch and will be dropped."""
        names = self.app.icn.topology.topics
        self.unprocessed.clear()
        self.processed = {}
        self.committed = {}
        self.epoch = epoch
        self.first_until = {TopicPartition(names[alias].name, p): end for (alias, p), end in first_until.items()}
        await self._thread.begin(
            {TopicPartition(names[alias].name, p): offset for (alias, p), offset in positions.items()}, epoch
        )

    async def perform_seek(self) -> None:
        """Faust would go back to the committed offsets here; `begin` has said where to read."""

    async def wait_empty(self) -> None:
        """On a rebalance or a stop: let the batch in work finish, within the deadline. Others were not begun; they will be read again."""
        deadline_s = self.app.icn.settings.drain_deadline_ms / 1000
        try:
            await asyncio.wait_for(self.app.icn.idle.wait(), deadline_s)
        except TimeoutError:
            die(Fatal(f"a batch did not finish within {deadline_s:.0f} s of a rebalance or a stop"))
        await self.commit()

    # -- fetching ---------------------------------------------------------

    async def _wanted(self) -> list[TopicPartition]:
        """Partitions to fetch from now: never none of them, which aiokafka would take for all."""
        names = self.app.icn.alias_of
        active = [TopicPartition(*tp) for tp in self._get_active_partitions()]
        if self.first_until:
            reached = await self._thread.positions(list(self.first_until))
            self.first_until = {tp: end for tp, end in self.first_until.items() if reached.get(tp, (end, -1))[0] < end}
            active = [tp for tp in active if tp in self.first_until] or active
        return [tp for tp in active if self._may_fetch((names[tp.topic], tp.partition))]

    def _may_fetch(self, source: Source) -> bool:
        linger_s = self.app.icn.stage.agent.linger_ms.get(source[0], 0) / 1000
        return self.unprocessed[source] < UNPROCESSED_MAX and (
            not linger_s or time.monotonic() - self.fetched_at.get(source, 0) >= linger_s
        )

    async def _drain_messages(self, service: Any) -> None:
        """Fetch for ever, and hand each fetch to the agent."""
        try:
            while not (self.should_stop or service.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow)
                    continue
                wanted = await self._wanted()
                if not wanted:
                    self.progress.clear()
                    await self.wait(self.progress, timeout=FETCH_TIMEOUT_S)
                    continue
                for fetched in await self._thread.fetch(wanted):
                    if fetched.epoch == self.epoch and self.flow_active:
                        self.unprocessed[fetched.source, fetched.partition] += 1
                        self.fetched_at[fetched.source, fetched.partition] = time.monotonic()
                        await self.callback(self._message(fetched))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if not self.app.should_stop:
                die(error)

    def _message(self, fetched: Fetched) -> ConsumerMessage:
        last = fetched.records[-1]
        topic = self.app.icn.topology.topics[fetched.source].name
        return ConsumerMessage(
            topic,
            fetched.partition,
            last.offset,
            last.timestamp / 1000,
            1,
            (),
            None,
            fetched,
            None,
            None,
            None,
            TP(topic, fetched.partition),
            generation_id=self.app.consumer_generation_id,
        )

    def done(self, fetched: Fetched) -> None:
        """The agent is through with a fetch."""
        if fetched.epoch == self.epoch:
            source = (fetched.source, fetched.partition)
            self.unprocessed[source] -= 1
            self.processed[source] = fetched.records[-1].offset + 1
            self.progress.set()

    # -- committing -------------------------------------------------------

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Tell the group how far we are: the position where nothing is unprocessed, else behind the last processed record."""
        self._acked.clear()  # Faust keeps these per message; its own rule for what to commit is not used
        self._acked_index.clear()
        self._n_acked = 0
        epoch, names = self.epoch, self.app.icn.topology.topics
        sources = {TopicPartition(names[alias].name, p): (alias, p) for alias, p in self.app.icn.runner.positions}
        try:
            positions = await self._thread.positions(
                [tp for tp, source in sources.items() if not self.unprocessed[source]]
            )
        except (KafkaError, ValueError):
            return False
        offsets = {}
        for tp, source in sources.items():
            offset = self.processed.get(source)
            if tp in positions:
                position, handed_out = positions[tp]
                # a fetch may have come in while we waited, or be on its way to us: then the position is ahead of what is processed
                if handed_out < (self.app.icn.runner.positions[source] if offset is None else offset):
                    offset = position
            if offset is not None and offset > self.committed.get(tp, -1):
                offsets[tp] = offset
        if not offsets or epoch != self.epoch:
            return False
        self.committed |= offsets
        return await self._thread.commit({TP(*tp): offset for tp, offset in offsets.items()})

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Not used: see commit."""


class SilentProducer(driver.Producer):
    """Faust wants a producer; all output goes through the checkpoints' own."""

    async def on_start(self) -> None:
        """Connects to nothing."""

    async def on_stop(self) -> None:
        """Has nothing to close."""

    async def flush(self) -> None:
        """Has nothing to flush."""


class BatchTransport(driver.Transport):
    """Assigned to `app.transport`."""

    Consumer = BatchConsumer
    Producer = SilentProducer
