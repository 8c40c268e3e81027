"""s2's job on Faust as it comes: an agent, two RocksDB tables with their changelogs, `topic.send`.

At least once, acks of all replicas. Away from the defaults: no web server, no leader election, a linger, the Cython
paths behind their setting, and uvloop if it is installed.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec

import mode.loop

if find_spec("uvloop"):
    mode.loop.use("uvloop")

import faust
from faust.types import FutureMessage, StreamT

from streams.bench.rivals.job import Job, Rows, arguments
from streams.runtime.stage import Record

PARTITIONS = 4


async def main() -> None:
    """Process --count records, print the figures."""
    options = arguments("Faust").parse_args()
    job = Job("faust", options.count)
    app = faust.App(
        options.group,
        broker=[f"kafka://{broker}" for broker in options.brokers.split(",")],
        store="rocksdb://",
        datadir=options.state,
        topic_partitions=PARTITIONS,
        key_serializer="raw",
        value_serializer="raw",
        producer_linger=0.02,
        cython_optimizations=True,
        web_enabled=False,
        topic_disable_leader=True,
    )
    source = app.topic(options.input, key_type=bytes, value_type=bytes)
    decided = app.topic(options.output, key_type=bytes, value_type=bytes)
    last: asyncio.Future[FutureMessage] = asyncio.get_running_loop().create_future()

    def table(name: str) -> Rows:
        made = app.Table(name, key_type=bytes, value_type=bytes, partitions=PARTITIONS, options={"driver": "rocksdict"})
        return made.get, made.__setitem__

    canonicals, contents = table("canonicals"), table("contents")

    @app.agent(source)
    async def decide(stream: StreamT) -> None:
        async for event in stream.events():
            if job.done == job.count:
                continue  # more than --count
            message = event.message
            try:
                record = Record(message.offset, message.timestamp, event.key, event.value)
                value = job.decide(record, message.partition, canonicals, contents)
            except Exception as error:  # Faust would skip the record and go on
                last.set_exception(error)
                raise
            if job.done < job.count:
                await decided.send(key=event.key, value=value)
            else:  # behind the tables' rows, which wait in the same queue
                last.set_result(decided.send_soon(key=event.key, value=value))

    # at WARNING and above, Faust draws a spinner on stdout and makes a log record of every debug message for it
    worker = faust.Worker(app, loglevel="INFO", quiet=True, redirect_stdouts=False)
    running = asyncio.create_task(worker.start())  # until it is stopped
    await asyncio.wait((running, last), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        raise SystemExit(f"Faust stopped after {job.done} records: {worker.crash_reason!r}")
    try:
        await last.result()  # acknowledged, so every row before it is with the producer
        await app.producer.flush()  # and now acknowledged too
        await app.consumer.commit()
        job.flushed()
    finally:
        await worker.stop()
    job.report()


if __name__ == "__main__":
    asyncio.run(main())
