"""Wires one stage into a Faust app. The app's id is the consumer group."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faust

from streams.broker.admin import Existing
from streams.runtime.consumer import BatchTransport
from streams.runtime.fatal import die
from streams.runtime.recovery import StageTables
from streams.runtime.runner import Fetched, Runner
from streams.runtime.stage import Stage
from streams.settings import Settings
from streams.topology import Topology

log = logging.getLogger("icn.app")


AT_A_TIME = 2
SWEEP_EVERY_S = 1.0


class StageApp:
    """What our Faust subclasses find at `app.icn`."""

    def __init__(
        self,
        stage: Stage,
        topology: Topology,
        settings: Settings,
        folder: Path,
        member: str,
        rule: bytes,
        changelog: Existing,
    ) -> None:
        self.stage, self.topology, self.settings, self.member = stage, topology, settings, member
        self.runner = Runner(stage, topology, settings, folder, rule, changelog)
        self.alias_of = {topic.name: alias for alias, topic in topology.topics.items()}
        self.epoch = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self.ready = False
        self.in_work: dict[asyncio.Future[None], float] = {}  # work under way -> since when, monotonic
        # while one partition waits for the broker to commit, the next one is decided
        self._threads = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="stage")
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._turns: dict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.faust = self._faust(folder)

    def _faust(self, folder: Path) -> faust.App:
        agent = self.stage.agent
        (folder / agent.name).mkdir(parents=True, exist_ok=True)
        app = faust.App(
            agent.group,
            broker=f"kafka://{self.settings.require_brokers().split(',')[0]}",
            datadir=str(folder / agent.name / "faust"),
            store="memory://",
            TableManager=StageTables,
            web_enabled=False,
            topic_disable_leader=True,
            topic_allow_declare=False,
            stream_wait_empty=True,
            stream_buffer_maxsize=64,
            stream_recovery_delay=0.0,
            broker_commit_interval=1.0,
            broker_session_timeout=self.settings.session_timeout_ms / 1000,
            table_standby_replicas=0,
            autodiscover=False,
            broker_commit_every=None,
            worker_redirect_stdouts=False,
        )
        app.transport = BatchTransport([app.conf.broker[0]], app, loop=app.loop)
        app.icn = self
        sources = app.topic(
            *(self.topology.topics[alias].name for alias in agent.reads), key_serializer="raw", value_serializer="raw"
        )

        @app.agent(sources, name=agent.name)
        async def run(stream: Any) -> None:
            async for event in stream.events():
                fetched = event.message.value
                await self._begin(fetched.partition, self._process, fetched)

        @app.timer(SWEEP_EVERY_S)
        async def sweep() -> None:
            if self.ready and not self.in_work:  # old rows can wait, records can't
                for partition in list(self.runner.owned):
                    await self._begin(partition, self.runner.sweep, partition, self.epoch)

        @app.on_partitions_revoked.connect
        async def abandon(*_: Any, **__: Any) -> None:
            self.ready = False
            self.runner.abandon()

        return app

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run where it may block."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _begin(self, partition: int, function: Callable[..., Any], *args: Any) -> None:
        """Start work on a partition; two are in work at a time, of one partition only one, in order.

        Faust acknowledges a fetch when this returns; that means nothing here, since only the markers say what was processed.
        """
        await self._places.acquire()
        work = asyncio.ensure_future(self._in_turn(partition, function, *args))
        self.in_work[work] = time.monotonic()
        self.idle.clear()
        work.add_done_callback(self._end)

    async def _in_turn(self, partition: int, function: Callable[..., Any], *args: Any) -> None:
        async with self._turns[partition]:
            await self.in_thread(function, *args)

    def _process(self, fetched: Fetched) -> None:
        self.runner.process(fetched)
        self.faust.loop.call_soon_threadsafe(self.faust.consumer.done, fetched)

    def _end(self, work: asyncio.Future[None]) -> None:
        """Whatever went wrong is fatal *here*: left to Faust, it would be logged and passed over."""
        del self.in_work[work]
        self._places.release()
        if not self.in_work:
            self.idle.set()
        if not work.cancelled() and (error := work.exception()) is not None:
            die(error)

    @property
    def busy_since(self) -> float | None:
        """When the oldest fetch in work was begun, monotonic; None when idle. Asked by the watchdog's thread."""
        return min(list(self.in_work.values()), default=None)

    def on_ready(self) -> None:
        """Partitions are ours and positions are set."""
        self.ready = True
        log.info("%s ready: partitions %s", self.stage.agent.name, sorted(self.runner.owned) or "none (standing by)")
