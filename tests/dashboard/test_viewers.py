"""Viewers of one server, without a broker: what is put on its board goes to those who read, and nobody waits for one who doesn't."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from aiohttp import ClientSession, web

from streams.dashboard import http
from streams.dashboard.http import Dashboard
from streams.dashboard.roles import Role
from streams.settings import read_settings
from streams.topology import load

MIB = 1 << 20


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """One that looks at nothing."""
    made = Dashboard(load(), read_settings(load(), {}, brokers="127.0.0.1:1"), None)
    monkeypatch.setattr(made.looking, "start", lambda: None)
    monkeypatch.setattr(made.looking, "stop", lambda: None)
    return made


def test_who_takes_nothing_is_let_go_while_others_hear_all(
    dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty changes of a part of a MiB: the silent one is gone before they are over, and only the newest part is kept for anybody."""
    monkeypatch.setattr(http, "WRITE_S", 0.5)

    async def run() -> tuple[int, int, int]:
        runner = web.AppRunner(dashboard.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        silent = socket.create_connection(("127.0.0.1", port))
        silent.sendall(f"GET /events HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        taken = 0
        async with ClientSession() as session, session.get(f"http://localhost:{port}/events") as reader:

            async def read() -> None:
                nonlocal taken
                async for some in reader.content.iter_any():
                    taken += len(some)

            reading = asyncio.create_task(read())
            while dashboard.viewers < 2:
                await asyncio.sleep(0.01)
            for number in range(40):
                dashboard.board.put({Role.operator: {"flow": f"{number % 10}" * MIB}})
                dashboard.board.tell(True, f"{number}", None)
                await asyncio.sleep(0.05)
            left = dashboard.viewers
            reading.cancel()
        kept = sum(len(data) for _, _, data in dashboard.board.parts[Role.operator].values())
        silent.close()
        await runner.cleanup()
        return left, taken, kept

    left, taken, kept = asyncio.run(run())
    assert left == 1 and taken > 20 * MIB and kept < 2 * MIB


def test_a_server_that_ends_ends_its_streams(dashboard: Dashboard) -> None:
    """Else it would wait for them until its time is up, and Ctrl-C would take long."""

    async def run() -> float:
        runner = web.AppRunner(dashboard.application(), shutdown_timeout=5)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://localhost:{runner.addresses[0][1]}/events"
        async with ClientSession() as session, session.get(url) as answer:
            await answer.content.readany()
            began = time.monotonic()
            await runner.cleanup()
            return time.monotonic() - began

    assert asyncio.run(run()) < 4 and dashboard.viewers == 0


def test_who_comes_back_is_sent_what_he_missed_and_no_more(dashboard: Dashboard) -> None:
    """By the number of the last event he had; of a server that is no more, all."""

    async def run() -> list[int]:
        runner = web.AppRunner(dashboard.application())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://localhost:{runner.addresses[0][1]}/events"
        dashboard.board.put({Role.operator: {"flow": "a", "lag": "b"}})
        counts = []
        async with ClientSession() as session:
            for last in (None, "1", "2", "99", "-7", "x" * 40):
                headers = {} if last is None else {"Last-Event-ID": last}
                async with session.get(url, headers=headers) as answer:
                    data = b""
                    while b"event: state" not in data:
                        data += await answer.content.readany()
                    counts.append(data.count(b"event: part"))
        await runner.cleanup()
        return counts

    assert asyncio.run(run()) == [2, 1, 0, 2, 2, 2]
