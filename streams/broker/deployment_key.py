"""Is this the deployment's key? Its id is a record on `control`; with another key every hash and token would be another one."""

from __future__ import annotations

from confluent_kafka import Producer

from streams.broker.topics import fold
from streams.codec import Undecodable, decoder, encoder
from streams.errors import BrokerError, IcnError
from streams.secrets import deployment_secret, key_id, make_secret, secret_path
from streams.settings import Settings
from streams.topology import Topology

LOOK_AT = 1000  # records: it is among the first of a deployment


def published_key_id(topology: Topology, settings: Settings) -> str | None:
    """The id on `control`; None where there is none."""
    decode = decoder("control")
    for message in fold(settings, topology.topic("control").name, 0, until={0: LOOK_AT}):
        try:
            event = decode(message.value() or b"")
        except Undecodable:
            continue
        if event["kind"] == "deployment_key":
            return str(event["principal"])
    return None


def check_key(topology: Topology, settings: Settings) -> None:
    """Raises IcnError where the key here is missing, or another than the deployment's."""
    secret = deployment_secret(settings.state)
    published = published_key_id(topology, settings)
    if published not in (None, key_id(secret)):
        raise IcnError(
            f"{secret_path(settings.state).absolute()} is not this deployment's key: its id is {key_id(secret)}, theirs {published}",
            "copy the key from where the deployment was made, or name it with ICN_SECRET_FILE or --state",
        )


def claim(topology: Topology, settings: Settings) -> None:
    """Make a key for a deployment that has none, and publish its id; check it where there is one. Raises IcnError."""
    if published_key_id(topology, settings) is not None:
        check_key(topology, settings)
        return
    make_secret(settings.state)
    event = {
        "kind": "deployment_key",
        "slot_ms": 0,
        "cadence_ms": 0,
        "node_id": None,
        "principal": key_id(deployment_secret(settings.state)),
        "generation": 0,
        "capabilities": [],
        "capacity": 0,
    }
    producer = Producer(settings.librdkafka_producer())
    producer.produce(topology.topic("control").name, encoder("control")(event), b"", partition=0)
    if producer.flush(30):
        raise BrokerError("the key's id was not written: the broker did not answer", "icn broker status")
