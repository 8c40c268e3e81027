"""What can't be processed: key, value and headers untouched on <topic>.dlq, with where it came from and why."""

from __future__ import annotations

from streams.runtime.stage import Batch, Context, Decided, Message, Record

ABOUT = "icn_dlq_"  # headers that say why
REDRIVEN = "icn_redriven"  # a header: how often
ABOUT_MAX = 1000  # characters of a header: a detail may quote its record


def dead_letter(context: Context, batch: Batch, record: Record, reason: str, detail: str, decided: Decided) -> None:
    """Append the record to its topic's dead letters. It is counted; the next record is processed."""
    topic = context.topology.topics[batch.source].name
    message = letter(topic, batch.partition, record, context.agent.name, reason, detail, context.rule)
    decided.send(f"{batch.source}.dlq", message)
    decided.count("dead_lettered")
    decided.count(f"dead_lettered:{reason}")


def times_redriven(record: Record) -> int:
    """How often it was sent again (icn dlq redrive), as its header says."""
    said = dict(record.headers or ()).get(REDRIVEN, b"")
    return int(said) if said.isdigit() and len(said) <= 3 else 0


def letter(topic: str, partition: int, record: Record, stage: str, reason: str, detail: str, rule: bytes) -> Message:
    """The record as it goes to the dead letters of `topic`."""
    about = {
        "topic": topic,
        "partition": partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        "stage": stage,
        "reason": reason,
        "detail": detail,
        "attempt": 1 + times_redriven(record),
        "rule": rule.hex(),
    }
    headers = [(name, value) for name, value in record.headers or () if not name.startswith(ABOUT)]
    headers += [(f"{ABOUT}{name}", str(value)[:ABOUT_MAX].encode("utf-8", "replace")) for name, value in about.items()]
    return {"key": record.key, "value": record.value, "headers": headers}
