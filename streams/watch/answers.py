"""What is said of a broker that doesn't answer, in words for whoever looks at a page. Pure."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

SILENCE = (
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._DESTROY,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._TRANSPORT,
    KafkaError.REQUEST_TIMED_OUT,
)
STARTING = (
    KafkaError._WAIT_COORD,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)


def why(brokers: str, error: KafkaException | TimeoutError) -> str:
    """In one line; what is neither silence nor a start, as Kafka says it."""
    code = None if isinstance(error, TimeoutError) else error.args[0].code()
    if code is None or code in SILENCE:
        return f"the broker at {brokers} does not answer"
    if code in STARTING:
        return f"the broker at {brokers} is not ready yet"
    return f"{brokers}: {error.args[0].str()}"
