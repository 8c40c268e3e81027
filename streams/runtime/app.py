"""Wires one stage into a Faust app. The app's id is the consumer group."""

from __future__ import annotations

import asyncio
import logging
import time
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
        self.records = 0
        self.busy_since: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="stage")  # one: stores and producers are not shared
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
                await self._handle(event.message.value)

        @app.on_partitions_revoked.connect
        async def abandon(*_: Any, **__: Any) -> None:
            self.ready = False
            self.runner.abandon()

        return app

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run in the stage's one thread, after what is in work."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _handle(self, fetched: Fetched) -> None:
        """One fetch, from the agent's stream to its checkpoint. Whatever goes wrong is fatal *here*: an exception that left the
        agent would acknowledge the fetch."""
        self.idle.clear()
        self.busy_since = time.monotonic()
        work = asyncio.ensure_future(self.in_thread(self.runner.process, fetched))
        work.add_done_callback(self._finished)
        try:
            self.records += await asyncio.shield(
                work
            )  # the thread can't be cancelled, so we must not seem idle while it works
            self.faust.consumer.done(fetched)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            die(error)

    def _finished(self, _: asyncio.Future[Any]) -> None:
        self.busy_since = None
        self.idle.set()

    def on_ready(self) -> None:
        """Partitions are ours and positions are set."""
        self.ready = True
        log.info("%s ready: partitions %s", self.stage.agent.name, sorted(self.runner.owned) or "none (standing by)")
