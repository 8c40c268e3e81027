"""s2's job on Quix Streams: a StreamingDataFrame with a stateful apply, RocksDB and a changelog topic.

State is keyed by the message's key, the content hash; under it, a row for each dedup hash (40 bytes) and the content's
row (32 bytes).
Defaults throughout: checkpoint every 5 s, RocksDB's options, librdkafka's linger of 5 ms and acks of all replicas.
"""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State, message_context

from streams.bench.rivals.job import Job, arguments
from streams.runtime.stage import Record


class TimedApplication(Application):
    """Stops the clock after the last checkpoint, before the consumer leaves its group and RocksDB is closed."""

    job: Job

    def _run_dataframe(self, sink: Any = None) -> None:
        super()._run_dataframe(sink)  # it ends with a checkpoint: producer flushed, offsets committed, RocksDB written
        self.job.flushed()


def main() -> None:
    """Process --count records, print the figures."""
    parser = arguments("Quix Streams")
    parser.add_argument("--exactly-once", action="store_true", help="one Kafka transaction a checkpoint")
    options = parser.parse_args()
    job = Job("quix, exactly once" if options.exactly_once else "quix", options.count)
    app = TimedApplication(
        options.brokers,
        consumer_group=options.group,
        auto_offset_reset="earliest",
        state_dir=options.state,
        use_changelog_topics=True,
        loglevel="WARNING",
        processing_guarantee="exactly-once" if options.exactly_once else "at-least-once",
    )
    app.job = job
    source = app.topic(options.input, key_deserializer="bytes", value_deserializer="bytes")
    decided = app.topic(options.output, key_serializer="bytes", value_serializer="bytes")

    def decide(value: bytes, key: bytes, timestamp: int, _headers: Any, state: State) -> bytes:
        context, rows = message_context(), (state.get_bytes, state.set_bytes)
        return job.decide(Record(context.offset, timestamp, key, value), context.partition, rows, rows)

    app.dataframe(source).apply(decide, stateful=True, metadata=True).to_topic(decided)
    app.run(count=options.count, collect=False)
    job.report()


if __name__ == "__main__":
    main()
