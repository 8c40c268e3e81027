"""After each assignment: fence, restore, seek, resume. Replaces Faust's table recovery, which stops for ever at a transaction's
control record and knows nothing of markers."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service

from streams.runtime.fatal import die

log = logging.getLogger("icn.recovery")


class StageRecovery(Recovery):
    """Faust signals a new assignment; we make the partitions ours before any record is read."""

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                return
            self.signal_recovery_start.clear()
            try:
                await self._take_over(self._generation_id)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                die(error)

    async def _take_over(self, generation_id: int) -> None:
        app: Any = self.app
        icn, consumer = app.icn, app.consumer
        assignment = consumer.assignment()
        icn.epoch += 1
        icn.runner.epoch = icn.epoch
        acquired = await icn.in_thread(icn.runner.acquire, {tp.partition for tp in assignment})
        if (
            not acquired
            or generation_id != app.consumer_generation_id
            or self.signal_recovery_start.is_set()
            or self.should_stop
        ):
            log.info("the assignment changed while it was taken over")
            return  # another signal is on its way
        await consumer.begin(icn.epoch, icn.runner.positions, icn.runner.first_until)
        consumer.resume_partitions(assignment)
        self.completed.set()
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        icn.on_ready()

    @Service.task
    async def _slurp_changelogs(self) -> None:
        """Changelogs are read by the runner."""


class StageTables(TableManager):
    """Faust's tables are not used; this only brings in our recovery."""

    _recovery: StageRecovery | None

    @property
    def recovery(self) -> StageRecovery:
        if self._recovery is None:
            self._recovery = StageRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        """Without Faust's second of waiting for tables to be declared."""
        await self._update_channels()
        await self.recovery.start()
